"""Taking channels out of a network: silencing them, and cutting them away for good.

Both act in place on the network given; `prunekit.prune` hands them copies. What to cut is data (a
`Cut` per module, merged to `Indices`), so the same plan can be replayed on any copy. The knife
itself, which knows how weights, biases and running statistics of each kind of layer shrink, is
torch-pruning's.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn
from torch_pruning import ops
from torch_pruning.pruner.function import PrunerBox

from prunekit.network.layers import silence_inputs

__all__ = ["Cut", "Indices", "cut_out", "merged", "remove", "silence"]

Indices = dict[str, dict[str, list[int]]]  # module → side → indices there that go, ascending


@dataclass(frozen=True)
class Cut:
    """Which indices of one side of a module belong to each channel of a site.

    Attributes
    ----------
    module : its name
    side : "out" (what it makes), "in" (what it hears), or the name of a count that the module keeps
        of them, such as ``num_heads``
    indices : for each channel, the indices on that side; several where an image was flattened
    """

    module: str
    side: str
    indices: tuple[tuple[int, ...], ...]

    @classmethod
    def from_pairs(
        cls, module: str, side: str, channels: int, roots: Iterable[int], indices: Iterable[int]
    ) -> "Cut":
        """Group ``indices`` by the channel (``roots``) that each belongs to."""
        owned: dict[int, list[int]] = defaultdict(list)
        for root, index in zip(roots, indices, strict=True):
            owned[root].append(index)
        return cls(module, side, tuple(tuple(sorted(owned[c])) for c in range(channels)))

    def bundled(self, bundles: Sequence[Sequence[int]]) -> "Cut":
        """The same cut when channels go in bundles, each of them counting as one."""
        joined = (sorted(i for c in bundle for i in self.indices[c]) for bundle in bundles)
        return Cut(self.module, self.side, tuple(map(tuple, joined)))


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
    """Zero the weights by which consumers listen to ``channels`` (site → ids), in place."""
    for name, sides in merged(channels).items():
        if "in" in sides:
            silence_inputs(model.get_submodule(name), sides["in"])


def remove(model: nn.Module, channels: Mapping[HasCuts, Iterable[int]]) -> None:
    """Cut ``channels`` (site → ids) out of every module they run through, in place."""
    cut_out(model, merged(channels))


def cut_out(model: nn.Module, indices: Indices) -> None:
    """Cut ``indices`` out of every module that they name, in place; what is frozen stays so."""
    for name, sides in indices.items():
        module = model.get_submodule(name)
        flags = {key: p.requires_grad for key, p in module.named_parameters(recurse=False)}
        kind = ops.module2type(module)
        knife = PrunerBox[kind] if kind in PrunerBox else None
        for side, gone in sides.items():
            if side not in ("in", "out"):  # a count, of heads for instance
                setattr(module, side, getattr(module, side) - len(gone))
                continue
            (knife.prune_out_channels if side == "out" else knife.prune_in_channels)(module, gone)
        for key, parameter in module.named_parameters(recurse=False):  # new ones, made by the knife
            parameter.requires_grad_(flags[key])
