"""Which channels are sums: made by several layers, and added up rather than multiplied.

Silence all layers that make a set of channels. If one of them speaks alone, and it arrives at the
next layers, it is a summand. A gate alone does not arrive, for what it gates is nothing.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from prunekit.network.marking import Marker
from prunekit.network.stage import axis

__all__ = ["added"]

Sides = Mapping[str, Tensor]  # layer → the channels that it makes, or takes


def added(marker: Marker, made: Sequence[Sides], taken: Sequence[Sides]) -> list[bool]:
    """Whether two or more of the layers in ``made[i]`` arrive alone at one call in ``taken[i]``."""
    counts: list[list[int]] = [[] for _ in made]
    nothing = _digests(marker, made, taken, -1)
    for turn in range(max(map(len, made), default=0)):
        if all(max(counts[i], default=0) > 1 or turn >= len(made[i]) for i in range(len(made))):
            break
        for i, digests in enumerate(_digests(marker, made, taken, turn)):
            pairs = zip(digests, nothing[i], counts[i] or [0] * len(digests), strict=True)
            counts[i] = [n + (not math.isclose(a, b, rel_tol=1e-5)) for a, b, n in pairs]
    return [max(count, default=0) > 1 for count in counts]


def _digests(
    marker: Marker, made: Sequence[Sides], taken: Sequence[Sides], turn: int
) -> list[list[float]]:
    """What consumers take of each set, in a number a call, when one of its layers speaks alone."""
    stage, noise = marker.stage, torch.Generator().manual_seed(0)
    digests: list[list[float]] = [[] for _ in made]
    silent = [(i, name) for i, sides in enumerate(made) for name in sides]
    speaking = {(i, list(sides)[turn]) for i, sides in enumerate(made) if 0 <= turn < len(sides)}

    def say(name: str, number: int) -> Tensor:
        given = marker.script.given[name][number]
        answer = given + torch.randn(given.shape, generator=noise).to(given)
        for i, other in silent:
            if other == name and (i, name) not in speaking:
                ids = made[i][name].to(answer.device)
                answer.index_fill_(axis(stage.layers[name], answer), ids, 0)
        return answer

    def take(name: str, number: int, values: Tensor) -> None:
        for i, sides in enumerate(taken):
            if name in sides:
                dim = axis(stage.layers[name], values)
                part = values.index_select(dim, sides[name].to(values.device)).double()
                digests[i].append(part.square().sum().item())

    stage.play(say, take, shifts=False)
    return digests
