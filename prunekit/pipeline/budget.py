"""Budgets: what a network may have after pruning, in MACs, parameters or seconds.

The same for `prunekit.prune` and `prunekit.optimize_ratios`; whatever plans with widths asks the
one cost model, `prunekit.network.widths`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral

from torch import nn

from prunekit.algebra.arguments import number
from prunekit.network.cost import count_macs, count_params, measure_latency
from prunekit.network.inputs import Inputs
from prunekit.network.ranks import agreed
from prunekit.network.sites import Site
from prunekit.network.widths import Cost, Widths, latency_cost, macs_cost, params_cost, seconds
from prunekit.pipeline.amounts import keep_counts

__all__ = ["UNITS", "Budget", "budget_of", "check_target", "uniform_widths"]

UNITS = {"target_macs": "MACs", "target_params": "parameters", "target_latency": "seconds"}


@dataclass(frozen=True)
class Budget:
    """What may stay.

    Attributes
    ----------
    argument, asked : as the caller gave it
    full, limit : of the intact network, and at most of the pruned one, in ``unit``
    cost : predicts it at other widths: exactly, and of seconds roughly
    measure : the same of a network that really has these widths
    """

    argument: str
    asked: float
    full: float
    limit: float
    cost: Cost
    measure: Cost

    @property
    def unit(self) -> str:
        """MACs, parameters or seconds."""
        return UNITS[self.argument]

    def check(self, least: float, round_to: int = 1) -> None:
        """Refuse a budget that even the narrowest widths, which cost ``least``, do not meet."""
        if least <= self.limit:
            return
        number = ".3g" if self.unit == "seconds" else ",.0f"
        rounded = f" to multiples of round_to={round_to!r:.20}" if round_to > 1 else ""
        raise ValueError(
            f"{self.argument}={self.asked} cannot be reached (an int is a count, a float a "
            f"fraction): pruning these sites{rounded} keeps between {least:{number}} and "
            f"{self.full:{number}} {self.unit} ({least / self.full:.3f} to 1 of the whole)"
        )


def budget_of(
    model: nn.Module,
    example: Inputs,
    sites: Sequence[Site],
    targets: Mapping[str, float | None],
    biased: Callable[[Widths], Collection[str]],
    levels: Mapping[Site, Sequence[int]] | None = None,
    progress: bool = False,
) -> Budget:
    """The budget that one of ``targets`` (argument → value) sets.

    Parameters
    ----------
    biased : names the layers that will get a bias at given widths
    levels : of seconds, the widths to measure site by site; without them every prediction is a
        measurement
    """
    ((argument, asked),) = [(a, value) for a, value in targets.items() if value is not None]
    if argument == "target_macs":
        full, cost = count_macs(model, example), macs_cost(model, example, sites)
        measure = cost
    elif argument == "target_params":
        full, cost = count_params(model), params_cost(model, sites, biased)
        measure = cost
    else:
        full = agreed(lambda: measure_latency(model, example).median)

        def measure(keep: Widths) -> float:
            return agreed(lambda: seconds(model, example, full, keep))

        cost = measure if levels is None else latency_cost(model, example, levels, progress)
    if not full:
        raise ValueError(
            f"{argument}: the model has no {UNITS[argument]} that can be counted (convolutions, "
            "linear layers, matrix products): give pruning_ratio instead"
        )
    limit = check_target(asked, full, argument)
    if limit > full:
        raise ValueError(
            f"{argument}={asked} is more than the {full:,.12g} {UNITS[argument]} that the network "
            "has: give fewer, or a fraction kept such as 0.5"
        )
    return Budget(argument, asked, full, limit, cost, measure)


def check_target(target: object, full: float = 1, name: str = "target_macs") -> float:
    """A fraction of ``full`` (float) or a number (int) as that number, or an error with a cure."""
    number(of="a float in (0, 1], or an int")(target, name)
    if isinstance(target, Integral):
        return int(target)
    if not 0 < target <= 1:
        hint = f": did you mean {target / 100:.2f}?" if 1 < target <= 100 else ""
        raise ValueError(
            f"{name} as a float is the fraction kept, 0 < t ≤ 1, got {target}; "
            f"an absolute count must be an int{hint}"
        )
    return target * full


def uniform_widths(sites: Sequence[Site], budget: Budget, round_to: int = 1) -> dict[Site, int]:
    """Channels that stay at every site within a budget, by the smallest uniform ratio.

    Raises
    ------
    ValueError
        A budget that no ratio reaches; the message gives the range.
    """
    # widths change only where ratio·channels passes a half; 1e-9 keeps rounding on the far side
    steps = {(i + 0.5) / s.channels + 1e-9 for s in sites for i in range(s.channels - 1)}
    steps = [0.0, *sorted(steps)]

    def cost(step: int) -> float:
        return budget.cost(keep_counts(sites, steps[step], round_to))

    budget.check(cost(-1), round_to)
    low, high = 0, len(steps) - 1  # steps[high] meets the budget
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if cost(middle) <= budget.limit else (middle + 1, high)
    return keep_counts(sites, steps[high], round_to)
