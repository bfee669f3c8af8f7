"""Taking channels out of a network: silencing them, and cutting them away for good.

Both act in place on the network given; `prunekit.prune` hands them copies. What to cut is data (a
`Cut` per module, merged to `Indices`), so the same plan can be replayed on any copy.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from prunekit.network.called import is_depthwise
from prunekit.network.layers import LAYERS, TRANSPOSED, silence_inputs

__all__ = ["Cut", "Indices", "cut_out", "merged", "remove", "silence"]

Indices = dict[str, dict[str, list[int]]]  # module → side → indices there that go, ascending

COUNTS = ("num_features", "num_channels", "num_parameters")  # what norms and PReLU call their width


@dataclass(frozen=True)
class Cut:
    """Which indices of one side of a module belong to each channel of a site.

    Attributes
    ----------
    module : its name
    side : "out" (what it makes), "in" (what it takes), ``name:dim`` for a dimension of a parameter
        or buffer of its own, or the name of a number that the module keeps, such as ``num_heads``,
        or ``name[i]`` of one in a list of numbers
    indices : for each channel, the indices on that side; several where an image was flattened
    """

    module: str
    side: str
    indices: tuple[tuple[int, ...], ...]


class HasCuts(Protocol):
    """Anything with cuts; in practice a `prunekit.Site`."""

    cuts: tuple[Cut, ...]


def merged(channels: Mapping[HasCuts, Iterable[int]]) -> Indices:
    """What has to go from each side of each module when ``channels`` (site → ids) go."""
    found: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for site, ids in channels.items():
        for channel in ids:
            for cut in site.cuts:
                if cut.indices[channel]:
                    found[cut.module][cut.side].update(cut.indices[channel])
    return {
        module: {side: sorted(indices) for side, indices in sides.items()}
        for module, sides in found.items()
    }


@torch.no_grad()
def silence(model: nn.Module, channels: Mapping[HasCuts, Iterable[int]]) -> None:
    """Zero the weights by which consumers take ``channels`` (site → ids), in place."""
    for name, sides in merged(channels).items():
        if "in" in sides:
            silence_inputs(model.get_submodule(name), sides["in"])


def remove(model: nn.Module, channels: Mapping[HasCuts, Iterable[int]]) -> None:
    """Cut ``channels`` (site → ids) out of every module they run through, in place."""
    cut_out(model, merged(channels))


@torch.no_grad()
def cut_out(model: nn.Module, indices: Indices) -> None:
    """Cut ``indices`` out of every module that they name, in place; what is frozen stays so."""
    for name, sides in indices.items():
        module = model.get_submodule(name)
        depthwise = is_depthwise(module)  # before it is cut, for groups may come down to one
        for side, gone in sides.items():
            key, _, dim = side.partition(":")
            if dim:
                _shrink(module, key, int(dim), gone)
            elif side not in ("in", "out"):  # a number, of heads for instance
                _lower(module, side, len(gone))
            elif not isinstance(module, LAYERS):
                _cut_norm(module, gone)
            elif depthwise:
                _cut_depthwise(module, gone)
            else:
                _cut_layer(module, side, gone)


def _lower(module: nn.Module, side: str, by: int) -> None:
    """A number that a module keeps becomes smaller."""
    key, _, place = side.rstrip("]").partition("[")
    value = getattr(module, key)
    if place:
        lower = (v - by * (i == int(place)) for i, v in enumerate(value))
        setattr(module, key, type(value)(lower))
    else:
        setattr(module, key, value - by)


def _cut_layer(layer: nn.Module, side: str, gone: Sequence[int]) -> None:
    """A layer takes or makes fewer channels."""
    dim = (side == "in") != isinstance(layer, TRANSPOSED)  # weights are (out, in) or (in, out)
    size = layer.weight.shape[dim]  # of one group, where that side counts within groups
    _shrink(layer, "weight", int(dim), {i % size for i in gone} if dim else gone)
    if side == "out":
        _shrink(layer, "bias", 0, gone)
    kind = "features" if isinstance(layer, nn.Linear) else "channels"
    setattr(layer, f"{side}_{kind}", getattr(layer, f"{side}_{kind}") - len(gone))


def _cut_depthwise(layer: nn.Module, gone: Sequence[int]) -> None:
    """A layer filters fewer of the channels that it takes, each on its own."""
    each = layer.out_channels // layer.groups  # filters a channel
    made = [i * each + j for i in gone for j in range(each)]
    _shrink(layer, "weight", 0, gone if isinstance(layer, TRANSPOSED) else made)
    _shrink(layer, "bias", 0, made)
    layer.groups = layer.in_channels = layer.groups - len(gone)
    layer.out_channels -= len(made)


def _cut_norm(module: nn.Module, gone: Sequence[int]) -> None:
    """A norm or an activation with a parameter per channel has fewer of them."""
    count = next(key for key in COUNTS if hasattr(module, key))
    size = getattr(module, count)
    for key, tensor in (*module._parameters.items(), *module._buffers.items()):
        if tensor is not None and tensor.ndim and len(tensor) == size:
            _shrink(module, key, 0, gone)
    if isinstance(module, nn.GroupNorm):  # its groups keep their size
        module.num_groups = (size - len(gone)) * module.num_groups // size
    setattr(module, count, size - len(gone))


def _shrink(module: nn.Module, key: str, dim: int, gone: Iterable[int]) -> None:
    """Take indices out of one dimension of a tensor of a module; frozen or not, as it was."""
    tensor: Tensor | None = getattr(module, key)
    if tensor is None:
        return
    kept = sorted({*range(tensor.shape[dim])} - {*gone})
    small = tensor.index_select(dim, torch.tensor(kept, device=tensor.device))
    if tensor.ndim == 4 and not tensor.is_contiguous():
        small = small.contiguous(memory_format=torch.channels_last)
    if isinstance(tensor, nn.Parameter):
        small = nn.Parameter(small, requires_grad=tensor.requires_grad)
    setattr(module, key, small)
