"""What comes right behind a layer: a batch norm, an addition, a ReLU, if it alone takes it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from prunekit.algebra.moments import float64
from prunekit.network.inputs import Inputs, call
from prunekit.network.layers import LAYERS

__all__ = ["Behind", "behind", "other_summand", "scale_and_shift"]

LOOKING = ("__get__", "size", "dim", "numel", "stride", "__len__", "is_floating_point")


@dataclass(frozen=True)
class Behind:
    """What takes a layer's outputs, and nothing else does.

    Attributes
    ----------
    norm : the batch norm that does, if there is one
    adds : whether an addition then takes what came of them, as at the end of a residual block, with
        no other layer called in between
    relu : whether a ReLU then takes what came of them
    """

    norm: str | None = None
    adds: bool = False
    relu: bool = False


def other_summand(func: Any, args: tuple, kwargs: dict | None, value: Tensor) -> Tensor | None:
    """What is added to ``value``, if ``func`` adds two tensors of one shape and it is one."""
    if func.__name__ not in ("add", "add_", "__iadd__") or kwargs or len(args) != 2:
        return None
    for one, other in (args, args[::-1]):
        same = isinstance(other, Tensor) and other is not value and other.shape == value.shape
        if one is value and same:
            return other
    return None


class _Uses(TorchFunctionMode):
    """Notes which functions take the tensors that it watches."""

    def __init__(self) -> None:
        super().__init__()
        self.watched: dict[int, tuple[Tensor, list[str]]] = {}
        # id of such a list → what takes the sum, and the layer called last before the addition
        self.sums: dict[int, tuple[list[str], str | None]] = {}
        self.last: tuple[str, Any, int] | None = None  # that layer, what it took, its version

    def watch(self, value: Tensor) -> list[str]:
        """The names of functions that will take ``value``; kept alive, so that ids stay unique."""
        self.watched[id(value)] = (value, [])
        return self.watched[id(value)][1]

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        taken = [v for v in tree_leaves((args, kwargs)) if id(v) in self.watched]
        uses = [self.watched[id(value)][1] for value in taken]
        versions = [value._version for value in taken]
        summands = [v for v in taken if other_summand(func, args, kwargs, v) is not None]
        last = self._last()
        out = func(*args, **(kwargs or {}))
        for value, names, version in zip(taken, uses, versions, strict=True):
            changed = value._version != version
            handed_on = out is value and not changed  # as a dropout does in eval
            if func.__name__ not in LOOKING and not handed_on:
                names.append(func.__name__)
            if changed:  # in place: from now on it is another
                self.watch(value)
        for value, names in zip(taken, uses, strict=True):
            if any(value is summand for summand in summands):
                known = id(out) in self.watched
                self.sums[id(names)] = self.watched[id(out)][1] if known else self.watch(out), last
        return out

    def _last(self) -> str | None:
        """The layer called last, if what it took is still there."""
        name, taken, version = self.last or (None, None, None)
        return name if isinstance(taken, Tensor) and taken._version == version else None


@torch.no_grad()
def behind(model: nn.Module, example: Inputs) -> dict[str, Behind]:
    """What comes right behind each layer and each batch norm of a network."""
    uses = _Uses()
    given: dict[str, list[str]] = {}  # what takes the outputs of a layer or norm
    norms: dict[int, str] = {}  # id of such a list → the batch norm among them

    def note(name: str, module: nn.Module, args: tuple, kwargs: dict, out: Any) -> None:
        values = args[0] if args else kwargs.get("input")
        if isinstance(module, _BatchNorm) and id(values) in uses.watched:
            norms[id(uses.watched[id(values)][1])] = name
        elif isinstance(module, LAYERS):
            uses.last = name, values, getattr(values, "_version", None)
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
        follows, last = uses.sums.get(id(names), (names, None))
        adds = last == name and len(names) == 1
        found[name] = Behind(norm, adds, (follows if adds else names) in (["relu"], ["relu_"]))
    return found


def scale_and_shift(norm: nn.Module | None, like: Tensor, group: int = 0) -> tuple[Tensor, Tensor]:
    """γ/σ and β − γμ/σ of a batch norm, of the outputs of one group; 1 and 0 without one."""
    if norm is None or norm.running_var is None:
        return torch.ones_like(like), torch.zeros_like(like)
    scale = (float64(norm.running_var) + norm.eps).rsqrt()
    scale = scale if norm.weight is None else scale * float64(norm.weight)
    shift = (0 if norm.bias is None else float64(norm.bias)) - scale * float64(norm.running_mean)
    part = slice(group * len(like), (group + 1) * len(like))
    return scale[part], shift[part]
