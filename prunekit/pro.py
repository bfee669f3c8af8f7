"""PRO, the Pruning Ratio Optimizer: how many channels each layer can give.

A layer-wise method says which channels of a layer go, PRO how many. It looks at what pruning does
to the outputs of the final layer, D(r) = mean over inputs of ‖z_r(x) − z_0(x)‖², not at the layer.

- greedy: from no pruning, try one more step in each layer, measure D of the whole, commit the step
  with the smallest rise of D per cost saved, until the budget holds.
- curves: measure D for each layer alone at every step, take their sum for D of the whole, walk the
  same way down, and exchange between layers as long as that lowers the sum. Far fewer measurements.

Nothing here knows a network: D and the cost are functions of widths, {layer: channels that stay}.

Source: Kamma, Inoue & Wada, "Pruning Ratio Optimization with Layer-Wise Pruning Method for
Accelerating Convolutional Neural Networks", IEICE Trans. Inf. & Syst. E105-D(1), 2022. From its
abstract: PRO is combined with a layer-wise method and adjusts the ratios by how much pruning in
each layer has an impact on the outputs of the final layer. Our choice: D, both forms, the budgets.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import isfinite
from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "CRITERIA",
    "Decision",
    "Unreachable",
    "curves",
    "exchange",
    "give_back",
    "greedy",
    "levels_of",
    "output_error",
    "that_save",
]

CRITERIA = ("mse", "kl")

Widths = dict[Hashable, int]  # channels that stay at each layer
Levels = Mapping[Hashable, Sequence[int]]  # the widths that each may take, largest first
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
    layer, keep : where, and channels that stay there after the step
    error, cost : D and the cost of the whole network after it
    """

    layer: Hashable
    keep: int
    error: float
    cost: float


def output_error(z: Sequence[Tensor], z0: Sequence[Tensor], criterion: str = "mse") -> float:
    """D, how far final outputs moved: the mean over inputs of ‖z − z₀‖², or of KL(p₀‖p).

    Parameters
    ----------
    z, z0 : all outputs of the network now and before, each (inputs, …)
    criterion : "mse" in squared units of the outputs; "kl" of the classes in dimension 1, in nats
    """
    if criterion == "mse":
        # D = mean ‖z − z₀‖²; a mask of −∞ in both is no difference
        total = sum(
            (a.double() - b.double()).where(a != b, 0.0).square().sum().item()
            for a, b in zip(z, z0, strict=True)
        )
        return total / len(z0[0])
    if len(z) != 1 or z[0].ndim < 2:
        raise ValueError("criterion='kl' needs a network with one output (inputs, classes)")
    # D = mean Σ p₀ (log p₀ − log p)
    log_p, log_p0 = (v[0].double().log_softmax(1) for v in (z, z0))
    total = F.kl_div(log_p, log_p0, reduction="sum", log_target=True).item()
    return max(0.0, total) / len(z0[0])


def levels_of(
    channels: Mapping[Hashable, int], step: float, round_to: int = 1
) -> dict[Hashable, list[int]]:
    """How many of a layer's channels may stay: all, then ``step`` of them fewer each time, to 1.

    Fewer than all are rounded up to multiples of ``round_to``.
    """
    levels = {}
    for layer, count in channels.items():
        size = max(1, int(step * count + 0.5))
        keeps = [*range(count, 1, -size), 1]
        rounded = {min(count, -(-keep // round_to) * round_to) for keep in keeps}
        levels[layer] = sorted(rounded, reverse=True)
    return levels


def that_save(levels: Levels, cost: Cost) -> dict[Hashable, list[int]]:
    """Without the widths that cost no less than a wider one, so that every step saves something."""
    full = {layer: keeps[0] for layer, keeps in levels.items()}
    found = {layer: [keep] for layer, keep in full.items()}
    for layer, keeps in levels.items():
        for keep in keeps[1:]:
            if cost(full | {layer: keep}) < cost(full | {layer: found[layer][-1]}):
                found[layer].append(keep)
    return found


def _one_step_down(widths: Widths, levels: Levels) -> Iterator[tuple[Hashable, Widths]]:
    """Every way to go one step down from ``widths``."""
    for layer, keep in widths.items():
        at = levels[layer].index(keep) + 1
        if at < len(levels[layer]):
            yield layer, widths | {layer: levels[layer][at]}


def greedy(
    levels: Levels,
    error: Error,
    cost: Cost,
    *,
    budget: float = 0.0,
    max_error: float = float("inf"),
    committed: Callable[[Decision], None] = lambda decision: None,
) -> tuple[Widths, list[Decision]]:
    """Walk down from full widths until the cost is within ``budget``, as cheaply in D as can be.

    Parameters
    ----------
    levels : for each layer the widths it may take, largest first
    error, cost : D and the cost of given widths
    budget : stop as soon as the cost is no more than this
    max_error : never commit a step beyond this D; without a budget, stop before it
    committed : called with every decision

    Returns
    -------
    widths, and the decisions that led there

    Raises
    ------
    Unreachable
        No steps are left, and the budget does not hold; or no first step keeps within max_error.
    """
    widths = {layer: keeps[0] for layer, keeps in levels.items()}
    trace: list[Decision] = []
    now_error, now_cost = 0.0, cost(widths)
    while now_cost > budget:
        steps = [(layer, w, cost(w)) for layer, w in _one_step_down(widths, levels)]
        tried = [(error(w), c, layer, w) for layer, w, c in steps if c < now_cost]
        fine = [step for step in tried if step[0] <= max_error]
        if not fine:
            if trace and not budget:
                break
            raise Unreachable(now_cost if budget else min((s[0] for s in tried), default=0.0))
        enough = [step for step in fine if step[1] <= budget]

        def price(step: tuple, e: float = now_error, c: float = now_cost) -> float:
            return (step[0] - e) / (c - step[1])  # rise of D per cost saved

        # the last step is judged by D alone: what more it saves is worth nothing
        best = _first(enough, lambda step: step[0]) if enough else _first(fine, price)
        now_error, now_cost, layer, widths = best
        trace.append(Decision(layer, widths[layer], now_error, now_cost))
        committed(trace[-1])
    return widths, trace


def _first(choices: Sequence[Choice], price: Callable[[Choice], float]) -> Choice:
    """The first of those that cost as good as least: rounding, which differs, decides nothing."""
    prices = [price(choice) for choice in choices]
    scale = max((abs(p) for p in prices if isfinite(p)), default=0.0)
    enough = min(prices) + 1e-6 * abs(min(prices)) + 1e-9 * scale
    return next(choice for choice, p in zip(choices, prices, strict=True) if p <= enough)


def curves(
    levels: Levels,
    error: Error,
    cost: Cost,
    *,
    budget: float = 0.0,
    max_error: float = float("inf"),
) -> tuple[Widths, list[Decision]]:
    """Choose by the sum of every layer's own D, which needs one measurement a layer and width.

    ``error`` is asked for {layer: keep}, where all other layers keep everything; arguments and
    errors otherwise as in `greedy`. Without a budget the D of all layers together is measured at
    the end, and channels are given back until it is within ``max_error``.
    """
    alone = {
        (layer, keep): error({layer: keep}) for layer, keeps in levels.items() for keep in keeps
    }

    def total(widths: Widths) -> float:  # D of the whole, as the sum of each layer's
        return sum(alone[item] for item in widths.items())

    widths, trace = greedy(levels, total, cost, budget=budget, max_error=max_error)
    if budget:
        return exchange(widths, levels, total, cost, budget), trace
    # never all of it: each layer alone is within the bound, as its D is part of the sum
    return give_back(widths, levels, error, cost, max_error), trace


def exchange(widths: Widths, levels: Levels, error: Error, cost: Cost, budget: float) -> Widths:
    """Change one layer, or two against each other, while D falls and the budget holds."""
    best, widths = error(widths), dict(widths)
    pairs = list(combinations(widths, 2)) or [(layer, layer) for layer in widths]
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
            widths | {layer: levels[layer][levels[layer].index(keep) - 1]}
            for layer, keep in widths.items()
            if keep < levels[layer][0]
        ]

        def price(up: Widths, base: float = error(widths), paid: float = cost(widths)) -> float:
            return (error(up) - base) / max(cost(up) - paid, 1e-12)  # most negative: best value

        widths = _first(ups, price)
    return widths
