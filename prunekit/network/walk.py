"""The walk: the original network and the one being pruned, side by side, each pass run once.

Every batch goes through both networks once. A pass waits at each layer that may change: the one of
the original behind the layer, with its outputs, the one of the pruned network in front of it, with
what the layer takes now. When the layer has its new weights, the passes go on with them. So a whole
network costs two forward passes, whatever its depth.

What waits (`prunekit.network.passes`) takes memory; batches beyond a bound do not wait, but start
again at each layer.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from prunekit.algebra.moments import Moments
from prunekit.network.inputs import Inputs, device_of, flat_outputs
from prunekit.network.layers import (
    consumer_inputs,
    consumer_outputs,
    groups_of,
    set_outgoing_weights,
    width,
)
from prunekit.network.memory import free_bytes, waiting_bytes
from prunekit.network.own import map_moments, own_rows
from prunekit.network.passes import Pass
from prunekit.network.recording import record
from prunekit.network.sites import ConsumerInputs
from prunekit.network.survey import Survey

__all__ = ["Turn", "Walk"]


class Walk:
    """Two networks, side by side, on the same batches.

    Parameters
    ----------
    original, pruned : copies of one network; ``pruned`` is rewritten layer by layer
    layers : how often each layer that may change is called, in the order of the forward pass
    batches : calibration inputs
    asymmetric : aim at the outputs of the original; else at those of ``pruned`` itself
    memory : bytes that waiting passes may take; a quarter of what is free by default
    """

    def __init__(
        self,
        original: nn.Module,
        pruned: nn.Module,
        layers: Mapping[str, int],
        batches: Sequence[Inputs],
        *,
        asymmetric: bool = True,
        memory: int | None = None,
    ) -> None:
        self.original, self.pruned, self.layers = original, pruned, layers
        self.batches, self.asymmetric, self.memory = batches, asymmetric, memory
        self._then: list[Pass] = []  # of the original, behind each layer
        self._now: list[Pass] = []  # of the pruned network, in front of it
        self._started = False

    def __enter__(self) -> "Walk":
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (*self._then, *self._now):
            one.close()

    def at(self, name: str, survey: Survey, whole_maps: bool = False) -> "Turn":
        """Layer ``name``'s turn. Nothing runs before somebody asks what it takes or gives.

        ``survey`` knows the later consumers of the sites that are due here.
        """
        return Turn(self, name, survey, whole_maps)

    def write(self, name: str, W: Tensor, b: Tensor, group: int = 0) -> None:
        """Give a layer of the pruned network (or one group of it) new weights."""
        set_outgoing_weights(self.pruned.get_submodule(name), W, b, group)

    def start(self) -> None:
        """Make the passes that will wait, as many as the memory bound allows."""
        if self._started:
            return
        self._started = True
        once = [name for name, calls in self.layers.items() if calls == 1]
        room = free_bytes(device_of(self.pruned)) // 4 if self.memory is None else self.memory
        each = waiting_bytes(self.pruned, once, self.batches[0]) * (1 + self.asymmetric)
        for seed, batch in enumerate(self.batches[: max(0, room // max(each, 1))]):
            if self.asymmetric:
                self._then.append(Pass(self.original, once, batch, seed, behind=True))
            self._now.append(Pass(self.pruned, once, batch, seed, behind=False))

    def pairs(self, name: str) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Layer ``name``: its inputs now, its inputs in the original, the outputs to aim at.

        Batch by batch and call by call.
        """
        self.start()
        layer, calls = self.pruned.get_submodule(name), self.layers[name]
        for i, batch in enumerate(self.batches):
            if calls == 1 and i < len(self._now):
                now = self._now[i]
                now.go_to(name)
                if not self.asymmetric:
                    yield now.taken, now.taken, layer.forward(now.taken)
                    continue
                then = self._then[i]
                then.go_to(name)
                yield now.taken, then.taken, then.given
                continue
            said = record(self.pruned, {name: calls}, batch, seed=i)[name]
            aims = record(self.original, {name: calls}, batch, i)[name] if self.asymmetric else said
            for (taken, _), (original_taken, given) in zip(said, aims, strict=True):
                yield taken, original_taken, given

    @torch.no_grad()
    def outputs(self) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
        """What the original and the pruned network give in the end, batch by batch."""
        for i, batch in enumerate(self.batches):
            yield tuple(
                flat_outputs(waiting[i].finish() if i < len(waiting) else _plain(model, batch, i))
                for model, waiting in ((self.original, self._then), (self.pruned, self._now))
            )


def _plain(model: nn.Module, batch: Inputs, seed: int) -> Any:
    """A pass that waits nowhere, with the dice of one that does."""
    one = Pass(model, (), batch, seed, behind=False)
    return one.finish()


class Turn:
    """One layer of the pruned network, when it is its turn: its inputs, the outputs to aim at.

    Attributes
    ----------
    name, layer : of the layer, and itself
    model, batches : the pruned network, and the calibration inputs
    """

    def __init__(self, walk: Walk, name: str, survey: Survey, whole_maps: bool) -> None:
        self.name, self.model, self.batches = name, walk.pruned, walk.batches
        self.layer = walk.pruned.get_submodule(name)
        self._walk, self._survey, self._whole_maps = walk, survey, whole_maps

    @torch.no_grad()
    def pairs(self, name: str) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The layer's inputs now, its inputs in the original, the outputs to aim at."""
        yield from self._walk.pairs(name)

    @cached_property
    def layer_moments(self) -> list[Moments]:
        """Moments of all the layer's inputs X and outputs to aim at Y; of each of its groups."""
        groups = groups_of(self.layer)
        size = width(self.layer, "in") // groups
        found = [Moments() for _ in range(groups)]
        for taken, _, given in self.pairs(self.name):
            for group, moments in enumerate(found):
                mine = None if groups == 1 else torch.arange(group * size, group * size + size)
                X = consumer_inputs(self.layer, taken, mine)
                moments.update(X, consumer_outputs(self.layer, given, group))
        return found

    def moments(self, taken: ConsumerInputs) -> Moments:
        """Moments of a site's channels at one of its consumers; a later one was surveyed."""
        if taken.name != self.name:
            return self._survey.moments(taken)
        rows, W, _ = own_rows(self.layer, taken)
        if self._whole_maps and len(rows) > len(taken.channels):
            before = self._walk.original if self._walk.asymmetric else self.model
            before = before.get_submodule(self.name)
            return map_moments(self.layer, before, taken, self.pairs(self.name))
        return self.layer_moments[taken.group].part(rows, W)

    def write(self, W: Tensor, b: Tensor, group: int = 0) -> None:
        """Give the layer (or one group of it) new weights."""
        self._walk.write(self.name, W, b, group)
