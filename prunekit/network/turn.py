"""One layer of the network being pruned, when it is its turn in the walk."""

from collections.abc import Callable, Iterator
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call

from prunekit.algebra.moments import Moments, float64
from prunekit.algebra.relu import passing_error
from prunekit.network.behind import Behind
from prunekit.network.collecting import Collector
from prunekit.network.inputs import device_of
from prunekit.network.layers import (
    as_matrix,
    consumer_outputs,
    groups_of,
    outgoing_weights,
    width,
)
from prunekit.network.memory import check_room
from prunekit.network.own import map_moments, own_rows
from prunekit.network.ranks import summed, together
from prunekit.network.sites import ConsumerInputs
from prunekit.network.survey import Survey
from prunekit.network.walk import Seen, Walk

__all__ = ["Turn"]


class Turn:
    """One layer of the pruned network, when it is its turn: its inputs, the outputs to aim at.

    Attributes
    ----------
    name, layer : of the layer, and itself
    model, batches : the pruned network, and the calibration inputs
    mapped : whether channels got one coefficient each, see `prunekit.network.own.map_moments`
    """

    def __init__(self, walk: Walk, name: str, survey: Survey, whole_maps: bool) -> None:
        self.name, self.model, self.batches = name, walk.pruned, walk.batches
        self.layer = walk.pruned.get_submodule(name)
        self._walk, self._survey, self._whole_maps = walk, survey, whole_maps
        self.mapped = False

    @property
    def sensitivities(self) -> dict[str, list[Tensor]]:
        """How much the outputs feel errors of each layer, in the network that was surveyed."""
        return self._survey.sensitivities

    @torch.no_grad()
    def pairs(self, name: str) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The layer's inputs now, its inputs in the original, the outputs to aim at."""
        yield from self._walk.pairs(name)

    @cached_property
    @torch.no_grad()
    def parts(self) -> tuple[list[Moments], list[Moments]]:
        """Moments of all the layer's inputs X and outputs to aim at Y, of each of its groups.

        A fifth of the samples is a part of its own, held back to see what a fit is worth.
        """
        check_room(self.model, self.name)
        groups = groups_of(self.layer)
        size = width(self.layer, "in") // groups
        some = [
            torch.arange(g * size, g * size + size) if groups > 1 else None for g in range(groups)
        ]
        learned, held = (
            [Collector(self.layer, g, ids) for g, ids in enumerate(some)] for _ in "ab"
        )
        for seen in self._walk.seen(self.name):
            runs, counts = torch.unique_consecutive(seen.held, return_counts=True)
            taken, aims = (_by_sample(v, counts, len(seen.held)) for v in (seen.taken, seen.aim))
            for is_held, x, y in zip(runs.tolist(), taken, aims, strict=True):
                for collector in held if is_held else learned:
                    collector.update(x, y)
        device = device_of(self.model)
        return tuple([together(c.moments, device) for c in part] for part in (learned, held))

    @cached_property
    def layer_moments(self) -> list[Moments]:
        """Both parts together."""
        return [Moments().merge(a).merge(b) for a, b in zip(*self.parts, strict=True)]

    @property
    def relu(self) -> bool:
        """Whether a ReLU takes what the layer says, and nothing else does."""
        return self._walk.behind.get(self.name, Behind()).relu

    def original_weights(self, group: int = 0) -> tuple[Tensor, Tensor]:
        """W⁰ (d, outputs) and b⁰ (outputs,) of the layer, as it was."""
        return outgoing_weights(self._walk.original.get_submodule(self.name), group)

    @torch.no_grad()
    def come_through(self) -> list[tuple[Tensor, Tensor]]:
        """Of each group XᵀE and the sums of E.

        E is what the outputs y lack of those to aim at, as far as it comes through the ReLU.
        """
        found = [(0 * m.scatter_xy, 0 * m.mean_y) for m in self.layer_moments]
        for seen in self._walk.seen(self.name):

            def lack(said: Tensor, seen: Seen = seen) -> Tensor:
                return passing_error(seen.before_relu(seen.aim), seen.before_relu(said))

            more = _products(self.layer, seen.taken, lack)
            found = [(a + c, b + d) for (a, b), (c, d) in zip(found, more, strict=True)]
        # what the ReLU takes is scale·y + offset
        scales = float64(self._walk.line(self.name)[0]).flatten().chunk(len(found))
        return [
            tuple(summed(*((sums / s).where(s != 0, 0.0) for sums in both)))
            for both, s in zip(found, scales, strict=True)
        ]

    def moments(self, taken: ConsumerInputs) -> Moments:
        """Moments of a site's channels at one of its consumers; a later one was surveyed."""
        if taken.name != self.name:
            return self._survey.moments(taken)
        rows, W, _ = own_rows(self.layer, taken)
        if self._whole_maps and len(rows) > len(taken.channels):
            check_room(self.model, self.name, len(taken.channels))
            self.mapped = True
            before = self._walk.original if self._walk.asymmetric else self.model
            before = before.get_submodule(self.name)
            own = (seen[:3] for seen in self._walk.seen(self.name))
            return together(map_moments(self.layer, before, taken, own), device_of(self.model))
        return self.layer_moments[taken.group].part(rows, W)

    def write(self, W: Tensor, b: Tensor, group: int = 0) -> None:
        """Give the layer (or one group of it) new weights."""
        self._walk.write(self.name, W, b, group)


def _products(
    layer: nn.Module, taken: Tensor, errors: Callable[[Tensor], Tensor]
) -> list[tuple[Tensor, Tensor]]:
    """XᵀE (d, outputs) and the sums of E (outputs,) of each group, without making X.

    ``errors`` gives E from what the layer says. XᵀE is the gradient of ⟨E, XW⟩ by W.
    """
    weight = layer.weight.detach().requires_grad_()
    wide = torch.promote_types(taken.dtype, torch.float32)
    with torch.enable_grad():
        said = functional_call(layer, {"weight": weight}, (taken.detach(),))
    E = errors(said.detach())
    (cross,) = torch.autograd.grad(said, weight, E)
    return [
        (as_matrix(layer, cross, g), float64(consumer_outputs(layer, E, g).sum(0, dtype=wide)))
        for g in range(groups_of(layer))
    ]


def _by_sample(values: Tensor, counts: Tensor, samples: int) -> tuple[Tensor, ...]:
    """Runs of so many samples, each of which is one or several rows of ``values``."""
    if len(values) % samples and samples in values.shape:  # tokens come first, say
        values = values.movedim(values.shape.index(samples), 0)
    elif len(values) % samples:
        values = values.flatten(0, -2)
    return values.split((counts * (len(values) // samples)).tolist())
