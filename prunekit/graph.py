"""What a network is made of: its layers as a forward pass calls them, and the traced graph."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch_pruning as tp
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from prunekit.inputs import Inputs, call, map_tensors

__all__ = [
    "LAYERS",
    "OTHER_LAYERS",
    "behind",
    "called_layers",
    "is_depthwise",
    "shared_weights",
    "trace",
]

LAYERS = (nn.Conv2d, nn.Linear)
OTHER_LAYERS = (nn.Conv1d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


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
        if isinstance(layer, LAYERS + OTHER_LAYERS)
    ]
    try:
        with torch.no_grad():
            call(model, example)
    finally:
        for hook in hooks:
            hook.remove()
    return counts


def trace(model: nn.Module, example: Inputs) -> tp.DependencyGraph:
    """torch-pruning's graph of a copy; it needs autograd on and warns a lot, both are seen to."""
    model.requires_grad_(True)
    for layer in model.modules():
        if isinstance(layer, LAYERS):  # how edges are padded changes no structure, but can stall it
            layer.padding_mode = "zeros"
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inputs = map_tensors(lambda value: value[:1], example)
        return tp.DependencyGraph().build_dependency(
            model, list(inputs) if isinstance(inputs, tuple) else inputs, verbose=False
        )


def is_depthwise(layer: nn.Module) -> bool:
    """Whether each channel is filtered on its own: such a layer only passes channels on."""
    return (
        getattr(layer, "groups", 1) > 1 and layer.groups == layer.in_channels == layer.out_channels
    )


def behind(
    graph: tp.DependencyGraph, layers: list[str], names: dict[nn.Module, str]
) -> tuple[str | None, bool]:
    """The batch norm that alone takes the outputs of a single layer, and whether a ReLU is next."""
    modules = {name: module for module, name in names.items()}
    if len(layers) != 1:
        return None, False
    norm, nodes = None, graph.module2node[modules[layers[0]]].outputs
    if len(nodes) == 1 and isinstance(nodes[0].module, _BatchNorm):
        norm, nodes = names[nodes[0].module], nodes[0].outputs
    functions = [None if node.grad_fn is None else node.grad_fn.name() for node in nodes]
    return norm, functions == ["ReluBackward0"]


def shared_weights(modules: Iterable[nn.Module]) -> set[nn.Parameter]:
    """Parameters that more than one module owns."""
    owned = [p for module in modules for p in module.parameters(recurse=False)]
    return {p for p, count in Counter(owned).items() if count > 1}
