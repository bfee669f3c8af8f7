"""One forward pass with marks: which inputs of which layers do marked channels reach?

A mark is NaN, in all that a layer says of a channel. Operations hand it on wherever it goes: views,
chunks, shuffles, concatenations, norms, attention, `no_grad` and checkpoints. So nothing has to be
known about operations, and no number has to be compared. Layers give the answers of the script, so
marks end where the next layers take them. Where NaN is refused, or ends in a comparison, a mark is
a large number, positive and negative in turn.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prunekit.network.called import called_layers, shared_weights
from prunekit.network.inputs import Inputs
from prunekit.network.stage import Stage, axis

__all__ = ["Marker", "Source", "layers_to_refit", "read_elsewhere"]


@dataclass(frozen=True)
class Source:
    """Channels that can be marked.

    Attributes
    ----------
    module, side : "out" for what a layer answers, or ``name:dim`` for a dimension of a bare
        parameter or buffer of the module, as in `prunekit.network.surgery.Cut`
    size : how many there are
    """

    module: str
    side: str
    size: int

    @property
    def key(self) -> tuple[str, str]:
        """The module and its side."""
        return self.module, self.side


Marks = Mapping[Source, Tensor]  # bool (size,): which channels of it are marked
Arrived = dict[str, Tensor]  # layer → bool (inputs,), of those that a mark reaches


class Marker:
    """Forward passes of a network with marks on some of its channels."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.script = stage, stage.write()
        self._values = [torch.nan]

    def loud(self) -> "Marker":
        """A marker whose marks are large numbers."""
        other = copy.copy(self)
        other._values = [1e4, -1e4]
        return other

    @torch.no_grad()
    def arrivals(self, marks: Marks) -> tuple[Arrived, bool]:
        """Inputs that marks reach, layer by layer, and whether they reach the network's outputs."""
        try:
            found = [self._pass(marks, value) for value in self._values]
        except Exception:  # of foreign code, which may check its numbers
            if len(self._values) > 1:
                raise
            return self.loud().arrivals(marks)
        inputs: Arrived = {}
        for arrived, _ in found:
            for name, hit in arrived.items():
                inputs[name] = inputs[name] | hit if name in inputs else hit
        return inputs, any(outside for _, outside in found)

    def _pass(self, marks: Marks, value: float) -> tuple[Arrived, bool]:
        arrived: Arrived = {}
        layers = {source.module: mask for source, mask in marks.items() if source.side == "out"}

        def say(name: str, number: int) -> Tensor:
            answer = self.script.given[name][number].clone()
            if name in layers:
                dim = axis(self.stage.layers[name], answer)
                answer.index_fill_(dim, layers[name].nonzero()[:, 0].to(answer.device), value)
            return answer

        def take(name: str, number: int, values: Tensor) -> None:
            dim = axis(self.stage.layers.get(name) or self.stage.passing[name], values)
            others = [d for d in range(values.ndim) if d != dim]
            hit = self._marked(values, self.script.taken[name][number], others).cpu()
            if hit.any():
                arrived[name] = arrived[name] | hit if name in arrived else hit

        kept = [self._fill(source, mask, value) for source, mask in marks.items()]
        try:
            outputs = self.stage.play(say, take)
        finally:
            for tensor, old in filter(None, reversed(kept)):  # one may be marked twice
                tensor.copy_(old)
        pairs = zip(outputs, self.script.outputs, strict=True)
        return arrived, any(
            bool(self._marked(*pair, [*range(pair[0].ndim)]).any()) for pair in pairs
        )

    def _fill(self, source: Source, mask: Tensor, value: float) -> tuple[Tensor, Tensor] | None:
        """Mark a bare tensor in place; what it was before."""
        if source.side == "out":
            return None
        name, dim = source.side.split(":")
        tensor = getattr(self.stage.model.get_submodule(source.module), name)
        old = tensor.clone()
        tensor.index_fill_(int(dim), mask.nonzero()[:, 0].to(tensor.device), value)
        return tensor, old

    def _marked(self, values: Tensor, told: Tensor, dims: list[int]) -> Tensor:
        """Where marks are, all of ``dims`` taken together; ``told`` is what came without any."""
        if values.shape != told.shape:
            raise ValueError("a marked pass goes another way")
        if not values.is_floating_point() or not values.numel():
            hit = values.ne(told)
        elif not math.isnan(self._values[0]):
            hit = (values - told).abs() > 1e-4 * (1e-4 + told.abs().amax())
        else:  # the largest of numbers with a NaN among them is NaN
            return (values.amax(dims) if dims else values).isnan()
        return hit.any(dims) if dims and hit.numel() else hit


def read_elsewhere(marker: Marker) -> set[str]:
    """Layers whose weights the network reads itself, beside or instead of calling them.

    Layers that are called say what stands in the script, so a mark in their weights arrives only
    where something else reads these.
    """
    weights = [
        Source(name, "weight:0", len(layer.weight))
        for name, layer in marker.stage.layers.items()
        if isinstance(getattr(layer, "weight", None), nn.Parameter)
    ]
    marks = {source: torch.ones(source.size, dtype=torch.bool) for source in weights}
    if not any(marker.arrivals(marks)):
        return set()
    return {source.module for source in weights if any(marker.arrivals({source: marks[source]}))}


def layers_to_refit(model: nn.Module, example: Inputs, skip: set[str]) -> dict[str, int]:
    """How often each layer that may change is called, in the order of the forward pass."""
    shared = shared_weights(model.modules())
    skip = skip | read_elsewhere(Marker(Stage(model, example)))
    return {
        name: calls
        for name, calls in called_layers(model, example).items()
        if name not in skip and model.get_submodule(name).weight not in shared
    }
