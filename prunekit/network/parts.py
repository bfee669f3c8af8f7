"""Parts of a layer that only go in step: of chunks and splits, as many channels of each.

Where a network divides what a layer says into equal parts that go different ways, each part is a
site, and none may be able to lose a channel alone: the others would begin elsewhere. A channel of
all of them together is then one from each, as of a grouped convolution.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import torch

from prunekit.network.components import Tie
from prunekit.network.sites import Site

__all__ = ["in_step"]


def in_step(
    sites: Sequence[Site],
    failed: Sequence[Site],
    tied: Callable[[Iterable[Tie]], Iterable[Site]],
    verified: Callable[[Sequence[Site]], Sequence[Site]],
) -> list[Site]:
    """The sites, with one in place of parts that go together only.

    Parameters
    ----------
    failed : which of ``sites`` have failed the test, so that they may be parts
    tied : the network's sites where such ties hold as well
    verified : puts sites to the test, and gives a reason to those that fail
    """
    found, ties = list(sites), [*_ties(sites, {site.producers[0] for site in failed})]
    known = [_made(site) for site in sites]
    new = (one for one in tied(ties) if _made(one) not in known) if ties else ()
    for one in verified([site for site in new if site.reason is None]):
        parts = [site for site in found if _made(site) & _made(one)]
        if one.reason is None and all(_made(site) <= _made(one) for site in parts):
            reason = next((p.reason for p in parts if p.reason and p not in failed), None)
            together = [replace(p, reason=reason) if p in failed else p for p in parts]
            first = found.index(parts[0])
            found = [site for site in found if site not in parts]
            found[first:first] = together if reason else [one]
    return found


def _made(site: Site) -> set[tuple[str, int]]:
    """All channels that the layers of a site make for it."""
    cuts = (cut for cut in site.cuts if cut.side == "out" and cut.module in site.producers)
    return {(cut.module, i) for cut in cuts for ids in cut.indices for i in ids}


def _ties(sites: Iterable[Site], layers: set[str]) -> Iterator[Tie]:
    """Between the first part of each of ``layers`` and the others that are as large."""
    first: dict[tuple[str, int], torch.Tensor] = {}
    for site in sites:
        for cut in site.cuts:
            if cut.side == "out" and cut.module in layers:
                ids = torch.tensor(cut.indices)  # (n, m)
                one = first.setdefault((cut.module, len(ids)), ids)
                if one is not ids and one.shape == ids.shape:
                    key = (cut.module, "out")
                    yield key, one.flatten(), key, ids.flatten()
