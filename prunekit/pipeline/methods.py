"""The methods by name: how each chooses, and the repair that it comes with."""

from collections.abc import Callable

from prunekit import baselines
from prunekit.algebra.elimination import Elimination
from prunekit.algebra.statistics import Statistics
from prunekit.pipeline.repair import REPAIRS
from prunekit.reap import reap
from prunekit.unification import unify_site

__all__ = ["METHODS", "Method", "checked", "resolve"]

Method = Callable[[Statistics], Elimination]

METHODS: dict[str, tuple[Method, str]] = {
    "reap": (reap, "network"),
    "unify": (unify_site, "own"),
    "random": (baselines.random, "none"),
    "l1": (baselines.l1, "none"),
    "l2": (baselines.l2, "none"),
    "fpgm": (baselines.fpgm, "none"),
    "taylor": (baselines.taylor, "none"),
    "activation": (baselines.activation, "none"),
    "apoz": (baselines.apoz, "none"),
    "thinet": (baselines.thinet, "least_squares"),
    "lasso": (baselines.lasso, "least_squares"),
    "forward": (baselines.forward, "least_squares"),
    "merging": (baselines.merging, "own"),
    "lbyl": (baselines.lbyl, "own"),
}


def resolve(method: str | Method, repair: str | None) -> tuple[str, Method, str]:
    """Name, selection and repair of what was asked for."""
    if not callable(method) and (not isinstance(method, str) or method not in METHODS):
        raise ValueError(
            f"method must be one of {', '.join(map(repr, METHODS))}, or a callable that takes a "
            f"site's Statistics and returns an Elimination, got {method!r}"
        )
    if repair is not None and (not isinstance(repair, str) or repair not in REPAIRS):
        raise ValueError(f"repair must be one of {', '.join(map(repr, REPAIRS))}, got {repair!r}")
    if isinstance(method, str):
        return method, METHODS[method][0], repair or METHODS[method][1]
    inner = getattr(method, "func", method)  # of a functools.partial
    return getattr(inner, "__name__", "own method"), method, repair or "network"


def checked(elimination: Elimination, channels: int) -> Elimination:
    """An elimination as a method returned it, if it orders every channel once."""
    order = getattr(elimination, "order", None)
    try:
        ids = sorted(int(i) for i in order)
    except TypeError:
        ids = []
    if not isinstance(elimination, Elimination) or ids != list(range(channels)):
        raise ValueError(
            f"method must return an Elimination whose order holds each of the {channels} channel "
            f"ids once, got {elimination!r:.200}"
        )
    return elimination
