"""Which layers a forward pass calls, how often, and what they share."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from prunekit.network.inputs import Inputs, first_pass
from prunekit.network.layers import LAYERS, groups_of
from prunekit.network.state import undone

__all__ = ["called_layers", "is_depthwise", "shared_weights"]


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
