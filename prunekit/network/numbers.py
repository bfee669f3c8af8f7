"""Numbers that modules keep of their channels, such as ``num_heads``: they shrink with them.

No mark runs through a number. Where a cut network fails, those are tried that the modules around
the cut layers keep and that are multiples of the channels, one, then two, then three of them;
whether one was right shows when the site is put to the test.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations

from torch import nn

from prunekit.network.sites import Site
from prunekit.network.surgery import Cut

__all__ = ["with_numbers"]

MOST = 6  # numbers that are tried


def with_numbers(
    model: nn.Module,
    site: Site,
    is_right: Callable[[Site], bool],
    known: dict[str, tuple[str, ...]],
) -> Site | None:
    """The site with numbers that make it right, or None; ``known`` says what did in its likes."""
    cuts = list(_candidates(model, site))[:MOST]
    kinds = " ".join(type(model.get_submodule(name)).__name__ for name in _owners(site))
    sets = [some for count in (1, 2, 3) for some in combinations(cuts, count)]
    if kinds in known:
        sets = [some for some in sets if tuple(cut.side for cut in some) == known[kinds]]
    for some in sets:
        found = replace(site, cuts=(*site.cuts, *some))
        if is_right(found):
            known[kinds] = tuple(cut.side for cut in some)
            return _with_twins(found, cuts, is_right)
    known.setdefault(kinds, ())
    return None


def _owners(site: Site) -> list[str]:
    """The modules around the layers that a site cuts."""
    names = (*site.producers, *site.consumers)
    return list(dict.fromkeys(name.rpartition(".")[0] for name in names))


def _candidates(model: nn.Module, site: Site) -> Iterator[Cut]:
    """Numbers that are multiples of the channels, those of heads first."""
    found = []
    for owner in _owners(site):
        for key, value in vars(model.get_submodule(owner)).items():
            is_number = type(value) is int and not key.startswith("_") and value > 0
            if is_number and value % site.channels == 0:
                each = value // site.channels
                ids = (tuple(range(i * each, i * each + each)) for i in range(site.channels))
                found.append(Cut(owner, key, tuple(ids)))
    yield from sorted(found, key=lambda cut: (not _counts_heads(cut.side), len(cut.indices[0])))


def _counts_heads(key: str) -> bool:
    return "head" in key and not any(word in key for word in ("dim", "size", "width"))


def _with_twins(site: Site, cuts: list[Cut], is_right: Callable[[Site], bool]) -> Site:
    """Other counts of the same heads shrink too, where nothing speaks against it."""
    for cut in cuts:
        found = replace(site, cuts=(*site.cuts, cut))
        if cut not in site.cuts and _counts_heads(cut.side) and is_right(found):
            site = found
    return site
