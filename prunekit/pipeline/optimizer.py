"""optimize_ratios(): PRO for a network, with a budget, measurements that last, and a picture."""

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import nn
from tqdm.auto import tqdm

from prunekit import pro
from prunekit.network.cost import count_params
from prunekit.network.finding import find_sites, ignored_names
from prunekit.network.given import frozen_copy, undisturbed
from prunekit.network.inputs import (
    Inputs,
    calibration_batches,
    check_example,
    map_tensors,
    tensors,
)
from prunekit.network.layers import is_plain
from prunekit.network.sites import Site
from prunekit.network.widths import cost_of, seconds
from prunekit.pipeline.budget import check_round_to, check_target
from prunekit.pipeline.front_to_back import Options
from prunekit.pipeline.methods import Method, resolve
from prunekit.pipeline.pruning import check_options, prunable_sites
from prunekit.pipeline.ratios import Ratios
from prunekit.pipeline.trial import CRITERIA, Trial

__all__ = ["optimize_ratios"]

FORMS = ("curves", "greedy")
ARGUMENTS = {"MACs": "target_macs", "parameters": "target_params", "seconds": "target_latency"}


@undisturbed
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
    repair: str | None = None,
    coefficients: str = "kernel",
    form: str = "curves",
    criterion: str = "mse",
    step: float = 1 / 16,
    round_to: int = 1,
    per_cost: bool = True,
    lookahead: int = 1,
    probes: int = 500,
    ridge: float = 1e-5,
    ignored_layers: Iterable[str | nn.Module | type] = (),
    prune_residual: bool = False,
    file: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Ratios:
    """PRO: choose each layer's pruning ratio by what pruning it does to the final outputs.

    Parameters
    ----------
    model, example_inputs, calibration, method, repair, coefficients, ridge, ignored_layers,
    prune_residual : as in `prunekit.prune`
    target_macs, target_params : the budget: a fraction kept (float), or a number (int)
    target_latency : or a fraction of the measured seconds per pass of ``example_inputs``
    max_error : or the largest D allowed, in squared units of the outputs (nats for "kl")
    form : "curves" measures each layer alone, "greedy" the whole network at every step
    criterion : "mse" D = mean ‖z − z₀‖², "kl" D = mean KL(p₀‖p)
    step : fraction of a layer's channels that one step removes
    round_to : where channels go, a multiple of this stays
    per_cost : weigh a rise of D by the cost it saves
    lookahead : of "greedy", how many steps one move may be made of
    probes : how many of the calibration inputs D is measured on
    file : where measurements are kept; an interrupted run goes on from there
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
    budgets = {"MACs": target_macs, "parameters": target_params, "seconds": target_latency}
    unit = _unit(budgets, max_error)
    _check(form, criterion, step, probes, lookahead)
    _, select, repair = resolve(method, repair)
    check_options(coefficients, repair, poem=False)
    example = check_example(example_inputs, model)
    batches = calibration_batches(calibration, example)
    skip = ignored_names(model, ignored_layers)
    sites = prunable_sites(find_sites(model, example, skip, prune_residual=prune_residual))
    model = frozen_copy(model)
    levels = pro.levels_of(sites, step, check_round_to(round_to))
    cost = cost_of(model, example, levels, unit, _refitted(model, sites, repair, skip), progress)
    levels = pro.that_save(levels, cost)
    full = count_params(model) if unit == "parameters" else cost({s: s.channels for s in sites})
    least = cost({site: keeps[-1] for site, keeps in levels.items()})
    budget = check_target(budgets[unit], full, ARGUMENTS[unit]) if max_error is None else 0.0
    if max_error is None and not least <= budget:
        number = ".3g" if unit == "seconds" else ",.0f"
        raise ValueError(
            f"{ARGUMENTS[unit]}={budgets[unit]} cannot be reached: pruning these sites keeps "
            f"between {least:{number}} and {full:{number}} {unit} ({least / full:.3f} to 1 of all)"
        )
    options = Options(select, repair, coefficients, ridge=ridge)
    trial = Trial(model, batches, _first(batches, probes), options, criterion, file)
    search = _by_curves if form == "curves" else partial(_by_greedy, lookahead=lookahead)
    limits = {"max_error": max_error or float("inf"), "per_cost": per_cost}
    aim = budget
    for _ in range(5):  # seconds do not quite add up: aim lower until the network is fast enough
        try:
            widths, trace = search(trial, levels, cost, aim, progress=progress, **limits)
        except pro.Unreachable as error:
            raise ValueError(_unreachable(error, max_error, aim, unit)) from None
        spent = seconds(model, example, full, widths) if unit == "seconds" else cost(widths)
        if max_error is not None or spent <= budget:
            break
        aim *= 0.98 * budget / spent
    else:
        raise ValueError(_unreachable(pro.Unreachable(spent), max_error, budget, unit))
    curves = {
        site.name: {k: trial.error({site: k}) for k in keeps if trial.knows({site: k})}
        for site, keeps in levels.items()
    }
    return Ratios(widths, curves, trace, trial.error(widths), spent, full, unit)


def _unit(budgets: Mapping[str, object], max_error: float | None) -> str:
    """What the one budget that was given is counted in; MACs if it is ``max_error``."""
    given = [unit for unit, value in budgets.items() if value is not None]
    if len(given) + (max_error is not None) != 1:
        raise ValueError("give one of target_macs, target_params, target_latency and max_error")
    if max_error is not None and not 0 < max_error < float("inf"):
        raise ValueError(f"max_error must be a number above 0, got {max_error}")
    return given[0] if given else "MACs"


def _check(form: str, criterion: str, step: float, probes: int, lookahead: int) -> None:
    for name, value, known in (("form", form, FORMS), ("criterion", criterion, CRITERIA)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")
    if not 0 < step < 1 or probes < 1 or lookahead < 1:
        raise ValueError(
            "step must lie between 0 and 1, probes and lookahead be 1 or more, got "
            f"step={step}, probes={probes}, lookahead={lookahead}"
        )


def _refitted(model: nn.Module, sites: Iterable[Site], repair: str, skip: set[str]) -> list[str]:
    """The layers that `prunekit.prune` may give new weights, and a bias."""
    repaired = sites if repair not in ("none", "batchnorm") else ()
    heard = {name for site in repaired for name in site.consumers}
    others = {n for n, m in model.named_modules() if repair == "network" and is_plain(m)}
    return sorted(heard | (others - skip))


def _first(batches: Sequence[Inputs], count: int) -> list[Inputs]:
    """The first ``count`` inputs."""
    found: list[Inputs] = []
    for batch in batches:
        size = len(next(iter(tensors(batch).values())))
        found.append(map_tensors(lambda value, n=count: value[:n], batch))
        count -= size
        if count <= 0:
            break
    return found


def _unreachable(error: pro.Unreachable, max_error: float | None, aim: float, unit: str) -> str:
    if max_error is not None:
        return f"max_error={max_error} is met by no step: the smallest D of one is {error.best:.3g}"
    return f"{aim:.3g} {unit} cannot be reached: the walk ended at {error.best:.3g}"


def _by_curves(
    trial: Trial,
    levels: pro.Levels,
    cost: pro.Cost,
    budget: float,
    *,
    progress: bool,
    **limits: float,
) -> tuple[pro.Widths, list[pro.Decision]]:
    """Measure each site alone, then choose by the sum; ``limits`` are those of `pro.descend`."""
    alone = [{site: keep} for site, keeps in levels.items() for keep in keeps[1:]]
    for widths in tqdm(alone, desc="PRO curves", unit="trial", disable=not progress):
        trial.error(widths)

    def error(widths: pro.Widths) -> float:  # D of the whole, as the sum over sites alone
        return sum(trial.error({site: keep}) for site, keep in widths.items())

    widths, trace = pro.descend(levels, error, cost, budget=budget, **limits)
    if budget:
        return pro.trade(widths, levels, error, cost, budget), trace
    # never all of it: each site alone is within the bound, as its D is part of the sum
    return pro.give_back(widths, levels, trial.error, cost, limits["max_error"]), trace


def _by_greedy(
    trial: Trial,
    levels: pro.Levels,
    cost: pro.Cost,
    budget: float,
    *,
    progress: bool,
    **limits: float,
) -> tuple[pro.Widths, list[pro.Decision]]:
    """Measure the whole network at every step; ``limits`` are those of `pro.descend`."""
    full = cost({site: keeps[0] for site, keeps in levels.items()})
    total = round(100 * (1 - budget / full)) if budget else None
    with tqdm(total=total, desc="PRO greedy", unit="% saved", disable=not progress) as bar:

        def committed(decision: pro.Decision) -> None:
            saved = round(100 * (1 - decision.cost / full))
            bar.set_postfix_str(f"D = {decision.error:.3g}")
            bar.update(min(saved, total or saved) - bar.n)

        return pro.descend(levels, trial.error, cost, budget=budget, committed=committed, **limits)
