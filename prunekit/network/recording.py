"""What layers take and give in a forward pass: this is where networks become arrays."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prunekit.network.dice import own_dice
from prunekit.network.inputs import Inputs, call, device_of, map_tensors
from prunekit.network.layers import by_channel
from prunekit.network.sites import ConsumerInputs

__all__ = ["Stop", "inputs_with_gradients", "record"]

Said = dict[str, list[tuple[Tensor, Tensor]]]  # inputs and outputs of a layer, call by call


class Stop(BaseException):
    """Ends a forward pass early; a network that catches its own exceptions does not swallow it."""


def record(model: nn.Module, calls: Mapping[str, int], inputs: Inputs, seed: int = 0) -> Said:
    """Inputs and outputs of layers in one pass, which ends when all of them were called.

    Parameters
    ----------
    calls : how often each layer is called
    seed : of the random numbers that the network may draw
    """
    said: Said = {name: [] for name in calls}

    def hook(name: str) -> Any:
        def note(_layer: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> None:
            pair = args[0] if args else kwargs["input"], output
            said[name].append(pair)
            if all(len(said[other]) >= count for other, count in calls.items()):
                raise Stop
            # what comes next may overwrite them in place, as ReLU(inplace=True) does
            said[name][-1] = tuple(value.clone() for value in pair)

        return model.get_submodule(name).register_forward_hook(note, with_kwargs=True)

    device = device_of(model)
    hooks = [hook(name) for name in calls]
    try:
        with own_dice(device, seed):
            call(model, map_tensors(lambda value: value.to(device), inputs))
    except Stop:
        pass
    finally:
        for handle in hooks:
            handle.remove()
    return said


def inputs_with_gradients(
    model: nn.Module, taken: ConsumerInputs, batches: Iterable[Inputs]
) -> Iterator[tuple[Tensor, Tensor]]:
    """What a consumer takes of a site, and the gradient of a loss there, batch by batch.

    Both are (images, channels, positions). The loss is the cross-entropy to the network's own
    likeliest class, so no labels are needed.
    """
    layer, said = model.get_submodule(taken.name), []

    def leaf(_layer: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        said.append((args[0] if args else kwargs["input"]).detach().requires_grad_())
        return (said[-1],), {}

    for batch in batches:
        hook = layer.register_forward_pre_hook(leaf, with_kwargs=True)
        try:
            with torch.enable_grad():
                z = call(model, map_tensors(lambda v: v.to(device_of(model)), batch))
                if not isinstance(z, Tensor) or z.ndim != 2:
                    raise ValueError("gradients need a network that gives (images, classes)")
                loss = F.cross_entropy(z, z.detach().argmax(1), reduction="sum")
                (gradient,) = torch.autograd.grad(loss, said[-1])
        finally:
            hook.remove()
        pair, said[:] = (said[-1].detach(), gradient), []
        yield tuple(by_channel(layer, values, taken.channels) for values in pair)
