"""optimize_ratios(): PRO for a network, with a budget, measurements that last, and a picture."""

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from torch import nn

from prunekit import pro
from prunekit.algebra.arguments import flag, number, one_of, optional, takes, whole
from prunekit.algebra.least_squares import RIDGE
from prunekit.network.calibration import calibration_batches, first_inputs
from prunekit.network.finding import find_sites, ignored_names
from prunekit.network.given import frozen_copy, undisturbed
from prunekit.network.inputs import check_example
from prunekit.network.marking import layers_to_refit
from prunekit.network.plausible import warn_if_implausible
from prunekit.network.ranks import is_first
from prunekit.pipeline.amounts import check_round_to, prunable_sites
from prunekit.pipeline.budget import budget_of
from prunekit.pipeline.distribution import PROBES, STEP, levels_of
from prunekit.pipeline.front_to_back import Options, layers_to_bias
from prunekit.pipeline.methods import COEFFICIENTS, Method, resolve
from prunekit.pipeline.ratios import Ratios
from prunekit.pipeline.repairs import Repair, wide_layers
from prunekit.pipeline.search import FORMS, Search
from prunekit.pipeline.trial import Trial
from prunekit.results.whole import place_of

__all__ = ["optimize_ratios"]


@undisturbed
@takes(
    max_error=optional(number(above=0, below=float("inf"))),
    coefficients=COEFFICIENTS,
    form=one_of(*FORMS),
    criterion=one_of(*pro.CRITERIA),
    step=number(above=0, below=1),
    probes=whole(1),
    ridge=optional(RIDGE),
    weigh_outputs=flag,
    prune_residual=flag,
    progress=flag,
)
def optimize_ratios(
    model: nn.Module,
    example_inputs: Any,
    calibration: Any,
    *,
    target_macs: float | int | None = None,
    target_params: float | int | None = None,
    target_latency: float | None = None,
    max_error: float | None = None,
    method: str | Method = "reap",
    repair: str | Repair | None = None,
    coefficients: str = "kernel",
    form: str = "curves",
    criterion: str = "mse",
    step: float = STEP,
    round_to: int = 1,
    probes: int = PROBES,
    ridge: float | None = None,
    weigh_outputs: bool = True,
    ignored_layers: Iterable[str | nn.Module | type] = (),
    prune_residual: bool = False,
    file: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Ratios:
    """PRO: choose each layer's pruning ratio by what pruning it does to the final outputs.

    Parameters
    ----------
    model, example_inputs, calibration, method, repair, coefficients, ridge, weigh_outputs,
    ignored_layers, prune_residual : as in `prunekit.prune`
    target_macs, target_params : the budget: a fraction kept (float), or a number (int)
    target_latency : or a fraction of the measured seconds per pass of ``example_inputs``
    max_error : or the largest D allowed, in squared units of the outputs (nats for "kl")
    form : "curves" measures each layer alone, "greedy" the whole network at every step
    criterion : "mse" D = mean ‖z − z₀‖², "kl" D = mean KL(p₀‖p)
    step : fraction of a layer's channels that one step removes
    round_to : where channels go, a multiple of this stays
    probes : how many of the calibration inputs D is measured on
    file : where measurements are kept; an interrupted run goes on from there, if network, data and
        options are the same, and the code of a method of your own with all that it refers to
    progress : show a progress bar with the time left

    Returns
    -------
    Ratios : a dict for ``pruning_ratio``, with ``.curves``, ``.trace``, ``.error``; print it

    Raises
    ------
    TypeError, ValueError
        No budget or several, one that cannot be reached (the message gives the range), a file that
        belongs to other data, and whatever `prunekit.prune` refuses.

    Notes
    -----
    Source: Kamma, Inoue & Wada 2022 (PRO), see `prunekit.pro`. Memory: the moments of all sites.
    """
    targets = {
        "target_macs": target_macs,
        "target_params": target_params,
        "target_latency": target_latency,
    }
    progress = progress and is_first()
    given = [value for value in (*targets.values(), max_error) if value is not None]
    if len(given) != 1:
        raise ValueError(f"give one of {', '.join(targets)} and max_error")
    file = None if file is None else place_of(file, "file")
    _, select, repair = resolve(method, repair, coefficients)
    example = check_example(example_inputs, model)
    batches = calibration_batches(calibration, example, model)
    skip = ignored_names(model, ignored_layers)
    sites = prunable_sites(find_sites(model, example, skip, prune_residual=prune_residual))
    model = frozen_copy(model)
    order = list(layers_to_refit(model, example, skip))
    levels = levels_of(sites, step, check_round_to(round_to))
    if repair.refits:
        warn_if_implausible(model, batches)
    targets = targets if max_error is None else targets | {"target_macs": 1.0}
    biased = layers_to_bias(model, order, repair)
    budget = budget_of(model, example, sites, targets, biased, levels, progress)
    levels = pro.that_save(levels, budget.cost)
    if max_error is None:
        budget.check(budget.cost({site: k[-1] for site, k in levels.items()}), round_to)
    how = {
        "ridge": ridge,
        "weigh_outputs": weigh_outputs,
        "wide": wide_layers(model, order, repair),
    }
    options = Options(select, repair, coefficients, **how)
    trial = Trial(model, sites, batches, first_inputs(batches, probes), options, criterion, file)
    search = Search(trial, levels, budget, progress)
    if max_error is not None:
        widths, trace = search.below(max_error, form)
    else:
        widths, trace = search.within_budget(form)
    trace = [replace(decision, layer=decision.layer.name) for decision in trace]
    curves = {
        site.name: {k: trial.error({site: k}) for k in keeps if trial.knows({site: k})}
        for site, keeps in levels.items()
    }
    spent = budget.measure(widths) if max_error is None else budget.cost(widths)
    return Ratios(widths, curves, trace, trial.error(widths), spent, budget.full, budget.unit)
