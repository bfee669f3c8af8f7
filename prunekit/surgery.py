"""Taking channels out of a network: silencing them, and cutting them away for good.

Both act in place on the network given; `prunekit.prune` hands them copies. What to cut is data (a
`Cut` per module), so the same plan can be replayed on any copy. The knife itself, which knows how
weights, biases and running statistics of each kind of layer shrink, is torch-pruning's.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn
from torch_pruning import ops
from torch_pruning.pruner.function import PrunerBox

__all__ = ["Cut", "remove", "silence"]


@dataclass(frozen=True)
class Cut:
    """Which indices of one side of a module belong to each channel of a site.

    Attributes
    ----------
    module : its name
    side : "out" (what it makes) or "in" (what it hears)
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


class HasCuts(Protocol):
    """Anything with cuts; in practice a `prunekit.network.Site`."""

    cuts: tuple[Cut, ...]


def _indices(
    channels: Mapping[HasCuts, Iterable[int]],
) -> dict[tuple[str, str], list[int]]:
    """(module, side) → sorted indices, merged over all sites."""
    merged: dict[tuple[str, str], set[int]] = defaultdict(set)
    for site, ids in channels.items():
        for cut in site.cuts:
            merged[cut.module, cut.side].update(i for c in ids for i in cut.indices[c])
    return {key: sorted(found) for key, found in merged.items() if found}


@torch.no_grad()
def silence(model: nn.Module, channels: Mapping[HasCuts, Iterable[int]]) -> None:
    """Zero the weights by which consumers listen to ``channels`` (site → ids), in place."""
    for (name, side), indices in _indices(channels).items():
        if side == "in":
            model.get_submodule(name).weight[:, indices] = 0


def remove(model: nn.Module, channels: Mapping[HasCuts, Iterable[int]]) -> None:
    """Cut ``channels`` (site → ids) out of every module they run through, in place."""
    for (name, side), indices in _indices(channels).items():
        module = model.get_submodule(name)
        knife = PrunerBox[ops.module2type(module)]
        (knife.prune_out_channels if side == "out" else knife.prune_in_channels)(module, indices)
