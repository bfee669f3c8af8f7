"""Channels chosen by hand: checked, and handed to the pruning pass as a method of its own."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral

import torch

from prunekit.algebra.elimination import Elimination
from prunekit.algebra.statistics import Statistics
from prunekit.network.sites import Site
from prunekit.pipeline.methods import Method

__all__ = ["as_chosen", "chosen_channels"]


def chosen_channels(
    channels: Mapping[str, Iterable[int]], sites: Sequence[Site]
) -> dict[Site, list[int]]:
    """{site: ids that go, ascending} of ``channels`` = {site name: ids}, or an error with a cure.

    Parameters
    ----------
    sites : all sites of the network, also those that cannot be pruned
    """
    if not isinstance(channels, Mapping):
        raise TypeError(
            "channels must be a dict {site name: ids of channels to remove}, "
            f"got {type(channels).__name__}"
        )
    by_name = {site.name: site for site in sites}
    gone: dict[Site, list[int]] = {}
    for name, ids in channels.items():
        where = f"channels[{name!r}]"
        if name not in by_name:
            raise ValueError(f"{where} is not the name of a site{_instead(name, sites)}")
        if by_name[name].reason is not None:
            raise ValueError(f"{where} cannot be pruned: {by_name[name].reason}")
        found = _checked_ids(ids, by_name[name].channels, where)
        if found:
            gone[by_name[name]] = found
    if not gone:
        raise ValueError("channels removes no channel anywhere: name a site and ids of it")
    return gone


def _instead(name: object, sites: Sequence[Site]) -> str:
    """What a name that is no site's may have meant."""
    for site in sites:
        if name in site.producers:
            return f": {name} makes the channels of site {site.name!r}, give that name"
    return "; these can be pruned: " + ", ".join(s.name for s in sites if s.reason is None)


def _checked_ids(ids: Iterable[int], count: int, where: str) -> list[int]:
    """Ids of channels as a sorted list, each of them once and there."""
    found = ids.tolist() if hasattr(ids, "tolist") else ids
    if isinstance(found, str) or not isinstance(found, Iterable):
        raise TypeError(f"{where} must be a list of channel ids, got {ids!r:.80}")
    found = list(found)
    if not all(isinstance(i, Integral) and not isinstance(i, bool) for i in found):
        raise TypeError(
            f"{where} must hold channel ids, whole numbers, got {found!r:.80}; "
            "of a mask take mask.nonzero().flatten()"
        )
    outside = [i for i in found if not 0 <= i < count]
    if outside:
        raise ValueError(f"{where} must hold ids in 0..{count - 1}, got {outside[0]}")
    twice = sorted({i for i in found if found.count(i) > 1})
    if twice:
        raise ValueError(f"{where} holds {twice[0]} more than once: give each id once")
    if len(found) == count:
        raise ValueError(f"{where} holds all {count} channels: leave one at least")
    return sorted(int(i) for i in found)


def as_chosen(gone: Mapping[Site, Sequence[int]]) -> Method:
    """A method that takes the given channels first."""
    ids = {site.name: list(found) for site, found in gone.items()}

    def select(statistics: Statistics) -> Elimination:
        stay = sorted(set(range(statistics.channels)) - set(ids[statistics.name]))
        return Elimination(torch.tensor([*ids[statistics.name], *stay]))

    return select
