"""How a budget is shared out among the sites: by PRO, or by one uniform ratio."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn
from tqdm.auto import tqdm

from prunekit import pro
from prunekit.network.behind import Behind
from prunekit.network.calibration import first_inputs, parted
from prunekit.network.given import frozen_copy
from prunekit.network.inputs import Inputs
from prunekit.network.sites import Site
from prunekit.network.walk import Walk
from prunekit.pipeline.budget import budget_of, uniform_widths
from prunekit.pipeline.front_to_back import Options, front_to_back, layers_to_bias
from prunekit.pipeline.search import Search
from prunekit.pipeline.trial import Trial, mean_output_error

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
POINTS, FEW = 6, 200  # measurements of a curve, and inputs for each, where choices are tried later


@dataclass(frozen=True)
class Task:
    """A network that is to be pruned, and how.

    Attributes
    ----------
    layers : how often each layer that may change is called, in the order of the forward pass
    behind : what comes behind them
    """

    model: nn.Module
    example: Inputs
    batches: Sequence[Inputs]
    sites: Sequence[Site]
    layers: Mapping[str, int]
    behind: Mapping[str, Behind]
    options: Options
    progress: bool


def chosen_widths(
    task: Task, targets: Mapping[str, float | None], distribution: str, round_to: int
) -> dict[Site, int]:
    """Channels that stay at every site within a budget.

    PRO's curves tell what each layer's pruning alone does, before the layers behind are refitted.
    So its choice, a gentler one from their square roots, and one ratio for all are tried in
    earnest, on some of the inputs; the one that ends with the least D is taken (our choice).

    Parameters
    ----------
    targets : argument → value, one of them not None
    """
    repair, centered = task.options.repair, task.options.centered
    biased = layers_to_bias(task.model, list(task.layers), repair, centered)
    given = (task.model, task.example, task.sites, targets, biased)
    budget = budget_of(*given)
    uniform = uniform_widths(task.sites, budget, round_to)
    if distribution == "uniform" or len(task.sites) == 1:
        return uniform
    levels = levels_of(task.sites, STEP, round_to)
    budget = budget_of(*given, levels, task.progress) if budget.unit == "seconds" else budget
    levels = pro.that_save(levels, budget.cost)
    probes = first_inputs(task.batches, FEW)
    trial = Trial(task.model, task.sites, task.batches, probes, task.options)
    search = Search(trial, levels, budget, task.progress, POINTS)
    best, _ = search.within_budget("curves")
    tried = [best, uniform]
    if budget.unit != "seconds":  # which do not quite add up
        gentle = {"budget": budget.limit}
        alone = search.alone()
        tried.append(pro.curves(levels, lambda w: alone(w) ** 0.5, budget.cost, **gentle)[0])
    parts = [first_inputs(part, PROBES) for part in parted(task.batches)]
    bar = tqdm(tried, desc="PRO against one ratio", disable=not task.progress)
    errors = [_repaired_error(task, keep, *parts) for keep in bar]
    return tried[errors.index(min(errors))]


def _repaired_error(
    task: Task, keep: Mapping[Site, int], learned: Sequence[Inputs], held: Sequence[Inputs]
) -> float:
    """D of the whole network, pruned and repaired, on inputs held back."""
    original, pruned = frozen_copy(task.model), frozen_copy(task.model)
    how = {"behind": task.behind, "asymmetric": task.options.asymmetric}
    with Walk(original, pruned, task.layers, learned, **how) as walk, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer samples than there will be
        front_to_back(walk, keep, task.options, progress=False)
        pruned = task.options.repair.at_end(frozen_copy(walk.pruned), learned, task.example)
    return mean_output_error(pruned, original, held or learned)


def levels_of(sites: Sequence[Site], step: float, round_to: int) -> dict[Site, list[int]]:
    """The widths that are tried; ``round_to`` counts channels of layers, not of sites."""
    return {s: pro.levels_of({s: s.channels}, step, s.multiple(round_to))[s] for s in sites}
