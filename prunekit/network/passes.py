"""One forward pass that waits: in a thread of its own, on a shell of the network.

The shell is a copy of the modules that shares every parameter and buffer, so new weights reach the
passes that wait, while what forward() stores on ``self`` is the pass's own. Only one pass runs at a
time, and each throws dice of its own, so it gives what a plain pass would give.
"""

import copy
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from prunekit.network.dice import own_dice
from prunekit.network.inputs import Inputs, call, device_of, map_tensors
from prunekit.network.recording import Stop

__all__ = ["Pass"]


class Pass:
    """One batch's forward pass, which waits at given layers.

    Parameters
    ----------
    names : of the layers, each called once
    behind : wait behind them, with what they gave, else in front of them
    seed : of the random numbers that the network may draw

    Attributes
    ----------
    at : the layer where it waits; None before the start and after the end
    taken, given : what that layer takes, and (behind it) gives
    """

    def __init__(
        self, model: nn.Module, names: Sequence[str], inputs: Inputs, seed: int, *, behind: bool
    ) -> None:
        shared = {id(t): t for t in (*model.parameters(), *model.buffers())}
        self._shell = copy.deepcopy(model, shared)
        self._device = device_of(model)
        self.at: str | None = None
        self.taken: Tensor | None = None
        self.given: Tensor | None = None
        self._error: BaseException | None = None
        self._outputs: Any = None
        self._stopped = self._ended = False
        self._dice = torch.Generator().manual_seed(seed).get_state()
        self._go, self._here = threading.Semaphore(0), threading.Semaphore(0)
        self._names = {self._shell.get_submodule(name): name for name in names}
        for layer in self._names:
            if behind:
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
        self.at, self.given = self._names[layer], given
        self.taken = args[0] if args else kwargs["input"]
        self._here.release()
        self._go.acquire()
        self.taken = self.given = None
        if self._stopped:
            raise Stop

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
