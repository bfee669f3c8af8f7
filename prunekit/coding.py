"""Neuro-Coding: what each neuron says, how alike two neurons are, and the streamed moments of it.

This is the door between networks and algorithms: layers speak, arrays come out. A neuron (or a
channel) is coded by its behaviour x_j, everything it said to the next layer; the behaviours of a
layer are the columns of X. The next layer answers Y = XW + b. Least squares needs no more than
the second moments G = XᵀX and B = XᵀY, and those can be summed batch by batch.

Source: Kamma et al., "Neural Behavior-Based Approach for Neural Network Pruning", IEICE Trans.
Inf. & Syst. E103-D(5), 2020, for the coding. Our choice: that a behaviour is what the next layer
hears (after norm, activation and pooling), and that moments are streamed.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prunekit.inputs import Inputs, calibration_batches, call, device_of, frozen_copy, map_tensors
from prunekit.layers import answered, by_channel, listened, outgoing_weights
from prunekit.moments import Moments, check_matrix, float64
from prunekit.network import listener

__all__ = ["behaviors", "collect", "heard", "heard_with_gradients", "sample_rows", "similarity"]


class _Heard(Exception):
    """Raised inside a forward pass once the layer was reached: the rest is not needed."""


def _listen(model: nn.Module, name: str, inputs: Inputs) -> tuple[Tensor, Tensor]:
    """What layer ``name`` hears and answers when ``model`` is given ``inputs``."""
    said: list[Tensor] = []

    def stop(_layer: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        said.extend((args[0], output))
        raise _Heard

    hook = model.get_submodule(name).register_forward_hook(stop)
    try:
        call(model, map_tensors(lambda value: value.to(device_of(model)), inputs))
    except _Heard:
        pass
    finally:
        hook.remove()
    return said[0], said[1]


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
        layer hears, this is what that one hears: after norm, activation and pooling. Of any other
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
    batches = calibration_batches(inputs)
    model = frozen_copy(model)
    name, channels = listener(model, layer, batches[0])
    maps = heard(model, name, batches, channels) if name else _said(model, layer, batches)
    X = torch.cat([float64(part) for part in maps])  # (images, neurons, positions)
    if positions is not None:
        if not 1 <= positions <= X.shape[2]:
            raise ValueError(f"positions must lie in 1..{X.shape[2]}, got {positions}")
        g = torch.Generator().manual_seed(seed)
        X = X[:, :, torch.randperm(X.shape[2], generator=g)[:positions].sort().values]
    return X.transpose(1, 2).flatten(0, 1)  # (samples, neurons)


@torch.no_grad()
def _said(model: nn.Module, name: str, batches: Iterable[Inputs]) -> Iterator[Tensor]:
    """The outputs of layer ``name``: (images, neurons, positions), batch by batch."""
    for batch in batches:
        output = _listen(model, name, batch)[1]
        is_map = output.ndim > 2 and not isinstance(model.get_submodule(name), nn.Linear)
        yield output.flatten(2) if is_map else output.reshape(-1, output.shape[-1], 1)


@torch.no_grad()
def heard(
    model: nn.Module, name: str, batches: Iterable[Inputs], channels: int
) -> Iterator[Tensor]:
    """What layer ``name`` hears: (images, channels, positions), batch by batch."""
    for batch in batches:
        yield by_channel(model.get_submodule(name), _listen(model, name, batch)[0], channels)


def heard_with_gradients(
    model: nn.Module, name: str, batches: Iterable[Inputs], channels: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The same with the gradient of a loss, both (images, channels, positions).

    The loss is the cross-entropy to the network's own likeliest class, so no labels are needed.
    """
    layer, said = model.get_submodule(name), []

    def leaf(_layer: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor]:
        said.append(args[0].detach().requires_grad_())
        return (said[-1],)

    for batch in batches:
        hook = layer.register_forward_pre_hook(leaf)
        try:
            with torch.enable_grad():
                z = call(model, map_tensors(lambda v: v.to(device_of(model)), batch))
                if not isinstance(z, Tensor) or z.ndim != 2:
                    raise ValueError("gradients need a network that gives (images, classes)")
                loss = F.cross_entropy(z, z.detach().argmax(1), reduction="sum")
                (gradient,) = torch.autograd.grad(loss, said[-1])
        finally:
            hook.remove()
        x = said.pop().detach()
        yield by_channel(layer, x, channels), by_channel(layer, gradient, channels)


@torch.no_grad()
def collect(
    original: nn.Module,
    pruned: nn.Module,
    name: str,
    batches: Iterable[Inputs],
    channels: int | None = None,
) -> Moments:
    """Moments of X as ``pruned`` says it and Y as ``original`` answers it, at layer ``name``.

    The asymmetric target of front-to-back pruning; with the same network twice it is symmetric.
    With ``channels`` a column of X is a whole feature map, and the taps of a kernel count as
    outputs of their own: moments of n instead of n·k² columns, for one scalar per channel pair.
    """
    moments, layer = Moments(), pruned.get_submodule(name)
    W, b = outgoing_weights(original.get_submodule(name))
    taps = 1 if channels is None else len(W) // channels
    W, b = W.reshape(len(W) // taps, -1), (b / taps).repeat(taps)
    for batch in batches:
        inputs, answer = _listen(pruned, name, batch)
        said = inputs
        if original is not pruned:
            said, answer = _listen(original, name, batch)
        if taps == 1:
            moments.update(listened(layer, inputs), answered(layer, answer))
        else:
            X, X0 = (
                by_channel(layer, v, channels).transpose(1, 2).flatten(0, 1) for v in (inputs, said)
            )  # (samples, channels)
            moments.update(X, X0 @ W.to(X0.dtype) + b.to(X0.dtype))
    return moments


@torch.no_grad()
def sample_rows(
    original: nn.Module,
    pruned: nn.Module,
    name: str,
    batches: Sequence[Inputs],
    count: int,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """About ``count`` rows of X (rows, d) and Y (rows, outputs) as in `collect`, in float64."""
    g, parts = torch.Generator().manual_seed(seed), []
    for batch in batches:
        inputs, answer = _listen(pruned, name, batch)
        if original is not pruned:
            answer = _listen(original, name, batch)[1]
        layer = pruned.get_submodule(name)
        X, Y = listened(layer, inputs), answered(layer, answer)
        rows = torch.randperm(len(X), generator=g)[: -(-count // len(batches))].to(X.device)
        parts.append((float64(X[rows]), float64(Y[rows])))
    return torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])


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
    if measure not in ("cosine", "correlation", "angle"):
        raise ValueError(f"measure must be 'cosine', 'correlation' or 'angle', got {measure!r}")
    if not isinstance(behaviors, Moments):
        behaviors = Moments().update(check_matrix(behaviors, "behaviors"))
    G = behaviors.scatter_xx if measure == "correlation" else behaviors.gram
    lengths = G.diagonal().clamp(min=0).sqrt()
    tiny = lengths <= 1e-12 * behaviors.gram.diagonal().max().sqrt()
    lengths = lengths.where(~tiny, torch.inf)
    # cos θ_ij = ⟨x_i, x_j⟩ / (‖x_i‖·‖x_j‖)
    cosines = (G / torch.outer(lengths, lengths)).clamp(-1, 1)
    cosines.fill_diagonal_(1.0)
    return cosines if measure != "angle" else cosines.acos().rad2deg()
