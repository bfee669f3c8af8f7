"""Neuro-Coding: what each neuron says, and how alike two neurons are.

A neuron (or a channel) is coded by its behaviour x_j, everything it said to the next layer; the
behaviours of a layer are the columns of X. The consumer outputs are Y = XW + b. Least squares needs
no more than the second moments G = XᵀX and B = XᵀY (`prunekit.Moments`), summed batch by batch.

Source: Kamma et al., "Neural Behavior-Based Approach for Neural Network Pruning", IEICE Trans.
Inf. & Syst. E103-D(5), 2020, for the coding. Our choice: that a behaviour is what the next layer
takes (after norm, activation and pooling), and that moments are streamed.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from prunekit.algebra.arguments import kind, one_of, optional, takes, whole
from prunekit.algebra.moments import Moments, check_matrix, float64
from prunekit.network.calibration import calibration_batches
from prunekit.network.finding import ConsumerInputs, only_consumer
from prunekit.network.given import frozen_copy, undisturbed
from prunekit.network.inputs import Inputs, check_numbers
from prunekit.network.layers import by_channel
from prunekit.network.recording import record

__all__ = ["behaviors", "similarity"]


@undisturbed
@takes(
    layer=kind(str, words="the name of a layer"),
    positions=optional(whole()),
    seed=whole(0, 2**63 - 1),
)
def behaviors(
    model: nn.Module,
    layer: str,
    inputs: Any,
    *,
    positions: int | None = None,
    seed: int = 0,
) -> Tensor:
    """X: what every neuron of a layer said, a column each.

    Parameters
    ----------
    layer : a name of ``model.named_modules()``. Of a linear layer or convolution that one other
        layer takes, this is what that one takes: after norm, activation and pooling. Of any other
        module it is the output
    inputs : images as in `prunekit.prune`: a tensor, or an iterable of batches
    positions : of a feature map, take so many positions per image, drawn once; all by default
    seed : of that draw

    Returns
    -------
    float64 (samples, neurons); for feature maps a sample is one position of one image.

    Raises
    ------
    ValueError, TypeError
        A layer that is not there, positions out of range, inputs that are empty or not finite.
    """
    names = dict(model.named_modules())
    if layer not in names or not layer:
        some = ", ".join(n for n in list(names)[1:] if not list(names[n].children()))
        raise ValueError(f"layer must be one of the network's, got {layer!r}; it has {some:.300}")
    check_numbers(model)
    batches = calibration_batches(inputs, name="inputs")
    model = frozen_copy(model)
    taken = only_consumer(model, layer, batches[0])
    maps = _taken(model, taken, batches) if taken else _given(model, layer, batches)
    X = torch.cat([float64(part) for part in maps])  # (images, neurons, positions)
    if positions is not None:
        if not 1 <= positions <= X.shape[2]:
            raise ValueError(f"positions must lie in 1..{X.shape[2]}, got {positions}")
        g = torch.Generator().manual_seed(seed)
        X = X[:, :, torch.randperm(X.shape[2], generator=g)[:positions].sort().values]
    return X.transpose(1, 2).flatten(0, 1)  # (samples, neurons)


@torch.no_grad()
def _taken(model: nn.Module, taken: ConsumerInputs, batches: Iterable[Inputs]) -> Iterator[Tensor]:
    """What a consumer takes of a layer: (images, neurons, positions), batch by batch."""
    for batch in batches:
        for inputs, _ in record(model, {taken.name: taken.calls}, batch)[taken.name]:
            yield by_channel(model.get_submodule(taken.name), inputs, taken.channels)


@torch.no_grad()
def _given(model: nn.Module, name: str, batches: Iterable[Inputs]) -> Iterator[Tensor]:
    """The outputs of layer ``name``: (images, neurons, positions), batch by batch."""
    for batch in batches:
        for _, output in record(model, {name: 1}, batch)[name]:
            is_map = output.ndim > 2 and not isinstance(model.get_submodule(name), nn.Linear)
            yield output.flatten(2) if is_map else output.reshape(-1, output.shape[-1], 1)


@takes(measure=one_of("cosine", "correlation", "angle"))
def similarity(behaviors: Tensor | Moments, measure: str = "cosine") -> Tensor:
    """How alike neurons are, two by two: (n, n), ready to draw.

    Parameters
    ----------
    behaviors : X (samples, n), or its streamed `Moments`
    measure : "cosine" of the angle between x_i and x_j; "correlation", the same of centred
        behaviours; "angle" in degrees. ReLU behaviours are never negative, so their cosines are
        high even where neurons have nothing to do with each other; correlations are not

    Returns
    -------
    float64 (n, n). A dead neuron (for "correlation": a constant one) is like none but itself.
    """
    if not isinstance(behaviors, Moments):
        behaviors = Moments().update(check_matrix(behaviors, "behaviors"))
    G = behaviors.scatter_xx if measure == "correlation" else behaviors.gram
    lengths = G.diagonal().clamp(min=0).sqrt()
    tiny = lengths <= 1e-12 * behaviors.gram.diagonal().max().sqrt()
    lengths = lengths.where(~tiny, torch.inf)
    # cos θ_ij = ⟨x_i, x_j⟩ / (‖x_i‖·‖x_j‖)
    cosines = (G / torch.outer(lengths, lengths)).clamp(-1, 1)
    cosines = (cosines + cosines.T) / 2  # to the last digit: a product with itself may not be
    cosines.fill_diagonal_(1.0)
    return cosines if measure != "angle" else cosines.acos().rad2deg()
