"""Numbers that modules keep of their channels, such as ``num_heads``: they shrink with them.

No mark runs through a number. Where a cut network fails, those are tried that the modules around
the cut layers keep and that are multiples of the channels, one, then two, then three of them;
whether one was right shows when the site is put to the test.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from torch import nn

from prunekit.network.sites import Site
from prunekit.network.surgery import Cut

__all__ = ["kind_of", "with_numbers"]

Check = Callable[[Sequence[Site]], str | None]

MOST = 6  # numbers that are tried


def with_numbers(model: nn.Module, sites: Sequence[Site], check: Check) -> list[Site] | None:
    """Sites of one kind with numbers that make them pass a check, or None."""
    first = list(_candidates(model, sites[0]))[:MOST]
    for some in (s for count in (1, 2, 3) for s in combinations(first, count)):
        if check([_with(model, sites[0], some)]) is None:
            for cut in first:  # other counts of the same heads, where nothing speaks against it
                more = some if cut in some or not _counts_heads(cut.side) else (*some, cut)
                some = more if check([_with(model, sites[0], more)]) is None else some
            return [_with(model, site, some) for site in sites]
    return None


def _with(model: nn.Module, site: Site, like: Sequence[Cut]) -> Site:
    """The site with its own cuts of these numbers."""
    sides = {cut.side for cut in like}
    return replace(
        site, cuts=(*site.cuts, *(c for c in _candidates(model, site) if c.side in sides))
    )


def kind_of(model: nn.Module, site: Site) -> str:
    """What sites have in common that stand in modules of the same types."""
    owners = [type(model.get_submodule(name)).__name__ for name in _owners(site)]
    leaves = [name.rpartition(".")[2] for name in (*site.producers, *site.consumers)]
    return " ".join((*owners, *leaves))


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
