"""prune(): collect → select → update → remove, with a report.

Two copies of the network work side by side, the original and the one being pruned. Layerwise, front
to back (`prunekit.pipeline.front_to_back`), the channels that go are silenced in the pruned one;
only at the end are they cut away.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from prunekit.algebra.arguments import flag, one_of, optional, takes, whole
from prunekit.algebra.least_squares import RIDGE
from prunekit.network import surgery
from prunekit.network.augmenting import mirrored
from prunekit.network.behind import behind
from prunekit.network.calibration import calibration_batches
from prunekit.network.cost import count_macs, count_params
from prunekit.network.finding import find_sites, ignored_names
from prunekit.network.given import frozen_copy, handed_over, undisturbed
from prunekit.network.inputs import Inputs, check_example
from prunekit.network.last_check import check_cut
from prunekit.network.marking import layers_to_refit
from prunekit.network.plausible import warn_if_implausible
from prunekit.network.ranks import alike, is_first
from prunekit.network.sites import Site
from prunekit.network.walk import Walk
from prunekit.pipeline import by_hand
from prunekit.pipeline.amounts import Ratio, check_amount, prunable_sites, widths_of
from prunekit.pipeline.distribution import DISTRIBUTIONS, Task, chosen_widths
from prunekit.pipeline.front_to_back import Options, Outcome, front_to_back
from prunekit.pipeline.methods import COEFFICIENTS, Method, resolve
from prunekit.pipeline.refining import refined
from prunekit.pipeline.repairs import Repair, wide_layers
from prunekit.results.plans import plan_of
from prunekit.results.report import Report, Row
from prunekit.results.result import PruningResult

__all__ = ["PruningResult", "prune"]


@undisturbed
@takes(
    distribution=optional(one_of(*DISTRIBUTIONS)),
    coefficients=COEFFICIENTS,
    asymmetric=flag,
    centered=flag,
    ridge=optional(RIDGE),
    weigh_outputs=flag,
    prune_residual=flag,
    mirror=flag,
    refine=whole(0, most=100_000),
    progress=flag,
)
def prune(
    model: nn.Module,
    example_inputs: Any,
    calibration: Any,
    *,
    method: str | Method = "reap",
    pruning_ratio: Ratio | None = None,
    target_macs: float | int | None = None,
    target_params: float | int | None = None,
    target_latency: float | None = None,
    max_error: float | None = None,
    channels: Mapping[str, Iterable[int]] | None = None,
    distribution: str | None = None,
    round_to: int = 1,
    repair: str | Repair | None = None,
    coefficients: str = "kernel",
    asymmetric: bool = True,
    centered: bool = True,
    ridge: float | None = None,
    weigh_outputs: bool = True,
    ignored_layers: Iterable[str | nn.Module | type] = (),
    prune_residual: bool = False,
    mirror: bool = False,
    refine: int = 0,
    progress: bool = True,
) -> PruningResult:
    """Make a smaller network with outputs like those of the one given, without retraining.

    Parameters
    ----------
    model : the network; it is not touched
    example_inputs : what one call takes: a tensor, a tuple of tensors or a dict of them
    calibration : inputs without labels, a few hundred at least: a tensor, or an iterable of
        tensors, of ``(inputs, labels)`` or of dicts
    method : a name of `prunekit.pipeline.methods.METHODS` ("reap", "unify", "l1", "lasso", …), or a
        callable from a site's `Statistics` to an `Elimination`, see the example
    pruning_ratio : fraction of channels removed, 0 ≤ r < 1, or a dict of them by site name
    target_macs, target_params : instead of a ratio: the fraction of MACs or parameters kept (float)
        or their number (int)
    target_latency : or the fraction of the measured seconds per pass of ``example_inputs``
    max_error : or: at each site as many channels go as raise the relative error of
        the layer that takes it, ‖Y − Ŷ‖²/‖Y − mean(Y)‖², by this at most
    channels : or: {site name: ids of the channels that go}; other sites keep all, and
        of ``method`` only the repair that it comes with counts
    distribution : how a target is met: "uniform" gives all layers one ratio; "pro" tries that,
        PRO's ratios (`prunekit.optimize_ratios`) and gentler ones on some of the images, and takes
        what does best on others. By default "pro" for REAP, else "uniform"
    round_to : where channels go, a multiple of this stays, rounded up; for ratios and targets
    repair : "none" leaves weights alone; "batchnorm" recalibrates batch norms at the end;
        "least_squares" refits the layers that take a pruned site's channels; "network" every other
        layer behind the first of them too, so that sums of blocks and what passes ReLUs come out as
        before; "poem" weighs outputs by what comes through the ReLU behind them (`prunekit.poem`);
        "own" takes the weights that the method gives. By default "network" for REAP and your own
        methods, else what the method comes with
    coefficients : "kernel" refits every weight of a k×k kernel, "channel" finds one scalar per pair
        of channels, from n instead of n·k² columns: less memory, a larger error. A layer whose
        moments do not fit into memory is done so with a warning
    asymmetric : aim at the outputs of the *original* network, given what the pruned one takes
    centered : refit biases too
    ridge : pull towards the original weights, relative to the energy of each column of X. By
        default 1e-5, where "network" refits a layer chosen on samples that were held back
    weigh_outputs : score errors of a consumer by how the network's outputs feel them, S = E[JᵀJ]
    ignored_layers : names or patterns (``layer1.*``), modules or types to leave alone
    prune_residual : prune the channels that residual connections add up, too
    mirror : calibrate with mirrored copies of the images, too: a little better, in twice the time
    refine : afterwards, so many epochs of `prunekit.refine`, which is retraining without labels
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

    Examples
    --------
    An idea of your own, wherever a method name does:

    >>> import torch, prunekit as pk
    >>> from prunekit.classroom.models import small_cnn
    >>> def quietest_first(site):
    ...     loudness = site.moments.gram.diagonal().view(site.channels, -1).sum(1)
    ...     return pk.Elimination(loudness.argsort())
    >>> images = torch.rand(200, 3, 32, 32)
    >>> model = small_cnn()
    >>> result = pk.prune(
    ...     model, images[:1], images, method=quietest_first, target_macs=0.5, progress=False
    ... )
    >>> pk.count_macs(result.model, images) <= 0.5 * pk.count_macs(model, images)
    True
    """
    targets = {
        "target_macs": target_macs,
        "target_params": target_params,
        "target_latency": target_latency,
    }
    progress = progress and is_first()
    amounts = {"pruning_ratio": pruning_ratio, **targets, "max_error": max_error}
    check_amount(**amounts, channels=channels, round_to=round_to)
    name, select, repair = resolve(method, repair, coefficients)
    example = check_example(example_inputs, model)
    batches = calibration_batches(calibration, example, model)
    batches = [*batches, *map(mirrored, batches)] if mirror else batches
    sites = find_sites(model, example, ignored_layers, prune_residual=prune_residual)
    prunable = prunable_sites(sites)
    original, pruned = frozen_copy(model), frozen_copy(model)
    layers = layers_to_refit(original, example, ignored_names(model, ignored_layers))
    if repair.refits:
        warn_if_implausible(original, batches, few_are_said=repair.everywhere)
    follows = behind(original, example) if repair.looks_behind else {}
    if channels is not None:
        chosen = by_hand.chosen_channels(channels, sites)
        name, select = "by hand", by_hand.as_chosen(chosen)
    how = (coefficients, asymmetric, centered, ridge, weigh_outputs)
    options = Options(select, repair, *how, wide_layers(original, layers, repair))
    if channels is not None:
        keep = {site: site.channels - len(chosen.get(site, ())) for site in prunable}
    elif any(target is not None for target in targets.values()):
        task = Task(original, example, batches, prunable, layers, follows, options, progress)
        distribution = distribution or ("pro" if method == "reap" else "uniform")
        keep = chosen_widths(task, targets, distribution, round_to)
    else:
        keep = widths_of(prunable, 0.0 if pruning_ratio is None else pruning_ratio, round_to)
    how = {"behind": follows, "asymmetric": asymmetric, "copies": 1 + mirror}
    with Walk(original, pruned, layers, batches, **how) as walk:
        outcomes = front_to_back(walk, keep, options, max_error, progress)
        if max_error is not None and not outcomes:
            raise ValueError(
                f"max_error={max_error} is met at no site: one channel fewer exceeds it"
            )
        gone = {s: {*range(s.channels)} - {*found.kept.tolist()} for s, found in outcomes.items()}
        cuts, pruned = surgery.merged(gone), frozen_copy(pruned)
        surgery.cut_out(pruned, cuts)
        check_cut(walk.outputs(), walk.pruned, pruned, batches)
    pruned, how = repair.at_end(pruned, batches, example), repair.name
    if refine:
        pruned, how = (
            refined(pruned, original, batches, refine, progress=progress),
            f"{how}, refined",
        )
    alike(pruned)
    rows = [_row(site, outcomes.get(site)) for site in sites]
    report = _report(original, pruned, example, rows, method=name, repair=how)
    _restore_flags(model, pruned)
    return PruningResult(handed_over(pruned), report, plan_of(model, pruned, rows, cuts))


def _row(site: Site, found: Outcome | None) -> Row:
    """What came of one site."""
    if found is None:
        kept = tuple(range(site.channels))
        return Row(site.name, site.channels, site.channels, kept, None, None, site.reason)
    kept = tuple(found.kept.tolist())
    numbers = (site.channels, len(kept), kept, found.error, found.rank)
    return Row(site.name, *numbers, None, found.columns)


def _report(
    before: nn.Module, after: nn.Module, example: Inputs, rows: Sequence[Row], **how: str
) -> Report:
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
