"""What comes right behind a layer: a batch norm that alone takes its outputs, and then a ReLU."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from prunekit.network.inputs import Inputs, call
from prunekit.network.layers import LAYERS

__all__ = ["behind"]

LOOKING = ("__get__", "size", "dim", "numel", "stride", "__len__", "is_floating_point")


class _Uses(TorchFunctionMode):
    """Notes which functions take the tensors that it watches."""

    def __init__(self) -> None:
        super().__init__()
        self.watched: dict[int, tuple[Tensor, list[str]]] = {}

    def watch(self, value: Tensor) -> list[str]:
        """The names of functions that will take ``value``; kept alive, so that ids stay unique."""
        self.watched[id(value)] = (value, [])
        return self.watched[id(value)][1]

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        taken = [v for v in tree_leaves((args, kwargs)) if id(v) in self.watched]
        versions = [value._version for value in taken]
        out = func(*args, **(kwargs or {}))
        for value, version in zip(taken, versions, strict=True):
            changed = value._version != version
            handed_on = out is value and not changed  # as a dropout does in eval
            if func.__name__ not in LOOKING and not handed_on:
                self.watched[id(value)][1].append(func.__name__)
            if changed:  # in place: from now on it is another
                self.watch(value)
        return out


@torch.no_grad()
def behind(model: nn.Module, example: Inputs) -> dict[str, tuple[str | None, bool]]:
    """Layer → the batch norm that alone takes its outputs, and whether a ReLU is next."""
    uses = _Uses()
    given: dict[str, list[str]] = {}  # what takes the outputs of a layer or norm
    norms: dict[int, str] = {}  # id of such a list → the batch norm among them

    def note(name: str, module: nn.Module, args: tuple, kwargs: dict, out: Any) -> None:
        values = args[0] if args else kwargs.get("input")
        if isinstance(module, _BatchNorm) and id(values) in uses.watched:
            norms[id(uses.watched[id(values)][1])] = name
        if isinstance(out, Tensor):
            given[name] = [*given[name], "again"] if name in given else uses.watch(out)

    hooks = [
        module.register_forward_hook(lambda *args, n=name: note(n, *args), with_kwargs=True)
        for name, module in model.named_modules()
        if isinstance(module, (*LAYERS, _BatchNorm))
    ]
    try:
        with uses:
            call(model, example)
    finally:
        for hook in hooks:
            hook.remove()
    found = {}
    for name, names in given.items():
        norm = norms.get(id(names)) if len(names) == 1 else None
        names = given[norm] if norm else names
        found[name] = norm, names in (["relu"], ["relu_"])
    return found
