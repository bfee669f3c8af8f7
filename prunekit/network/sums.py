"""Which channels go around layers: made by several, and added up rather than multiplied.

Silence all layers that make a set of channels. If one of them speaks alone, and it arrives at the
next layers, it is a summand. A gate alone does not arrive, for what it gates is nothing.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from prunekit.network.marking import Marker
from prunekit.network.stage import axis

__all__ = ["goes_around"]

Sides = Mapping[str, Tensor]  # layer → the channels that it makes, or takes


def goes_around(marker: Marker, made: Sequence[Sides], taken: Sequence[Sides]) -> list[bool]:
    """Which sets of channels go around a layer: it takes them, and what it leads to is added.

    Parallel branches are added as well, but none of them takes what they come to.
    """
    calls = {name: len(values) for name, values in marker.script.taken.items()}
    ahead = [_ahead(i, made, taken, calls) for i in range(len(made))]
    some = [i for i, sides in enumerate(made) if len(sides) > 1 and sides.keys() & ahead[i]]
    sums = _summands(marker, *([sides[i] for i in some] for sides in (made, taken, ahead)))
    found = {i for i, calls in zip(some, sums, strict=True) if any(_around(calls, ahead[i]))}
    return [i in found for i in range(len(made))]


def _ahead(
    start: int, made: Sequence[Sides], taken: Sequence[Sides], calls: Mapping[str, int]
) -> set[str]:
    """The layers that a set of channels leads to, through others that are called before them."""
    order = {name: i for i, name in enumerate(calls)}
    names, found = [*taken[start]], set()
    while names:
        name = names.pop()
        if name not in found:
            found.add(name)
            nexts = (n for i, sides in enumerate(made) if name in sides for n in taken[i])
            names += [n for n in nexts if order[n] > order[name] or calls[n] > 1]
    return found


def _around(calls: Iterable[set[str]], ahead: set[str]) -> Iterator[bool]:
    """For each call whether several layers arrive alone there, one of them from ``ahead``."""
    return (len(names) > 1 and bool(names & ahead) for names in calls)


def _summands(
    marker: Marker, made: Sequence[Sides], taken: Sequence[Sides], ahead: Sequence[set[str]]
) -> list[list[set[str]]]:
    """Which of the layers in ``made[i]`` arrive alone, call by call of those in ``taken[i]``."""
    nothing = _digests(marker, made, taken, -1) if made else []
    alone: list[list[set[str]]] = [[set() for _ in digests] for digests in nothing]
    for turn in range(max(map(len, made), default=0)):
        if all(turn >= len(made[i]) or any(_around(alone[i], ahead[i])) for i in range(len(made))):
            break
        for i, digests in enumerate(_digests(marker, made, taken, turn)):
            for a, b, names in zip(digests, nothing[i], alone[i], strict=True):
                if turn < len(made[i]) and not math.isclose(a, b, rel_tol=1e-5):
                    names.add([*made[i]][turn])
    return alone


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
