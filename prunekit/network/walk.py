"""The walk: the original network and the one being pruned, side by side, each pass run once.

Every batch goes through both networks once. A pass waits at each layer that may change: the one of
the original behind the layer, with its outputs, the one of the pruned network in front of it, with
what the layer takes now. When the layer has its new weights, the passes go on with them. So a whole
network costs two forward passes, whatever its depth.

What waits (`prunekit.network.passes`) takes memory; batches beyond a bound do not wait, but start
again at each layer. Of several processes (`prunekit.network.ranks`) each has its own batches.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from types import TracebackType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from prunekit.network.behind import Behind, scale_and_shift
from prunekit.network.calibration import held_back
from prunekit.network.inputs import Inputs, device_of, flat_outputs
from prunekit.network.layers import (
    set_outgoing_weights,
    width,
)
from prunekit.network.memory import free_bytes, waiting_bytes
from prunekit.network.passes import Pass
from prunekit.network.ranks import from_first, mine
from prunekit.network.recording import record

__all__ = ["Seen", "Walk"]


class Walk:
    """Two networks, side by side, on the same batches.

    Parameters
    ----------
    original, pruned : copies of one network; ``pruned`` is rewritten layer by layer
    layers : how often each layer that may change is called, in the order of the forward pass
    batches : calibration inputs
    behind : what comes behind each of them, see `prunekit.network.behind`; nothing by default
    asymmetric : aim at the outputs of the original; else at those of ``pruned`` itself
    copies : how many times the samples are there, one set behind the other (mirrored ones, say)
    memory : bytes that waiting passes may take; a quarter of what is free by default
    """

    def __init__(
        self,
        original: nn.Module,
        pruned: nn.Module,
        layers: Mapping[str, int],
        batches: Sequence[Inputs],
        *,
        behind: Mapping[str, Behind] | None = None,
        asymmetric: bool = True,
        copies: int = 1,
        memory: int | None = None,
    ) -> None:
        # with one network there is nothing that a sum has to make up for
        self.behind = (behind or {}) if asymmetric else {}
        self.original, self.pruned, self.layers = original, pruned, layers
        self.batches, self.asymmetric, self.memory = batches, asymmetric, memory
        self.copies = copies
        self._then: dict[int, Pass] = {}  # of the original, behind each layer, by batch
        self._now: dict[int, Pass] = {}  # of the pruned network, in front of it
        self._started = False

    def __enter__(self) -> "Walk":
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (*self._then.values(), *self._now.values()):
            one.close()

    def write(self, name: str, W: Tensor, b: Tensor, group: int = 0) -> None:
        """Give a layer of the pruned network (or one group of it) new weights."""
        set_outgoing_weights(self.pruned.get_submodule(name), *from_first(W, b), group)

    def start(self) -> None:
        """Make the passes that will wait, as many as the memory bound allows."""
        if self._started:
            return
        self._started = True
        once = [name for name, calls in self.layers.items() if calls == 1]
        room = free_bytes(device_of(self.pruned)) // 4 if self.memory is None else self.memory
        each = waiting_bytes(self.pruned, once, self.batches[0]) * (1 + self.asymmetric)
        waiting = {name: self.behind.get(name, Behind()) for name in once}
        for i, batch in islice(mine(self.batches), max(0, room // max(each, 1))):
            if self.asymmetric:
                self._then[i] = Pass(self.original, waiting, batch, i, behind=True)
            self._now[i] = Pass(self.pruned, waiting, batch, i, behind=False)

    def seen(self, name: str, everywhere: bool = False) -> "Iterator[Seen]":
        """What there is to see of layer ``name``, batch by batch and call by call.

        In the batches of this process, or in those of all processes.
        """
        self.start()
        layer, calls, line = self.pruned.get_submodule(name), self.layers[name], self.line(name)
        parts = held_back(self.batches, self.copies)
        batches = [*zip(self.batches, parts, strict=True)]
        for i, (batch, held) in enumerate(batches) if everywhere else mine(batches):
            if calls > 1:
                said = record(self.pruned, {name: calls}, batch, seed=i)[name]
                aims = said
                if self.asymmetric:
                    aims = record(self.original, {name: calls}, batch, i)[name]
                for (taken, _), (original_taken, given) in zip(said, aims, strict=True):
                    yield Seen(taken, original_taken, given, held, *line)
                continue
            with self._there(i, self.pruned, name) as now:
                if not self.asymmetric:
                    yield Seen(now.taken, now.taken, layer.forward(now.taken), held, *line)
                    continue
                with self._there(i, self.original, name) as then:
                    yield self._seen(line, now, then, held)

    @contextmanager
    def _there(self, i: int, model: nn.Module, name: str) -> Iterator[Pass]:
        """The pass of batch ``i`` at layer ``name``: one that waits, or one that starts again."""
        waiting = self._now if model is self.pruned else self._then
        if i in waiting:
            waiting[i].go_to(name)
            yield waiting[i]
            return
        here = {name: self.behind.get(name, Behind())}
        again = Pass(model, here, self.batches[i], i, behind=model is not self.pruned)
        try:
            again.go_to(name)
            yield again
        finally:
            again.close()

    def _seen(self, line: tuple[Tensor, Tensor], now: Pass, then: Pass, held: Tensor) -> "Seen":
        """The outputs to aim at make up for what the other summand lacks now."""
        scale, shift = line
        if now.other is None:
            return Seen(now.taken, then.taken, then.given, held, scale, shift)
        heard = scale.abs() > 1e-6 * scale.abs().max()  # a norm may let nothing through
        lack = ((then.other - now.other) / scale).where(heard, 0.0)
        return Seen(now.taken, then.taken, then.given + lack, held, scale, shift + now.other)

    def line(self, name: str) -> tuple[Tensor, Tensor]:
        """Scale and shift of the norm behind a layer, to be multiplied with what it gives."""
        layer, norm = self.original.get_submodule(name), self.behind.get(name, Behind()).norm
        norm = None if norm is None else self.original.get_submodule(norm)
        ones = [1] * len(getattr(layer, "kernel_size", ()))
        like = layer.weight.new_zeros(width(layer, "out"))
        return tuple(v.to(like).view(-1, *ones) for v in scale_and_shift(norm, like))

    def pairs(self, name: str) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Layer ``name``: its inputs now, its inputs in the original, the outputs to aim at.

        Batch by batch and call by call, in every process all of them.
        """
        for seen in self.seen(name, everywhere=True):
            yield seen[:3]

    @torch.no_grad()
    def outputs(self) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
        """What the original and the pruned network give in the end, batch by batch."""
        for i, batch in mine(self.batches):
            yield tuple(
                flat_outputs(waiting[i].finish() if i in waiting else _plain(model, batch, i))
                for model, waiting in ((self.original, self._then), (self.pruned, self._now))
            )


def _plain(model: nn.Module, batch: Inputs, seed: int) -> Any:
    """A pass that waits nowhere, with the dice of one that does."""
    one = Pass(model, {}, batch, seed, behind=False)
    return one.finish()


class Seen(NamedTuple):
    """A batch at a layer.

    Attributes
    ----------
    taken, before : the layer's inputs now, and its inputs in the original
    aim : the outputs y to aim at
    held : bool (samples,), those of the batch that are held back
    scale, offset : what a ReLU behind the layer takes is scale·y + offset
    """

    taken: Tensor
    before: Tensor
    aim: Tensor
    held: Tensor
    scale: Tensor
    offset: Tensor

    def before_relu(self, y: Tensor) -> Tensor:
        """What a ReLU behind the layer takes of its outputs."""
        return torch.addcmul(self.offset, self.scale, y)
