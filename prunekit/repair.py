"""Refitting what remains of a whole network, layer by layer.

Pruning a site disturbs every layer behind it, also those that lost no channel. Each can be refitted
by the same least squares: Y is what the original layer answers, X what the layer hears now.

Our choice; the papers' abstracts speak of the weights next to what was pruned. Front-to-back
reconstruction of all layers goes back to He, Zhang & Sun, "Channel pruning for accelerating very
deep neural networks", ICCV 2017, which corrects for earlier layers in the target of later ones.
"""

from collections.abc import Iterable

import torch
from torch import nn

from prunekit.coding import collect, outgoing_weights, set_outgoing_weights
from prunekit.inputs import Inputs
from prunekit.least_squares import LeastSquares

__all__ = ["can_refit", "refit_layer"]


def can_refit(layer: nn.Module) -> bool:
    """Whether a layer is one least squares: linear, or a convolution without groups."""
    return isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)


def refit_layer(
    original: nn.Module,
    pruned: nn.Module,
    name: str,
    batches: Iterable[Inputs],
    *,
    centered: bool = True,
    ridge: float = 1e-5,
) -> None:
    """Refit all weights of layer ``name`` of ``pruned`` in place, so that it answers as before."""
    layer = pruned.get_submodule(name)
    W0, b0 = outgoing_weights(layer)
    moments = collect(original, pruned, name, batches)
    problem = LeastSquares.from_moments(moments, W0, b0, centered=centered, ridge=ridge)
    W = problem.solve(torch.arange(len(W0), device=W0.device))
    if problem.error(W) <= problem.error(W0, b0):
        set_outgoing_weights(layer, W, problem.bias(W))
