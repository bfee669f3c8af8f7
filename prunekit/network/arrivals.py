"""Which channel arrives where: few passes with marks tell it of all channels of all layers.

First each layer's first channel is marked, then all its others. Where both reach the same inputs,
the layer's channels are mixed on their way, by a norm over channels for instance. The other layers
share passes, as long as their marks do not meet. Each channel is marked in passes of its own, so
many of them for every channel: an input that is reached in as many takes one channel, whose number
can be read off; one that is reached in more takes several. There, as behind attention or a norm
over groups, channels are marked one by one.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, count, islice
from math import comb

import torch
from torch import Tensor

from prunekit.network.components import Key, Tie
from prunekit.network.marking import Arrived, Marker, Source

__all__ = ["Arrivals", "arrivals"]

CHUNK = 8  # so many neighbours are marked together where channels are many and go in blocks
FEW = 64


@dataclass
class Arrivals:
    """Where the channels of some sources arrive.

    Attributes
    ----------
    edges : (source, its channels (m,), place, its inputs (m,)), one arrives at the other
    blocks : (source, bool (size,)) channels that cannot go without each other
    mixed : sources whose channels are mixed with each other on their way
    outside : sources that reach the network's outputs
    """

    edges: list[tuple[Source, Tensor, str, Tensor]] = field(default_factory=list)
    blocks: list[tuple[Source, Tensor]] = field(default_factory=list)
    mixed: set[Key] = field(default_factory=set)
    outside: set[Key] = field(default_factory=set)

    @property
    def sizes(self) -> dict[Key, int]:
        """How many channels each source has that arrives somewhere."""
        return {source.key: source.size for source, *_ in self.edges}

    def ties(self, layers: Container[str]) -> Iterator[Tie]:
        """What hangs together; what is no layer passes on what it takes."""
        for source, channels, place, inputs in self.edges:
            yield source.key, channels, (place, "in" if place in layers else "out"), inputs
        for source, mask in self.blocks:
            ids = mask.nonzero()[:, 0]
            yield source.key, ids, source.key, ids.amin().expand_as(ids)

    def parted(self) -> "Arrivals":
        """Less those sources whose channels are mixed."""
        edges = [edge for edge in self.edges if edge[0].key not in self.mixed]
        blocks = [block for block in self.blocks if block[0].key not in self.mixed]
        return Arrivals(edges, blocks, set(), self.outside - self.mixed)

    def plus(self, other: "Arrivals") -> "Arrivals":
        """Both together."""
        return Arrivals(
            self.edges + other.edges,
            self.blocks + other.blocks,
            self.mixed | other.mixed,
            self.outside | other.outside,
        )


def arrivals(marker: Marker, sources: Sequence[Source]) -> Arrivals:
    """Mark the channels of ``sources``, and see where they arrive; where nothing does, louder."""
    found, lost = _arrivals(marker, sources)
    return found.plus(_arrivals(marker.loud(), lost)[0]) if lost else found


def _arrivals(marker: Marker, sources: Sequence[Source]) -> tuple[Arrivals, list[Source]]:
    found, reached, parted, blocked = Arrivals(), {}, [], []
    for source in sources:
        first = torch.arange(source.size) == 0
        (one, out), (rest, out_rest) = (marker.arrivals({source: m}) for m in (first, ~first))
        reached[source] = {
            name: one.get(name, False) | rest.get(name, False) for name in {**one, **rest}
        }
        both = [name for name in one if name in rest and (one[name] & rest[name]).any()]
        if out or out_rest:
            found.outside.add(source.key)
        if any(torch.equal(one[name], rest[name]) for name in both):
            found.mixed.add(source.key)
            found.blocks.append((source, first | ~first))
            for name, hit in reached[source].items():
                inputs = hit.nonzero()[:, 0]
                found.edges.append((source, torch.zeros_like(inputs), name, inputs))
        elif reached[source]:
            (blocked if both else parted).append(source)
    for together in _apart(parted, reached):
        blocked += _read(marker, together, reached, found)
    for together in _apart(blocked, reached):
        _one_by_one(marker, together, reached, found)
    seen = {source for source in sources if reached[source].keys() & marker.stage.layers.keys()}
    return found, [s for s in sources if s not in seen and s.key not in found.outside]


def _apart(sources: Iterable[Source], reached: dict[Source, Arrived]) -> list[list[Source]]:
    """Sets of sources whose marks do not meet."""
    sets: list[tuple[list[Source], Arrived]] = []
    for source in sources:
        mine = reached[source]
        apart = (
            one
            for one in sets
            if not any(name in one[1] and (one[1][name] & hit).any() for name, hit in mine.items())
        )
        together, taken = next(apart, ([], {}))
        if not together:
            sets.append((together, taken))
        together.append(source)
        for name, hit in mine.items():
            taken[name] = taken[name] | hit if name in taken else hit
    return [together for together, _ in sets]


def _read(
    marker: Marker, sources: Sequence[Source], reached: dict[Source, Arrived], found: Arrivals
) -> list[Source]:
    """Read the numbers of channels off the inputs; those sources of which several meet at one."""
    codes, passes = _codes(max(source.size for source in sources))
    number: dict[str, Tensor] = {}  # in which passes an input is reached
    for bit in range(passes):
        marks = {source: (codes[: source.size] >> bit & 1).bool() for source in sources}
        for name, hit in marker.arrivals(marks)[0].items():
            number[name] = number.get(name, 0) + (hit.long() << bit)
    several: list[Source] = []
    for source in sources:
        edges = []
        for name, hit in reached[source].items():
            inputs = hit.nonzero()[:, 0]
            code = number.get(name, torch.zeros_like(hit, dtype=torch.long))[inputs]
            channels = torch.searchsorted(codes[: source.size].contiguous(), code)
            channels = channels.clamp(max=source.size - 1)
            if torch.equal(codes[channels], code):
                edges.append((source, channels, name, inputs))
        if len(edges) == len(reached[source]):
            found.edges += edges
        else:
            several.append(source)
    return several


def _codes(size: int) -> tuple[Tensor, int]:
    """For each of ``size`` channels the passes in which it is marked, as bits; and how many.

    All are equally many, so what two channels reach together is reached in more passes than that.
    """
    passes = next(n for n in count() if comb(n, n // 2) >= size)
    sets = islice(combinations(range(passes), passes // 2), size)
    return torch.tensor(sorted(sum(1 << bit for bit in bits) for bits in sets)), passes


def _one_by_one(
    marker: Marker, sources: Sequence[Source], reached: dict[Source, Arrived], found: Arrivals
) -> None:
    """Mark channel by channel, of many channels some neighbours at a time."""
    step = {s: CHUNK if s.size > FEW and s.size % CHUNK == 0 else 1 for s in sources}
    for number in range(max(source.size // step[source] for source in sources)):
        marks = {
            source: torch.arange(source.size) // step[source] == number
            for source in sources
            if number * step[source] < source.size
        }
        arrived, _ = marker.arrivals(marks)
        for source, mask in marks.items():
            found.blocks.append((source, mask))
            for name, hit in reached[source].items():
                inputs = (arrived.get(name, torch.zeros_like(hit)) & hit).nonzero()[:, 0]
                channels = torch.full_like(inputs, number * step[source])
                found.edges.append((source, channels, name, inputs))
