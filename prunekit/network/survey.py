"""The survey: one pass of the original network tells what every site's consumers take.

PRO tries widths without walking, and a site with several consumers is due before the walk comes to
the later ones: for both, what the original network says has to do.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from prunekit.algebra.moments import Moments
from prunekit.network.calibration import first_inputs
from prunekit.network.collecting import Collector
from prunekit.network.dice import own_dice
from prunekit.network.inputs import Inputs, call, device_of, map_tensors
from prunekit.network.memory import check_room
from prunekit.network.own import map_moments, own_rows
from prunekit.network.ranks import mine, together
from prunekit.network.recording import record
from prunekit.network.sensitivity import sensitivities
from prunekit.network.sites import ConsumerInputs

__all__ = ["Survey"]

FELT = 200  # inputs that tell how much the outputs feel


class Survey:
    """Moments of X, what consumers take of a site, and Y, what that adds to their outputs.

    Parameters
    ----------
    model : the original network
    wanted : of these consumers
    batches : calibration inputs
    whole_maps : of which layers, see `prunekit.network.own.map_moments`
    """

    def __init__(
        self,
        model: nn.Module,
        wanted: Sequence[ConsumerInputs],
        batches: Sequence[Inputs],
        whole_maps: Callable[[str], bool] = lambda name: False,
    ) -> None:
        self.model, self.batches = model, batches
        self._wanted, self._whole_maps = wanted, whole_maps
        self._found: dict[ConsumerInputs, Moments] = {}

    @cached_property
    def sensitivities(self) -> dict[str, list[Tensor]]:
        """How much the outputs feel errors of each layer, `prunekit.network.sensitivity`."""
        return sensitivities(self.model, first_inputs(self.batches, FELT))

    def moments(self, taken: ConsumerInputs) -> Moments:
        """Those of one consumer; the first call runs the pass for all of them."""
        if not self._found:
            self._run()
        return self._found[taken]

    @torch.no_grad()
    def pairs(self, name: str) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The inputs of layer ``name``, twice, and its outputs, as `Walk.pairs` gives it."""
        calls = {name: next(taken.calls for taken in self._wanted if taken.name == name)}
        for seed, batch in enumerate(self.batches):
            for taken, given in record(self.model, calls, batch, seed)[name]:
                yield taken, taken, given

    @torch.no_grad()
    def _run(self) -> None:
        found = {taken: self._collector(taken) for taken in self._wanted}
        hooks = [
            self.model.get_submodule(taken.name).register_forward_pre_hook(
                self._note(taken, collector), with_kwargs=True
            )
            for taken, collector in found.items()
        ]
        device = device_of(self.model)
        try:
            for seed, batch in mine(self.batches):
                with own_dice(device, seed):
                    call(self.model, map_tensors(lambda value: value.to(device), batch))
        finally:
            for hook in hooks:
                hook.remove()
        for taken in self._wanted:
            own = found[taken] if self._maps(taken) else found[taken].moments
            self._found[taken] = self._own(taken, together(own, device))

    def _maps(self, taken: ConsumerInputs) -> bool:
        """Whether its moments are those of whole maps."""
        rows, _, _ = own_rows(self.model.get_submodule(taken.name), taken)
        return self._whole_maps(taken.name) and len(rows) > len(taken.channels)

    def _collector(self, taken: ConsumerInputs) -> Collector | Moments:
        maps = self._maps(taken)
        check_room(self.model, taken.name, len(taken.channels) if maps else None)
        if maps:
            return Moments()
        layer = self.model.get_submodule(taken.name)
        return Collector(layer, taken.group, taken.channels.flatten())

    def _note(self, taken: ConsumerInputs, into: Collector | Moments) -> Callable[..., None]:
        """A hook that adds what a layer takes, call by call."""

        def note(layer: nn.Module, args: tuple, kwargs: dict) -> None:
            inputs = args[0] if args else kwargs["input"]
            if isinstance(into, Moments):
                into.merge(map_moments(layer, layer, taken, [(inputs, inputs, inputs)]))
            else:
                into.update(inputs)

        return note

    def _own(self, taken: ConsumerInputs, found: Moments) -> Moments:
        """Moments of X, and of what it adds to the outputs."""
        if self._maps(taken):
            return found
        rows, W, b = own_rows(self.model.get_submodule(taken.name), taken)
        return found.saying(W[rows], b)
