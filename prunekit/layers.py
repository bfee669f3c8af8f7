"""A layer read as least squares: what it hears (X), what it answers (Y = XW + b), and W itself."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prunekit.moments import float64

__all__ = ["answered", "by_channel", "listened", "outgoing_weights", "set_outgoing_weights"]


def listened(layer: nn.Module, inputs: Tensor) -> Tensor:
    """X: what a consumer hears, one row per output position.

    Parameters
    ----------
    layer : nn.Linear, or nn.Conv2d without groups
    inputs : (batch, …, features), or (batch, channels, height, width)

    Returns
    -------
    (samples, d), such that ``X @ outgoing_weights(layer)`` plus the bias is the layer's output:
    for a convolution every k×k patch is a row, d = channels·k², channel by channel.
    """
    if isinstance(layer, nn.Linear):
        return inputs.reshape(-1, inputs.shape[-1])  # (samples, features)
    X = F.pad(inputs, _padding(layer), mode=layer.padding_mode.replace("zeros", "constant"))
    sizes = zip(layer.kernel_size, layer.stride, layer.dilation, strict=True)
    for axis, (k, stride, dilation) in enumerate(sizes, start=2):
        # every window along this axis; its k samples become a new last axis
        X = X.unfold(axis, dilation * (k - 1) + 1, stride)[..., ::dilation]
    dims = len(layer.kernel_size)  # X: (batch, channels, *positions, *kernel)
    return X.movedim(1, dims + 1).reshape(-1, layer.weight[0].numel())  # (samples, d)


def _padding(layer: nn.Module) -> list[int]:
    """A convolution's padding as `torch.nn.functional.pad` takes it, last axis first."""
    pads: list[int] = []
    for axis, (k, dilation) in enumerate(zip(layer.kernel_size, layer.dilation, strict=True)):
        if layer.padding == "same":
            total = dilation * (k - 1)
            pads = [total // 2, total - total // 2, *pads]
        else:
            pads = [0 if layer.padding == "valid" else layer.padding[axis]] * 2 + pads
    return pads


def answered(layer: nn.Module, outputs: Tensor) -> Tensor:
    """Y: a consumer's output as (samples, outputs), rows in the order of `listened`."""
    if isinstance(layer, nn.Linear):
        return outputs.reshape(-1, outputs.shape[-1])
    return outputs.flatten(2).transpose(1, 2).flatten(0, 1)


def by_channel(layer: nn.Module, inputs: Tensor, channels: int) -> Tensor:
    """What a layer hears, as (images, channels, positions).

    Features of a linear layer behind a flatten belong to their channels in order.
    """
    if isinstance(layer, nn.Linear):
        return inputs.reshape(-1, channels, inputs.shape[-1] // channels)
    return inputs.flatten(2)


def outgoing_weights(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """W (d, outputs) and b (outputs,) of a consumer in float64; a missing bias is zero."""
    W = float64(layer.weight).flatten(1).T  # (d, outputs)
    b = torch.zeros(W.shape[1], dtype=W.dtype, device=W.device)
    return W, b if layer.bias is None else float64(layer.bias)


@torch.no_grad()
def set_outgoing_weights(layer: nn.Module, W: Tensor, b: Tensor) -> None:
    """Write W (d, outputs) and b (outputs,) into a consumer, in its own dtype.

    A layer without a bias gets one when b is not zero.
    """
    layer.weight.copy_(W.T.reshape(layer.weight.shape))
    if layer.bias is None and b.any():
        layer.bias = nn.Parameter(layer.weight.new_zeros(len(layer.weight)))
        layer.bias.requires_grad_(layer.weight.requires_grad)
    if layer.bias is not None:
        layer.bias.copy_(b)
