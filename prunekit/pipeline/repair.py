"""Repair: refitting the weights that remain, next to what was pruned and in a whole network.

The consumer of a pruned site is refitted by least squares (REAP's update). But pruning disturbs
every layer behind it, also those that lost no channel; each of them can be refitted in the same
way: Y is what the original layer answers, X what the layer hears now.

Source: the update is Kamma & Wada 2021 (REAP). Refitting the other layers is our choice; front to
back reconstruction goes back to He, Zhang & Sun, "Channel pruning for accelerating very deep
neural networks", ICCV 2017.
"""

import warnings
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from prunekit.algebra.elimination import Elimination
from prunekit.algebra.least_squares import LeastSquares, columns_of
from prunekit.algebra.statistics import Statistics
from prunekit.network.inputs import Inputs
from prunekit.network.layers import groups_of, outgoing_weights, set_outgoing_weights, width
from prunekit.network.listening import collect
from prunekit.network.sites import Listener
from prunekit.poem import reweighted

__all__ = [
    "REFITS",
    "REPAIRS",
    "refit_layer",
    "relative_error",
    "silenced",
    "update_weights",
]

REPAIRS = {
    "none": "weights stay as they were",
    "batchnorm": "batch norms are recalibrated at the end",
    "least_squares": "the layer that hears a pruned site is refitted (REAP's update)",
    "network": "so is every other layer behind the first pruned site",
    "own": "the weights that the method itself gives",
}
REFITS = ("least_squares", "network")
POEM_ROWS = 20_000  # drawn samples that reweighting looks at, or 20 per column if that is more


def silenced(site: Statistics, kept: Tensor) -> tuple[Tensor, Tensor]:
    """W⁰ (d, outputs) with the rows of removed channels zero, and b⁰ (outputs,)."""
    columns, W = site.columns(kept), torch.zeros_like(site.weights)
    W[columns] = site.weights[columns]
    return W, site.bias


def update_weights(
    site: Statistics, chosen: Elimination, kept: Tensor, repair: str, name: str, poem: bool = False
) -> tuple[Tensor, Tensor]:
    """A consumer's new W (d, outputs), zero where channels went, and b (outputs,).

    As ``repair`` says. Least squares keeps the weights as they were, with a warning that gives the
    layer's ``name``, where the error would become larger.
    """
    W, b = silenced(site, kept)
    if repair == "own":
        if chosen.update is None and chosen.problem is None:
            raise ValueError(
                "repair='own' takes the weights that a method gives, but this method only orders "
                "channels: choose another repair, 'least_squares' for one"
            )
        return chosen.weights_of(kept)
    if repair not in REFITS:
        return W, b
    refitted = site.problem.solve(site.columns(kept))
    worse = site.problem.error(refitted) - site.problem.error(W, b)
    if worse > 1e-6 * site.problem.energy.sum():
        message = f"least squares did not lower the error of {name}: its weights are kept"
        warnings.warn(message + "; more calibration data may help", stacklevel=2)
    if worse > 0:
        return W, b
    W, b = refitted, site.problem.bias(refitted)
    if poem and site.before_relu is not None:
        X, Y = site.rows(max(POEM_ROWS, 20 * len(W)))
        scale, shift = site.before_relu
        return reweighted(X, Y, W, b, scale=scale, shift=shift)
    return W, b


def relative_error(site: Statistics, W: Tensor, b: Tensor) -> float | None:
    """‖Y − XW − b‖² / ‖Y − mean(Y)‖²; None if Y is constant."""
    energy = site.moments.scatter_yy.sum()
    if energy <= 1e-12 * (site.moments.count * site.moments.mean_y.square()).sum():
        return None
    return site.problem.error(W, b) / energy.item()


def refit_layer(
    original: nn.Module,
    pruned: nn.Module,
    name: str,
    batches: Iterable[Inputs],
    *,
    calls: int = 1,
    silent: Iterable[int] = (),
    centered: bool = True,
    ridge: float = 1e-5,
) -> None:
    """Refit layer ``name`` of ``pruned`` in place, so that it answers as before.

    All its weights but those of ``silent``, the channels that it no longer hears; a grouped
    convolution group by group. Nothing changes where the error would not fall.
    """
    layer = pruned.get_submodule(name)
    size = width(layer, "in") // groups_of(layer)
    ears = [
        Listener(
            name, g, torch.arange(g * size, g * size + size)[:, None], size, calls, None, False
        )
        for g in range(groups_of(layer))
    ]
    for ear, moments in zip(ears, collect(original, pruned, ears, batches), strict=True):
        W0, b0 = outgoing_weights(layer, ear.group)
        problem = LeastSquares.from_moments(moments, W0, b0, centered=centered, ridge=ridge)
        heard = [i for i in range(size) if ear.group * size + i not in silent]
        W = problem.solve(columns_of(torch.tensor(heard, device=W0.device), len(W0) // size))
        if heard and problem.error(W) <= problem.error(W0, b0):
            set_outgoing_weights(layer, W, problem.bias(W), ear.group)
