"""From a site of a network to its statistics: the question that a method gets."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from prunekit.algebra.least_squares import DEFAULT_RIDGE
from prunekit.algebra.moments import Moments, float64
from prunekit.algebra.statistics import Consumer, Statistics
from prunekit.network.behind import scale_and_shift
from prunekit.network.inputs import Inputs
from prunekit.network.layers import (
    TRANSPOSED,
    by_channel,
    consumer_inputs,
    consumer_outputs,
    groups_of,
)
from prunekit.network.own import Pairs, own_rows
from prunekit.network.recording import inputs_with_gradients
from prunekit.network.sites import ConsumerInputs, Site

__all__ = ["Source", "statistics_of"]


class Source(Protocol):
    """Where the numbers come from: a `Turn` of the walk, or a `Survey`."""

    model: nn.Module
    batches: Sequence[Inputs]
    sensitivities: dict[str, list[Tensor]]

    def moments(self, taken: ConsumerInputs) -> Moments:
        """Of X, what a consumer takes of a site, and Y, what it should add to the answer."""

    def pairs(self, name: str) -> Pairs:
        """What a layer takes now, took in the original, and should answer, batch by batch."""


def statistics_of(site: Site, source: Source, options: Any) -> Statistics:
    """What a method gets to know of ``site``; nothing is computed before it asks."""
    model, n, first = source.model, site.channels, site.consumer_inputs[0]
    filters, bias = _filters(model.get_submodule(site.producers[0]), site)
    norm = None if site.producer_norm is None else model.get_submodule(site.producer_norm)
    filter_scale, filter_shift = scale_and_shift(norm, bias)
    if len(filter_scale) != n:  # bundles of channels have no norm of their own
        filter_scale, filter_shift = filters.new_ones(n), filters.new_zeros(n)
        bias = filter_shift
    layer = model.get_submodule(first.name)

    def inputs() -> Iterator[Tensor]:
        for taken, _, _ in source.pairs(first.name):
            yield by_channel(layer, taken, first.channels)

    return Statistics(
        name=site.name,
        consumers=tuple(_consumer(taken, source, n, options) for taken in site.consumer_inputs),
        filters=filters,
        filter_scale=filter_scale,
        filter_shift=filter_shift + filter_scale * bias,
        inputs=inputs,
        inputs_with_gradients=lambda: inputs_with_gradients(model, first, source.batches),
        rows=lambda count: _rows(layer, first, source, count),
    )


def _consumer(taken: ConsumerInputs, source: Source, n: int, options: Any) -> Consumer:
    """One consumer of a site of n channels."""
    rows, W, b = own_rows(source.model.get_submodule(taken.name), taken)
    taps = len(rows) // n if options.mapped(taken.name) else 1  # outputs of their own
    norm = None if taken.norm is None else source.model.get_submodule(taken.norm)
    scale, shift = scale_and_shift(norm, b, taken.group)
    return Consumer(
        name=taken.name,
        collect=lambda: source.moments(taken),
        weights=W[rows].reshape(len(rows) // taps, -1).contiguous(),
        bias=(b / taps).repeat(taps),
        block_size=len(rows) // taps // n,
        weigh=(lambda: _felt(source, taken, taps)) if options.weigh_outputs else None,
        before_relu=(scale, shift) if taken.relu and taken.whole else None,
        centered=options.centered,
        ridge=DEFAULT_RIDGE if options.ridge is None else options.ridge,
    )


def _felt(source: Source, taken: ConsumerInputs, taps: int) -> Tensor | None:
    """S^½ (outputs, outputs), of which each tap that is an output of its own gets the diagonal."""
    found = source.sensitivities.get(taken.name)
    if found is None:
        return None
    S = found[taken.group]
    if taps > 1:
        return S.diagonal().sqrt().repeat(taps)
    values, vectors = torch.linalg.eigh(S)
    return vectors * values.clamp(min=0).sqrt()  # R with RRᵀ = S


def _filters(producer: nn.Module, site: Site) -> tuple[Tensor, Tensor]:
    """A row of weights for each channel of a site, and the biases (channels,)."""
    weight = float64(producer.weight)
    weight = weight.transpose(0, 1) if isinstance(producer, TRANSPOSED) else weight
    (cut,) = (c for c in site.cuts if (c.module, c.side) == (site.producers[0], "out"))
    ids = torch.tensor(cut.indices, device=weight.device)  # (n, m)
    if groups_of(producer) > 1 and isinstance(producer, TRANSPOSED):
        ids = ids % len(weight)  # its weight holds the outputs of one group
    filters = weight[ids].flatten(1)  # (n, m·inputs·kernel)
    if producer.bias is None:
        return filters, filters.new_zeros(ids.shape[0])
    return filters, float64(producer.bias)[ids % len(producer.bias)].mean(1)


def _rows(
    layer: nn.Module, taken: ConsumerInputs, source: Source, count: int, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """About ``count`` drawn rows of X (rows, d) and Y (rows, outputs), in float64."""
    g, parts = torch.Generator().manual_seed(seed), []
    each = -(-count // (len(source.batches) * taken.calls))
    for inputs, _, given in source.pairs(taken.name):
        X = consumer_inputs(layer, inputs, taken.channels.flatten())
        drawn = torch.randperm(len(X), generator=g)[:each].to(X.device)
        Y = consumer_outputs(layer, given, taken.group)
        parts.append((float64(X[drawn]), float64(Y[drawn])))
    return torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])
