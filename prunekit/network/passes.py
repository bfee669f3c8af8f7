"""One forward pass that waits: in a thread of its own, on a shell of the network.

The shell is a copy of the modules that shares every parameter and buffer, so new weights reach the
passes that wait, while what forward() stores on ``self`` is the pass's own. Only one pass runs at a
time, and each throws dice of its own, so it gives what a plain pass would give.

At the end of a residual block the place to wait is the addition: there it is known what the layer
is added to. The layer has spoken by then, so when the pass goes on it speaks again.
"""

import copy
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from prunekit.network.behind import Behind, other_summand
from prunekit.network.dice import own_dice
from prunekit.network.inputs import Inputs, call, device_of, map_tensors
from prunekit.network.recording import Stop

__all__ = ["Pass"]


class Pass:
    """One batch's forward pass, which waits at given layers.

    Parameters
    ----------
    layers : those layers, each called once, with what comes behind them
    seed : of the random numbers that the network may draw
    behind : wait behind them, with what they gave, else in front of them

    Attributes
    ----------
    at : the layer where it waits; None before the start and after the end
    taken, given : what that layer takes, and (behind it, and at an addition) gives
    other : what the addition behind it adds to that
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Mapping[str, Behind],
        inputs: Inputs,
        seed: int,
        *,
        behind: bool,
    ) -> None:
        shared = {id(t): t for t in (*model.parameters(), *model.buffers())}
        self._shell = copy.deepcopy(model, shared)
        self._device = device_of(model)
        self.at: str | None = None
        self.taken = self.given = self.other = None
        self.summand: Tensor | None = None  # what the layer, or its norm, gave, to be added
        self._error: BaseException | None = None
        self._outputs: Any = None
        self._stopped = self._ended = False
        self._dice = torch.Generator().manual_seed(seed).get_state()
        self._go, self._here = threading.Semaphore(0), threading.Semaphore(0)
        self._layers, self._behind = layers, behind
        self._names = {self._shell.get_submodule(name): name for name in layers}
        for layer, name in self._names.items():
            if layers[name].adds:
                layer.register_forward_hook(self._note, with_kwargs=True)
                if layers[name].norm is not None:
                    norm = self._shell.get_submodule(layers[name].norm)
                    norm.register_forward_hook(self._normed)
            elif behind:
                layer.register_forward_hook(self._wait, with_kwargs=True)
            else:
                layer.register_forward_pre_hook(self._wait, with_kwargs=True)
        self._thread = threading.Thread(target=self._run, args=(inputs,), daemon=True)

    @torch.no_grad()
    def _run(self, inputs: Inputs) -> None:
        self._go.acquire()
        try:
            if not self._stopped:
                inputs = map_tensors(lambda value: value.to(self._device), inputs)
                with (
                    _Additions(self)
                    if any(b.adds for b in self._layers.values())
                    else nullcontext()
                ):
                    self._outputs = call(self._shell, inputs)
        except Stop:
            pass
        except BaseException as error:  # handed on to whoever waits for this pass
            self._error = error
        self.at, self._ended = None, True
        self._here.release()

    def _wait(
        self, layer: nn.Module, args: tuple, kwargs: Mapping, given: Tensor | None = None
    ) -> None:
        """The hook, called in the pass's own thread: hand over, and wait to go on."""
        self.given, self.taken = given, args[0] if args else kwargs["input"]
        self._hand_over(self._names[layer])
        self.taken = self.given = None

    def _hand_over(self, name: str) -> None:
        self.at = name
        self._here.release()
        self._go.acquire()
        if self._stopped:
            raise Stop

    def _note(self, layer: nn.Module, args: tuple, kwargs: Mapping, given: Tensor) -> None:
        """The hook of a layer that is waited for at the addition."""
        self._spoke = layer
        self.taken, self.given = args[0] if args else kwargs["input"], given
        self.summand = given

    def _normed(self, _norm: nn.Module, args: tuple, given: Tensor) -> None:
        if args[0] is self.summand:
            self.summand = given

    def add(self, other: Tensor) -> Tensor:
        """At the addition: wait, and say again what is added to ``other``."""
        layer, taken, said = self._spoke, self.taken, self.summand
        name, self.summand, self.other = self._names[layer], None, other
        self._hand_over(name)
        self.taken = self.given = self.other = None
        if self._behind:  # nothing has changed
            return said
        said, norm = layer.forward(taken), self._layers[name].norm
        return said if norm is None else self._shell.get_submodule(norm).forward(said)

    def go_to(self, name: str) -> None:
        """Run on until the pass waits at layer ``name``; others on the way are passed by."""
        while self.at != name:
            self._go_on()
            if self.at is None:
                raise ValueError(
                    f"{name} is called for example_inputs, but not for every calibration batch: a "
                    "network whose layers depend on the data cannot be refitted layer by layer"
                )

    def finish(self) -> Any:
        """Run to the end; what the network gave."""
        while not self._ended:
            self._go_on()
        return self._outputs

    def _go_on(self) -> None:
        """Run until the next layer where it waits, or to the end."""
        if not self._thread.is_alive():
            self._thread.start()
        with own_dice(self._device):
            torch.set_rng_state(self._dice)  # every pass throws dice of its own
            self._go.release()
            self._here.acquire()
            self._dice = torch.get_rng_state()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Unwind the pass, wherever it is."""
        self._stopped = True
        while self._thread.is_alive():
            self._go.release()
            self._thread.join(0.05)


class _Additions(TorchFunctionMode):
    """Lets a pass wait where what its layer gave is added to something."""

    def __init__(self, waiting: Pass) -> None:
        super().__init__()
        self.waiting = waiting

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        summand = self.waiting.summand
        other = None if summand is None else other_summand(func, args, kwargs, summand)
        if other is not None:
            again = self.waiting.add(other)
            args = tuple(again if value is summand else value for value in args)
        return func(*args, **(kwargs or {}))
