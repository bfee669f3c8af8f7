"""Channels that go together: connected components of who arrives where."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

__all__ = ["Group", "Tie", "groups"]

Key = tuple[str, str]  # a module and one of its sides
Tie = tuple[
    Key, Tensor, Key, Tensor
]  # these indices of one side hang together with those of another
Group = dict[Key, Tensor]  # int64 (n, m): which m indices of a side belong to each of n channels


def groups(sizes: Mapping[Key, int], ties: Iterable[Tie]) -> list[Group]:
    """Sets of channels, in the order of ``sizes``; all channels of a set look alike.

    A channel is all that hangs together. Two look alike when they have equally many indices on the
    same sides of the same modules.
    """
    keys = list(sizes)
    ends = torch.tensor([0, *sizes.values()]).cumsum(0).tolist()
    start = dict(zip(keys, ends, strict=False))
    pairs = [torch.stack([start[one] + i, start[other] + j]) for one, i, other, j in ties if len(i)]
    labels = _components(ends[-1], torch.cat(pairs, 1) if pairs else torch.empty(2, 0).long())
    found, channel = torch.unique(labels, return_inverse=True)  # channels, by their first index
    # channels look alike when the numbers of their sides have the same sum
    numbers = torch.randint(2**40, (len(keys),), generator=torch.Generator().manual_seed(0))
    side = torch.arange(len(keys)).repeat_interleave(torch.tensor(list(sizes.values())))
    looks = torch.zeros(len(found), dtype=torch.long).index_add_(0, channel, numbers[side])
    alike, kind = torch.unique(looks, return_inverse=True)
    counts = torch.bincount(kind)
    sets: list[Group] = [{} for _ in alike]
    for key in keys:
        mine = channel[start[key] : start[key] + sizes[key]]  # the channel of each index
        for one in kind[mine].unique().tolist():
            indices = (kind[mine] == one).nonzero()[:, 0]
            order = mine[indices].argsort(stable=True)
            sets[one][key] = indices[order].view(int(counts[one]), -1)
    first = torch.full((len(alike),), len(found)).scatter_reduce(
        0, kind, torch.arange(len(found)), "amin"
    )
    return [sets[one] for one in first.argsort().tolist()]


def _components(size: int, pairs: Tensor) -> Tensor:
    """For each of ``size`` nodes the smallest that it hangs together with; pairs (2, m)."""
    labels = torch.arange(size)
    while True:
        smaller = labels[pairs].amin(0).repeat(2)  # of both ends
        new = labels.scatter_reduce(0, pairs.flatten(), smaller, "amin")
        new = new[new]
        if torch.equal(new, labels):
            return labels
        labels = new
