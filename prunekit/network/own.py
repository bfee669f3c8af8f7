"""A site's own part of a consumer: its rows of W, its columns of X, what they add to Y."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from prunekit.algebra.moments import Moments
from prunekit.network.layers import by_channel, outgoing_weights
from prunekit.network.sites import ConsumerInputs

__all__ = ["Pairs", "map_moments", "own_rows", "with_own_part"]

AT_ONCE = 1 << 26  # numbers that are made at once

# inputs of a layer now, its inputs in the original, the outputs to aim at: batch by batch
Pairs = Iterable[tuple[Tensor, Tensor, Tensor]]


def own_rows(layer: nn.Module, taken: ConsumerInputs) -> tuple[Tensor, Tensor, Tensor]:
    """Which rows of a consumer's W belong to the site, channel by channel, and its W and b.

    Returns
    -------
    rows (n·k,), W (d, outputs), b (outputs,)
    """
    W, b = outgoing_weights(layer, taken.group)
    taps = len(W) // taken.width
    inputs = taken.channels.flatten() - taken.group * taken.width  # within the group
    rows = (inputs[:, None] * taps + torch.arange(taps)).flatten()
    return rows.to(W.device), W, b


def map_moments(
    layer: nn.Module, before: nn.Module, taken: ConsumerInputs, pairs: Pairs
) -> Moments:
    """Moments for one scalar per channel pair: n instead of n·k² columns.

    A column of X is a whole feature map, and the taps of a kernel count as outputs of their own.

    Parameters
    ----------
    layer, before : the consumer now, and as it was in the original network
    """
    moments, n = Moments(), len(taken.channels)
    rows, W, b = own_rows(before, taken)
    taps = len(rows) // n
    for inputs, original_inputs, _ in pairs:
        X, X0 = (
            by_channel(layer, v, taken.channels).transpose(1, 2).flatten(0, 1)
            for v in (inputs, original_inputs)
        )  # (samples, channels)
        V = W[rows].reshape(n, -1).to(X0)  # (n, taps·outputs)
        bias = (b / taps).repeat(taps).to(X0)
        some = max(1, AT_ONCE // V.shape[1])
        for x, x0 in zip(X.split(some), X0.split(some), strict=True):
            moments.update(x, x0 @ V + bias)
    return moments


def with_own_part(
    layer: nn.Module, taken: ConsumerInputs, W: Tensor, shift: Tensor
) -> tuple[Tensor, Tensor]:
    """A consumer's whole W and b, with a new W for the site's channels and b moved by ``shift``.

    Taps of a kernel that counted as outputs of their own come together again.
    """
    rows, whole, bias = own_rows(layer, taken)
    outputs = whole.shape[1]
    whole[rows] = W.reshape(-1, outputs)
    return whole, bias + shift.view(-1, outputs).sum(0)
