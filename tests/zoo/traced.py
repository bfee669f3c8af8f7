"""Networks of the zoo whose sites are looked for once, for tests of what comes after that."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import prunekit as pk
from prunekit.pipeline import optimizer, pruning

__all__ = ["sites_of", "traced"]


@functools.cache
def sites_of(name: str, residual: bool = False) -> list[pk.Site]:
    """All sites of a network of the zoo; they are data, and fit any copy."""
    from tests.zoo import ZOO

    entry = ZOO[name]
    return pk.find_sites(entry.make(), entry.inputs(2), prune_residual=residual)


@contextmanager
def traced(name: str) -> Iterator[None]:
    """Inside, ``prune`` and ``optimize_ratios`` take those sites of an intact network."""

    def known(model: object, example: object, ignored: object = (), **how: bool) -> list[pk.Site]:
        assert not ignored
        return list(sites_of(name, **{"residual": how.get("prune_residual", False)}))

    with mock.patch.object(pruning, "find_sites", known):
        with mock.patch.object(optimizer, "find_sites", known):
            yield
