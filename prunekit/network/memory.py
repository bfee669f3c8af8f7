"""How much memory there is, and how much a forward pass holds while it waits."""

import os
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from prunekit.network.dice import own_dice
from prunekit.network.inputs import Inputs, call, device_of, map_tensors
from prunekit.network.layers import groups_of, width

__all__ = ["check_room", "free_bytes", "too_wide", "waiting_bytes"]

COPIES = 8  # of a layer's moments at once: of both parts, of all, factors, inverse, what waits
MAPPED = 32  # of XᵀY where channels get one coefficient each: weights, targets, what waits
UNKNOWN = 2**32  # bytes that are taken to be free where the system does not tell


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device, as far as the system tells."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        with open("/proc/meminfo") as lines:
            fields = dict(line.split(":") for line in lines)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):  # Windows
        return UNKNOWN


def _moment_bytes(layer: nn.Module) -> int:
    """What the second moments of a layer, and what is made of them, will take in float64."""
    d = layer.weight.numel() // width(layer, "out")  # columns of X
    return COPIES * 8 * d * (d + width(layer, "out") // groups_of(layer))


def too_wide(model: nn.Module, names: Iterable[str]) -> dict[str, str]:
    """Layers whose moments do not fit into what is free, with what they would take, in words."""
    free = free_bytes(device_of(model))
    needs = {name: _moment_bytes(model.get_submodule(name)) for name in names}
    return {name: _words(need, free) for name, need in needs.items() if need > free}


def check_room(model: nn.Module, name: str, channels: int | None = None) -> None:
    """Refuse, before anything is allocated, moments that do not fit.

    Parameters
    ----------
    channels : that get one coefficient each; without it all columns of X count
    """
    free, layer = free_bytes(device_of(model)), model.get_submodule(name)
    need = _moment_bytes(layer)
    if channels is not None:  # XᵀY (channels, taps·outputs) is as large as the weight
        need = MAPPED * 8 * max(channels**2, layer.weight.numel())
    if need > free:
        raise ValueError(
            f"{name} takes so many inputs that its second moments and their factors would take "
            f"{_words(need, free)}: leave it alone (ignored_layers=[{name!r}]), or use a machine "
            "with more"
        )


def _words(need: int, free: int) -> str:
    return f"{need / 1e9:,.1f} GB, {free / 1e9:,.1f} GB are free"


class _Alive(TorchDispatchMode):
    """Notes every tensor that an operation makes, for as long as somebody keeps it."""

    def __init__(self, ours: set[int]) -> None:
        super().__init__()
        self.ours, self.made = ours, []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self.made += [weakref.ref(t) for t in tree_leaves(out) if isinstance(t, Tensor)]
        return out

    def bytes(self) -> int:
        """What is alive of it; views of one storage count once, the network's own not at all."""
        self.made = [ref for ref in self.made if ref() is not None]
        storages = {t.untyped_storage().data_ptr(): t for t in (ref() for ref in self.made)}
        return sum(t.untyped_storage().nbytes() for p, t in storages.items() if p not in self.ours)


@torch.no_grad()
def waiting_bytes(model: nn.Module, names: Sequence[str], inputs: Inputs) -> int:
    """The most that a pass of ``inputs`` holds in front of one of the layers ``names``."""
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    alive, most = _Alive(own), [0]

    def look(*_: Any) -> None:
        most[0] = max(most[0], alive.bytes())

    hooks = [model.get_submodule(name).register_forward_pre_hook(look) for name in names]
    try:
        with own_dice(device_of(model)), alive:
            call(model, map_tensors(lambda value: value.to(device_of(model)), inputs))
    finally:
        for hook in hooks:
            hook.remove()
    return most[0]
