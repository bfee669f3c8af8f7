"""How a budget is shared out among the sites: by PRO, or by one uniform ratio."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from prunekit import pro
from prunekit.network.calibration import first_inputs
from prunekit.network.inputs import Inputs
from prunekit.network.sites import Site
from prunekit.pipeline.budget import budget_of, uniform_widths
from prunekit.pipeline.front_to_back import Options, layers_to_bias
from prunekit.pipeline.search import Search
from prunekit.pipeline.trial import Trial

__all__ = [
    "DISTRIBUTIONS",
    "PROBES",
    "STEP",
    "Task",
    "chosen_widths",
    "levels_of",
]

DISTRIBUTIONS = ("pro", "uniform")
PROBES, STEP = 500, 1 / 16  # inputs that D is measured on; share of a layer that one step removes


@dataclass(frozen=True)
class Task:
    """A network that is to be pruned, and how.

    Attributes
    ----------
    order : the layers that may change, in the order of the forward pass
    """

    model: nn.Module
    example: Inputs
    batches: Sequence[Inputs]
    sites: Sequence[Site]
    order: Sequence[str]
    options: Options
    progress: bool


def chosen_widths(
    task: Task, targets: Mapping[str, float | None], distribution: str, round_to: int
) -> dict[Site, int]:
    """Channels that stay at every site within a budget; by PRO, never worse than by one ratio.

    Parameters
    ----------
    targets : argument → value, one of them not None
    """
    biased = layers_to_bias(task.model, task.order, task.options.repair, task.options.centered)
    given = (task.model, task.example, task.sites, targets, biased)
    budget = budget_of(*given)
    uniform = uniform_widths(task.sites, budget, round_to)
    if distribution == "uniform" or len(task.sites) == 1:
        return uniform
    levels = levels_of(task.sites, STEP, round_to)
    budget = budget_of(*given, levels, task.progress) if budget.unit == "seconds" else budget
    levels = pro.that_save(levels, budget.cost)
    probes = first_inputs(task.batches, PROBES)
    trial = Trial(task.model, task.sites, task.batches, probes, task.options)
    best, _ = Search(trial, levels, budget, task.progress).within_budget("curves")
    return best if trial.error(best) <= trial.error(uniform) else uniform


def levels_of(sites: Sequence[Site], step: float, round_to: int) -> dict[Site, list[int]]:
    """The widths that are tried; ``round_to`` counts channels of layers, not of sites."""
    return {s: pro.levels_of({s: s.channels}, step, s.multiple(round_to))[s] for s in sites}
