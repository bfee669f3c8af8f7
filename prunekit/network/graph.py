"""What a network is made of: its layers as a forward pass calls them, and the traced graph."""

import ctypes
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch_pruning as tp
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from prunekit.network.inputs import Inputs, first_pass, map_tensors
from prunekit.network.layers import CONVOLUTIONS, LAYERS, groups_of

__all__ = [
    "TIME_LIMIT",
    "behind",
    "bounded",
    "called_layers",
    "is_depthwise",
    "shared_weights",
    "trace",
]

TIME_LIMIT = 30.0  # seconds for torch-pruning's graph, which on some networks would never end


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
        with torch.no_grad():
            first_pass(model, example)
    finally:
        for hook in hooks:
            hook.remove()
    return counts


def trace(model: nn.Module, example: Inputs) -> tp.DependencyGraph:
    """torch-pruning's graph of a copy; it needs autograd on and warns a lot, both are seen to."""
    model.requires_grad_(True)
    for layer in model.modules():
        # how edges are padded changes no structure, but can stall the tracing
        if isinstance(layer, CONVOLUTIONS):
            layer.padding_mode = "zeros"
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inputs = map_tensors(lambda value: value[:1], example)
        return tp.DependencyGraph().build_dependency(
            model, list(inputs) if isinstance(inputs, tuple) else inputs, verbose=False
        )


def bounded(function: Callable[[], Any], seconds: float | None = None) -> Any:
    """What ``function`` returns, or a TimeoutError after `TIME_LIMIT`; its errors pass through."""
    seconds = TIME_LIMIT if seconds is None else seconds
    done: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            done.append(function())
        except BaseException as error:  # handed on below
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        thread.join(seconds)
        late = thread.is_alive()
    finally:  # also after an interrupt: nothing goes on behind the user's back
        stop = ctypes.pythonapi.PyThreadState_SetAsyncExc
        for _ in range(50):
            if not thread.is_alive():
                break
            stop(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
            thread.join(0.1)
    if late:
        raise TimeoutError(f"no end after {seconds:g} seconds")
    if errors:
        raise errors[0]
    return done[0]


def is_depthwise(layer: nn.Module) -> bool:
    """Whether each channel is filtered on its own: such a layer only passes channels on."""
    return groups_of(layer) > 1 and layer.groups == layer.in_channels == layer.out_channels


def behind(
    graph: tp.DependencyGraph, layer: nn.Module, names: dict[nn.Module, str]
) -> tuple[str | None, bool]:
    """The batch norm that alone takes the outputs of a layer, and whether a ReLU is next."""
    if layer not in graph.module2node:
        return None, False
    norm, nodes = None, graph.module2node[layer].outputs
    if len(nodes) == 1 and isinstance(nodes[0].module, _BatchNorm):
        norm, nodes = names[nodes[0].module], nodes[0].outputs
    functions = [None if node.grad_fn is None else node.grad_fn.name() for node in nodes]
    return norm, functions == ["ReluBackward0"]


def shared_weights(modules: Iterable[nn.Module]) -> set[nn.Parameter]:
    """Parameters that more than one module owns."""
    owned = [p for module in modules for p in module.parameters(recurse=False)]
    return {p for p, count in Counter(owned).items() if count > 1}
