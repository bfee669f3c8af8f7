"""prune(): collect → select → update → remove, with a report.

Two copies of the network work side by side, the original and the one being pruned. Site by site
(`prunekit.front_to_back`) the pruned one stops listening to the channels that go; only at the end
are the silent channels cut away.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from prunekit import baselines, surgery
from prunekit.budget import Ratio, keep_counts, uniform_ratio
from prunekit.cost import count_macs, count_params
from prunekit.front_to_back import Method, Options, front_to_back
from prunekit.inputs import Inputs, calibration_batches, check_example, frozen_copy
from prunekit.network import Site, called_layers, find_sites, ignored_names, shared_weights
from prunekit.reap import reap
from prunekit.repair import REPAIRS
from prunekit.report import Report, Row

__all__ = ["PruningResult", "prune"]

METHODS: dict[str, tuple[Method, str]] = {  # name → (selection, the repair it comes with)
    "reap": (reap, "network"),
    "l1": (baselines.l1, "none"),
}


@dataclass(frozen=True)
class PruningResult:
    """What `prune` gives back.

    Attributes
    ----------
    model : the new, smaller network, in the mode of the one given. Build an optimiser after this,
        not before: its parameters are new
    report : a row per site and the totals; print it
    plan : {site name: ids of the channels that stayed, in the original numbering}
    """

    model: nn.Module
    report: Report
    plan: dict[str, tuple[int, ...]]


def _method(method: str | Method, repair: str | None) -> tuple[Method, str]:
    """The selection and the repair that were asked for."""
    if not callable(method) and method not in METHODS:
        raise ValueError(
            f"method must be one of {', '.join(map(repr, METHODS))}, or a callable that takes a "
            f"site's Statistics and returns an Elimination, got {method!r}"
        )
    select, usual = (method, "network") if callable(method) else METHODS[method]
    if repair not in (None, *REPAIRS):
        raise ValueError(f"repair must be one of {', '.join(map(repr, REPAIRS))}, got {repair!r}")
    return select, repair or usual


def _prunable(sites: Sequence[Site]) -> list[Site]:
    """The sites without a reason against them; none at all is an error that lists the reasons."""
    prunable = [site for site in sites if site.reason is None]
    if not prunable:
        reasons = "\n".join(f"  {site.name}: {site.reason}" for site in sites)
        raise ValueError(f"model has no channels that can be pruned:\n{reasons or '  no layers'}")
    return prunable


def prune(
    model: nn.Module,
    example_inputs: Any,
    calibration: Any,
    *,
    method: str | Method = "reap",
    pruning_ratio: Ratio | None = None,
    target_macs: float | int | None = None,
    repair: str | None = None,
    asymmetric: bool = True,
    centered: bool = True,
    ridge: float = 1e-5,
    weigh_outputs: bool = True,
    ignored_layers: Iterable[str | nn.Module | type] = (),
    progress: bool = True,
) -> PruningResult:
    """Make a smaller network that answers like the one given, without retraining.

    Parameters
    ----------
    model : the network; it is not touched
    example_inputs : what one call takes: a tensor, a tuple of tensors or a dict of them
    calibration : inputs without labels, a few hundred at least: a tensor, or an iterable of
        tensors, of ``(inputs, labels)`` or of dicts
    method : "reap", "l1", or a callable from a site's `Statistics` to an `Elimination`
    pruning_ratio : fraction of channels removed, 0 ≤ r < 1, or a dict of them by site name
    target_macs : instead of a ratio: the fraction of MACs kept (float) or their number (int), met
        with one uniform ratio
    repair : "least_squares" refits the consumer of every pruned site, "network" every other layer
        behind the first of them too, "batchnorm" recalibrates batch norms at the end, "none"
        leaves weights alone; by default "network" for REAP and your own methods, "none" for L1.
        With fewer than about 200 images prefer "least_squares": "network" fits more to them
    asymmetric : aim at what the *original* network answers, given what the pruned one hears
    centered : refit biases too
    ridge : pull towards the original weights, relative to the mean energy of a column of X
    weigh_outputs : score errors as the batch norm behind the consumer will scale them
    ignored_layers : names, modules or types to leave alone
    progress : show a progress bar

    Returns
    -------
    PruningResult : ``.model``, ``.report``, ``.plan``

    Raises
    ------
    TypeError, ValueError
        A ratio or budget out of range, calibration data that is empty, not finite or of another
        shape, a network without anything to prune. Nothing has been changed then.

    Notes
    -----
    Source: Kamma & Wada 2021 (REAP) for selection and the update of the consumer. Our choice: front
    to back with an asymmetric target, centring, the ridge, output weights, refitting other layers.
    """
    if (pruning_ratio is None) == (target_macs is None):
        raise ValueError("give one of pruning_ratio and target_macs")
    select, repair = _method(method, repair)
    example = check_example(example_inputs, model)
    batches = calibration_batches(calibration, example)
    sites = find_sites(model, example, ignored_layers)
    prunable = _prunable(sites)
    original, pruned = frozen_copy(model), frozen_copy(model)
    if target_macs is not None:
        pruning_ratio = uniform_ratio(original, example, prunable, target_macs)
    keep = keep_counts(prunable, pruning_ratio)
    if target_macs is None and pruning_ratio and all(keep[s] == s.channels for s in prunable):
        raise ValueError(f"pruning_ratio={pruning_ratio} removes no channel anywhere: raise it")
    skip, shared = ignored_names(model, ignored_layers), shared_weights(original.modules())
    layers = [
        name
        for name, calls in called_layers(original, example).items()
        if name not in skip and calls == 1 and original.get_submodule(name).weight not in shared
    ]
    options = Options(select, repair, asymmetric, centered, ridge, weigh_outputs)
    kept, errors = front_to_back(original, pruned, layers, keep, batches, options, progress)
    surgery.remove(pruned, {site: _gone(site, ids) for site, ids in kept.items()})
    if repair == "batchnorm":
        pruned = baselines.recalibrate_batchnorm(pruned, batches, example)
    name = method if isinstance(method, str) else getattr(method, "__name__", "own method")
    report = _report(original, pruned, example, sites, kept, errors, method=name, repair=repair)
    _restore_flags(model, pruned)
    return PruningResult(pruned, report, {row.name: row.kept for row in report.rows if row.kept})


def _gone(site: Site, kept: Tensor) -> list[int]:
    return sorted(set(range(site.channels)) - set(kept.tolist()))


def _report(
    before: nn.Module,
    after: nn.Module,
    example: Inputs,
    sites: Sequence[Site],
    kept: dict[Site, Tensor],
    errors: dict[Site, float | None],
    **how: str,
) -> Report:
    rows = []
    for site in sites:
        ids = tuple(kept[site].tolist()) if site in kept else tuple(range(site.channels))
        rows.append(Row(site.name, site.channels, len(ids), ids, errors.get(site), site.reason))
    return Report(
        rows=tuple(rows),
        **how,
        macs_before=count_macs(before, example),
        macs_after=count_macs(after, example),
        params_before=count_params(before),
        params_after=count_params(after),
    )


def _restore_flags(model: nn.Module, pruned: nn.Module) -> None:
    """Give the new network the modes and the gradient flags of the one it came from."""
    for old, new in zip(model.modules(), pruned.modules(), strict=True):
        new.training = old.training
    flags = {name: p.requires_grad for name, p in model.named_parameters()}
    for name, parameter in pruned.named_parameters():
        weight = name.removesuffix("bias") + "weight"  # a bias that was added follows its weight
        parameter.requires_grad_(flags.get(name, flags.get(weight, True)))
