"""Which layers a forward pass calls, how often, and what they share."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from prunekit.network.given import frozen_copy
from prunekit.network.inputs import Inputs, first_pass, map_tensors
from prunekit.network.layers import LAYERS, groups_of
from prunekit.network.state import undone

__all__ = ["called_layers", "is_depthwise", "precise", "shared_weights"]


def called_layers(model: nn.Module, example: Inputs) -> dict[str, int]:
    """How often a forward pass calls each layer with weights, in the order of first calls."""
    counts: dict[str, int] = {}

    def counter(name: str) -> Callable[..., None]:
        def count(*_: Any) -> None:
            counts[name] = counts.get(name, 0) + 1

        return count

    hooks = [
        layer.register_forward_pre_hook(counter(name))
        for name, layer in model.named_modules()
        if isinstance(layer, LAYERS)
    ]
    try:
        with torch.no_grad(), undone(model.modules()):
            first_pass(model, example)
    finally:
        for hook in hooks:
            hook.remove()
    return counts


def is_depthwise(layer: nn.Module) -> bool:
    """Whether each channel is filtered on its own, once or more: a layer that passes them on."""
    return groups_of(layer) > 1 and layer.groups == layer.in_channels


def shared_weights(modules: Iterable[nn.Module]) -> set[nn.Parameter]:
    """Parameters that more than one module owns."""
    owned = [p for module in modules for p in module.parameters(recurse=False)]
    return {p for p, count in Counter(owned).items() if count > 1}


def precise(
    model: nn.Module, example: Inputs, dtype: torch.dtype = torch.float32
) -> tuple[nn.Module, Inputs]:
    """A frozen copy of a network and its input, in ``dtype`` where that runs and is more."""
    original, more = frozen_copy(model), torch.finfo(dtype).bits
    called_layers(original, example)
    if all(torch.finfo(p.dtype).bits >= more for p in model.parameters() if p.is_floating_point()):
        return original, example

    def wide(value: Tensor) -> Tensor:
        less = value.is_floating_point() and torch.finfo(value.dtype).bits < more
        return value.to(dtype) if less else value

    try:
        copy, inputs = frozen_copy(model).to(dtype), map_tensors(wide, example)
        called_layers(copy, inputs)
    except (ValueError, TypeError):  # its code, or its device, asks for the dtype that it has
        return original, example
    return copy, inputs
