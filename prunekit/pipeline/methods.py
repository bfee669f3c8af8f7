"""Methods and repairs by name: how each method chooses, and the repair that it comes with."""

from collections.abc import Callable

from prunekit import baselines
from prunekit.algebra.arguments import one_of
from prunekit.algebra.elimination import Elimination
from prunekit.algebra.statistics import Statistics
from prunekit.pipeline.poem import Poem
from prunekit.pipeline.repairs import BatchNorm, LeastSquares, Network, Own, Repair
from prunekit.reap import reap
from prunekit.unification import unify_site

__all__ = ["COEFFICIENTS", "METHODS", "REPAIRS", "Method", "checked", "resolve"]

COEFFICIENTS = one_of("kernel", "channel")

Method = Callable[[Statistics], Elimination]

REPAIRS: dict[str, Repair] = {
    repair.name: repair
    for repair in (Repair(), BatchNorm(), LeastSquares(), Network(), Own(), Poem())
}

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


def resolve(
    method: str | Method, repair: str | Repair | None, coefficients: str = "kernel"
) -> tuple[str, Method, Repair]:
    """Name, selection and repair of what was asked for, if they go together."""
    if not callable(method) and (not isinstance(method, str) or method not in METHODS):
        raise ValueError(
            f"method must be one of {', '.join(map(repr, METHODS))}, or a callable that takes a "
            f"site's Statistics and returns an Elimination, got {method!r}"
        )
    if isinstance(method, str):
        name, (select, its_own) = method, METHODS[method]
    else:
        inner = getattr(method, "func", method)  # of a functools.partial
        name, select, its_own = getattr(inner, "__name__", "own method"), method, "network"
    repair = its_own if repair is None else repair
    if not isinstance(repair, Repair):
        if not isinstance(repair, str) or repair not in REPAIRS:
            names = ", ".join(map(repr, REPAIRS))
            raise ValueError(f"repair must be one of {names}, or a Repair, got {repair!r}")
        repair = REPAIRS[repair]
    if repair.kernels_only and coefficients == "channel":
        raise ValueError(
            f"repair={repair.name!r} refines whole kernels: it needs coefficients='kernel', got "
            "'channel'"
        )
    return name, select, repair


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
