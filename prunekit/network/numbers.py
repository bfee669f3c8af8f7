"""Numbers that modules keep of their channels, such as ``num_heads``: they shrink with them.

No mark runs through a number. Where a cut network fails, those are tried that the modules around
what is cut keep, alone or in lists, and that are multiples of the channels: one, then two, then
three of them; whether one was right shows when the site is put to the test.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from torch import nn

from prunekit.network.sites import Site
from prunekit.network.surgery import Cut

__all__ = ["kind_of", "with_numbers"]

Check = Callable[[Sequence[Site]], str | None]

MOST = 8  # numbers that are tried


def with_numbers(model: nn.Module, sites: Sequence[Site], check: Check) -> list[Site] | None:
    """Sites of one kind with numbers that make them pass a check, or None."""
    first = [*_candidates(model, sites[0])][:MOST]

    def passes(some: Sequence[str]) -> bool:
        return check([_with(model, sites[0], some)]) is None

    for some in (s for count in (1, 2, 3) for s in combinations(first, count)):
        if passes(some):
            for key in first:  # other counts of the same heads, where nothing speaks against it
                if key not in some and _counts_heads(key) and passes((*some, key)):
                    some = (*some, key)
            return [_with(model, site, some) for site in sites]
    return None


def _with(model: nn.Module, site: Site, keys: Sequence[str]) -> Site:
    """The site with its own cuts of these numbers."""
    found = _candidates(model, site)
    return replace(site, cuts=(*site.cuts, *(cut for k in keys for cut in found.get(k, ()))))


def kind_of(model: nn.Module, site: Site) -> str:
    """What sites have in common that stand in modules of the same types."""
    owners = [type(model.get_submodule(name)).__name__ for name in _owners(site)]
    return " ".join((*owners, *(cut.module.rpartition(".")[2] for cut in site.cuts)))


def _owners(site: Site) -> list[str]:
    """The modules around what a site cuts, and those around these."""
    inner = [c.module if ":" in c.side else c.module.rpartition(".")[0] for c in site.cuts]
    outer = [name.rpartition(".")[0] for name in inner]
    return list(dict.fromkeys((*inner, *filter(None, outer))))


def _candidates(model: nn.Module, site: Site) -> dict[str, list[Cut]]:
    """Numbers that are multiples of the channels, those of heads first, those in lists last.

    Of one name all go together; in a list each goes alone, and may count other channels as well.
    """
    found: dict[str, list[Cut]] = {}
    for place, owner in enumerate(_owners(site)):
        for side, value in _numbers(model.get_submodule(owner)):
            steps = {value // site.channels} if value % site.channels == 0 else set()
            in_list = side.endswith("]")
            for each in sorted(steps | ({1} if in_list and value > site.channels else set())):
                ids = (tuple(range(i * each, i * each + each)) for i in range(site.channels))
                key = f"{side} by {each} of {place}" if in_list else f"{side} by {each}"
                found.setdefault(key, []).append(Cut(owner, side, tuple(ids)))

    def rank(key: str) -> tuple:
        return not _counts_heads(key), "[" in key, len(found[key][0].indices[0])

    return {key: found[key] for key in sorted(found, key=rank)}


def _numbers(module: nn.Module) -> Iterator[tuple[str, int]]:
    """Whole numbers that a module keeps under public names, ``key[i]`` those in a list."""
    for key, value in vars(module).items():
        several = value if type(value) in (list, tuple) else ()
        for side, number in ((key, value), *((f"{key}[{i}]", v) for i, v in enumerate(several))):
            if type(number) is int and number > 0 and not key.startswith("_"):
                yield side, number


def _counts_heads(key: str) -> bool:
    return "head" in key and not any(word in key for word in ("dim", "size", "width"))
