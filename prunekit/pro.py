"""PRO, the Pruning Ratio Optimizer: how many channels each layer can give.

A layer-wise method says which channels of a layer go, PRO how many. It looks at what pruning does
to the outputs of the final layer, D(r) = mean over inputs of ‖z_r(x) − z_0(x)‖², not at the layer.

- greedy: from no pruning, try one more step in each layer, measure D of the whole, commit the step
  with the smallest rise of D per cost saved, until the budget holds.
- curves: measure D for each layer alone at every step, take their sum for D of the whole, walk the
  same way down, and trade between layers as long as that lowers the sum. Far fewer measurements.

Source: Kamma, Inoue & Wada, "Pruning Ratio Optimization with Layer-Wise Pruning Method for
Accelerating Convolutional Neural Networks", IEICE Trans. Inf. & Syst. E105-D(1), 2022. From its
abstract: PRO is combined with a layer-wise method and adjusts the ratios by how much pruning in
each layer has an impact on the outputs of the final layer. Our choice: D, both forms, the budgets.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement, product
from math import isfinite
from typing import Protocol, TypeVar

__all__ = ["Decision", "Unreachable", "descend", "give_back", "levels_of", "that_save", "trade"]


class Site(Protocol):
    """What has channels to give; in practice a `prunekit.Site`."""

    name: str
    channels: int


Widths = dict[Site, int]  # channels that stay at each site
Levels = Mapping[Site, Sequence[int]]  # the widths that each site may take, largest first
Error = Callable[[Widths], float]
Cost = Callable[[Widths], float]
Choice = TypeVar("Choice")


class Unreachable(ValueError):
    """No widths meet the budget, or the bound; ``best`` is the nearest value that was found."""

    def __init__(self, best: float) -> None:
        super().__init__(f"the nearest that can be reached is {best:g}")
        self.best = best


@dataclass(frozen=True)
class Decision:
    """One step that was committed.

    Attributes
    ----------
    site : name; several, joined by " + ", where a step may look further ahead
    keep : channels that stay there after the step
    error, cost : D and the cost of the whole network after it
    """

    site: str
    keep: tuple[int, ...]
    error: float
    cost: float


def levels_of(sites: Sequence[Site], step: float, round_to: int = 1) -> dict[Site, list[int]]:
    """How many channels may stay at each site: all, then ``step`` of them fewer each time, to 1.

    Fewer than all are rounded up to multiples of ``round_to``.
    """
    levels = {}
    for site in sites:
        size = max(1, int(step * site.channels + 0.5))
        keeps = [*range(site.channels, 1, -size), 1]
        rounded = {min(site.channels, -(-keep // round_to) * round_to) for keep in keeps}
        levels[site] = sorted(rounded, reverse=True)
    return levels


def that_save(levels: Levels, cost: Cost) -> dict[Site, list[int]]:
    """Without the widths that cost no less than a wider one, so that every step saves something."""
    full = {site: keeps[0] for site, keeps in levels.items()}
    found = {site: [keep] for site, keep in full.items()}
    for site, keeps in levels.items():
        for keep in keeps[1:]:
            if cost(full | {site: keep}) < cost(full | {site: found[site][-1]}):
                found[site].append(keep)
    return found


def _moves(widths: Widths, levels: Levels, lookahead: int) -> Iterator[Widths]:
    """Every way to go 1 to ``lookahead`` steps down from ``widths``, in any of the sites."""
    at = {site: levels[site].index(keep) for site, keep in widths.items()}
    for steps in range(1, lookahead + 1):
        for chosen in combinations_with_replacement(widths, steps):
            down = {site: at[site] + chosen.count(site) for site in set(chosen)}
            if all(i < len(levels[site]) for site, i in down.items()):
                yield widths | {site: levels[site][i] for site, i in down.items()}


def descend(
    levels: Levels,
    error: Error,
    cost: Cost,
    *,
    budget: float = 0.0,
    max_error: float = float("inf"),
    lookahead: int = 1,
    per_cost: bool = True,
    committed: Callable[[Decision], None] = lambda decision: None,
) -> tuple[Widths, list[Decision]]:
    """Walk down from full widths until the cost is within ``budget``, as cheaply in D as can be.

    Parameters
    ----------
    levels : for each site the widths it may take, largest first
    error, cost : D and the cost of given widths
    budget : stop as soon as the cost is no more than this
    max_error : never commit a step beyond this D; without a budget, stop before it
    lookahead : how many steps one move may be made of, in any layers
    per_cost : weigh the rise of D by the cost saved, else take the smallest rise
    committed : called with every decision

    Returns
    -------
    widths, and the decisions that led there

    Raises
    ------
    Unreachable
        No moves are left, and the budget does not hold; or no first step keeps within max_error.
    """
    widths = {site: keeps[0] for site, keeps in levels.items()}
    trace: list[Decision] = []
    now_error, now_cost = 0.0, cost(widths)
    while now_cost > budget:
        # (D, cost, widths) of every move that saves something
        moves = [(m, cost(m)) for m in _moves(widths, levels, lookahead)]
        tried = [(error(m), c, m) for m, c in moves if c < now_cost]
        fine = [move for move in tried if move[0] <= max_error]
        if not fine:
            if trace and not budget:
                break
            raise Unreachable(now_cost if budget else min((m[0] for m in tried), default=0.0))
        enough = [move for move in fine if move[1] <= budget]

        def price(move: tuple[float, float, Widths], e: float = now_error, c: float = now_cost):
            return (move[0] - e) / (c - move[1] if per_cost else 1.0)  # rise of D per cost saved

        # the last step is judged by D alone: what more it saves is worth nothing
        best = _first(enough, lambda move: move[0]) if enough else _first(fine, price)
        changed = [site for site in widths if best[2][site] != widths[site]]
        now_error, now_cost, widths = best
        keep = tuple(widths[site] for site in changed)
        trace.append(Decision(" + ".join(s.name for s in changed), keep, now_error, now_cost))
        committed(trace[-1])
    return widths, trace


def _first(choices: Sequence[Choice], price: Callable[[Choice], float]) -> Choice:
    """The first of those that cost as good as least: rounding, which differs, decides nothing."""
    prices = [price(choice) for choice in choices]
    scale = max((abs(p) for p in prices if isfinite(p)), default=0.0)
    enough = min(prices) + 1e-6 * abs(min(prices)) + 1e-9 * scale
    return next(choice for choice, p in zip(choices, prices, strict=True) if p <= enough)


def trade(
    widths: Widths,
    levels: Levels,
    error: Error,
    cost: Cost,
    budget: float,
) -> Widths:
    """Change one site, or two against each other, while D falls and the budget holds."""
    best, widths = error(widths), dict(widths)
    pairs = list(combinations(widths, 2)) or [(site, site) for site in widths]
    improved = True
    while improved:
        improved = False
        for one, other in pairs:
            for a, b in product(levels[one], levels[other]):
                tried = widths | {one: a, other: b}
                found = error(tried)
                if found < best - 1e-6 * abs(best) and cost(tried) <= budget:
                    best, widths, improved = found, tried, True
    return widths


def give_back(widths: Widths, levels: Levels, error: Error, cost: Cost, bound: float) -> Widths:
    """Give channels back, the best value for its cost first, until D is within ``bound``."""
    while error(widths) > bound:
        ups = [
            widths | {site: levels[site][levels[site].index(keep) - 1]}
            for site, keep in widths.items()
            if keep < levels[site][0]
        ]

        def price(up: Widths, base: float = error(widths), paid: float = cost(widths)) -> float:
            return (error(up) - base) / max(cost(up) - paid, 1e-12)  # most negative: best value

        widths = _first(ups, price)
    return widths
