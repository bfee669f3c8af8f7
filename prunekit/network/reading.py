"""From a site of a network to its statistics, and from new weights back into the network."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from prunekit.algebra.joining import join, split, wide
from prunekit.algebra.moments import float64
from prunekit.algebra.statistics import Statistics
from prunekit.network.inputs import Inputs
from prunekit.network.layers import TRANSPOSED, groups_of, set_outgoing_weights
from prunekit.network.listening import collect, heard, heard_with_gradients, own_rows, sample_rows
from prunekit.network.sites import Site

__all__ = ["statistics_of", "write"]


def statistics_of(
    target: nn.Module, pruned: nn.Module, site: Site, batches: Sequence[Inputs], options: Any
) -> Statistics:
    """What a method gets to know of ``site``; nothing is computed before it asks."""
    n, ears, first = site.channels, site.listeners, site.listeners[0]
    whole = options.coefficients == "channel"
    weights, biases, scales = [], [], []
    for ear in ears:
        layer = pruned.get_submodule(ear.name)
        rows, W, b = own_rows(layer, ear)
        taps = len(rows) // n if whole else 1  # outputs of their own
        weights.append(W[rows].reshape(len(rows) // taps, -1).contiguous())
        biases.append((b / taps).repeat(taps))
        scales.append(_norm(pruned, ear.norm, b, ear.group)[0].repeat(taps))
    producer = pruned.get_submodule(site.name)
    filters, bias = _filters(producer, site)
    filter_scale, filter_shift = _norm(pruned, site.producer_norm, bias)
    if len(filter_scale) != n:  # bundles of channels have no norm of their own
        filter_scale, filter_shift = filters.new_ones(n), filters.new_zeros(n)
        bias = filter_shift
    layer = pruned.get_submodule(first.name)
    alone = len(ears) == 1 and first.channels.numel() == first.heard
    weighed = any(ear.norm for ear in ears)
    shapes = [(len(W) // n, W.shape[1]) for W in weights]
    return Statistics(
        name=site.name,
        collect=lambda: join(collect(target, pruned, ears, batches, whole), n),
        weights=wide(weights, n),
        bias=torch.cat(biases),
        filters=filters,
        filter_scale=filter_scale,
        filter_shift=filter_shift + filter_scale * bias,
        block_size=sum(k for k, _ in shapes),
        centered=options.centered,
        ridge=options.ridge,
        output_scale=torch.cat(scales) if options.weigh_outputs and weighed else None,
        heard=lambda: heard(pruned, first, batches),
        heard_with_gradients=lambda: heard_with_gradients(pruned, first, batches),
        rows=lambda count: sample_rows(target, pruned, first, batches, count),
        before_relu=_norm(pruned, first.norm, biases[0]) if first.relu and alone else None,
        shapes=tuple(shapes),
    )


def _filters(producer: nn.Module, site: Site) -> tuple[Tensor, Tensor]:
    """A row of weights for each channel of a site, and the biases (channels,)."""
    weight = float64(producer.weight)
    weight = weight.transpose(0, 1) if isinstance(producer, TRANSPOSED) else weight
    (cut,) = (c for c in site.cuts if (c.module, c.side) == (site.name, "out"))
    ids = torch.tensor(cut.indices, device=weight.device)  # (n, m)
    if groups_of(producer) > 1 and isinstance(producer, TRANSPOSED):
        ids = ids % len(weight)  # its weight holds the outputs of one group
    filters = weight[ids].flatten(1)  # (n, m·inputs·kernel)
    if producer.bias is None:
        return filters, filters.new_zeros(ids.shape[0])
    return filters, float64(producer.bias)[ids % len(producer.bias)].mean(1)


def write(model: nn.Module, site: Site, statistics: Statistics, W: Tensor, b: Tensor) -> None:
    """Write W and b of a site's statistics into all its listeners, taps of a kernel together."""
    parts = split(W, b, statistics.shapes, site.channels)
    before = split(statistics.weights, statistics.bias, statistics.shapes, site.channels)
    for ear, (new_W, new_b), (_, old_b) in zip(site.listeners, parts, before, strict=True):
        layer = model.get_submodule(ear.name)
        rows, whole, bias = own_rows(layer, ear)
        outputs = whole.shape[1]
        whole[rows] = new_W.reshape(-1, outputs)
        bias = bias + (new_b - old_b).view(-1, outputs).sum(0)
        set_outgoing_weights(layer, whole, bias, ear.group)


def _norm(
    model: nn.Module, name: str | None, like: Tensor, group: int = 0
) -> tuple[Tensor, Tensor]:
    """γ/σ and β − γμ/σ of a batch norm, of the outputs of one group; 1 and 0 without one."""
    norm = None if name is None else model.get_submodule(name)
    if norm is None or norm.running_var is None:
        return torch.ones_like(like), torch.zeros_like(like)
    scale = (float64(norm.running_var) + norm.eps).rsqrt()
    scale = scale if norm.weight is None else scale * float64(norm.weight)
    shift = -scale * float64(norm.running_mean)
    shift = shift if norm.bias is None else shift + float64(norm.bias)
    part = slice(group * len(like), group * len(like) + len(like))
    return scale[part], shift[part]
