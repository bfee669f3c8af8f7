"""A layer read as least squares: its inputs X, its outputs Y = XW + b, and W itself.

Linear layers and convolutions of any kind are the same thing here: a row of X is all that one
output position takes, channel by channel. A transposed convolution is a plain one over inputs with
zeros in between; a grouped one is as many layers as it has groups.
"""

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prunekit.algebra.moments import float64

__all__ = [
    "CONVOLUTIONS",
    "LAYERS",
    "as_matrix",
    "by_channel",
    "consumer_inputs",
    "consumer_outputs",
    "groups_of",
    "has_own_forward",
    "is_plain",
    "outgoing_weights",
    "padding_of",
    "set_outgoing_weights",
    "silence_inputs",
    "width",
]

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)
LAYERS = (nn.Linear, *CONVOLUTIONS)


def groups_of(layer: nn.Module) -> int:
    """How many independent layers this one is made of."""
    return getattr(layer, "groups", 1)


def is_plain(layer: nn.Module) -> bool:
    """Whether a layer computes XW + b from the weights that it stores."""
    if hasattr(layer, "parametrizations") or "forward" in vars(layer):
        return False
    return isinstance(layer, LAYERS) and (not has_own_forward(layer) or _computes_xw(layer))


def has_own_forward(layer: nn.Module) -> bool:
    """Whether the layer is of a subclass that computes otherwise, or pads in its own way."""
    base = next(kind for kind in LAYERS if isinstance(layer, kind))
    methods = ("forward", "_conv_forward", "__call__")
    return any(getattr(type(layer), m, None) is not getattr(base, m, None) for m in methods)


@torch.no_grad()
def _computes_xw(layer: nn.Module) -> bool:
    """Whether a forward of its own comes to XW + b: tried on noise, with other weights."""
    dice = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=dice).to(layer.weight)

    kernel = zip(getattr(layer, "kernel_size", ()), getattr(layer, "dilation", ()), strict=True)
    inputs = noise(2, width(layer, "in"), *(d * (k - 1) + 3 for k, d in kernel))
    weights = noise(*layer.weight.shape), noise(width(layer, "out"))
    try:
        probe, said = _answer(layer, inputs, *weights)
        for group, mine in enumerate(torch.arange(width(layer, "in")).chunk(groups_of(layer))):
            X, (W, b) = consumer_inputs(layer, inputs, mine), outgoing_weights(probe, group)
            Y, wanted = float64(X) @ W + b, float64(consumer_outputs(layer, said, group))
            if (Y - wanted).norm() > torch.finfo(inputs.dtype).eps ** 0.5 * wanted.norm():
                return False
    except Exception:  # of foreign code
        return False
    return True


def _answer(
    layer: nn.Module, inputs: Tensor, weight: Tensor, bias: Tensor | None
) -> tuple[nn.Module, Tensor]:
    """A layer like this one with other weights, and what it answers."""
    probe = copy.copy(layer)
    probe._parameters = layer._parameters | {"weight": weight, "bias": bias}
    return probe, type(layer).forward(probe, inputs)


def _as_multiplied(layer: nn.Module, inputs: Tensor, channels: Tensor | None) -> Tensor:
    """X, as consumer_inputs, of a layer that pads in its own way: weights 1 give XI = X."""
    size, kernel = width(layer, "in") // groups_of(layer), layer.weight.shape[2:]
    d = size * kernel.numel()
    identity = torch.eye(d).to(inputs).view(d, size, *kernel)  # of one group
    identity = identity.repeat(groups_of(layer), *[1] * (identity.ndim - 1))
    _, X = _answer(layer, inputs, identity, None)  # (batch, channels·kernel, *positions)
    X = X.flatten(2).unflatten(1, (-1, kernel.numel()))
    X = X if channels is None else X[:, channels.to(X.device)]
    return X.flatten(1, 2).transpose(1, 2).flatten(0, 1)  # (samples, d)


def width(layer: nn.Module, side: str) -> int:
    """Channels (or features) that a layer takes, ``side`` "in", or makes, "out"."""
    if isinstance(layer, nn.Linear):
        return layer.in_features if side == "in" else layer.out_features
    return layer.in_channels if side == "in" else layer.out_channels


def consumer_inputs(layer: nn.Module, inputs: Tensor, channels: Tensor | None = None) -> Tensor:
    """X: the inputs of a layer, one row per output position.

    Parameters
    ----------
    layer : linear, or a convolution of any dimension, transposed or not
    inputs : (batch, …, features), or (batch, channels, *positions)
    channels : of these channels (or features) only, in this order

    Returns
    -------
    (samples, d), such that ``X @ outgoing_weights(layer)`` plus the bias is the layer's output:
    for a convolution every k×k patch is a row, d = channels·k², channel by channel.
    """
    if isinstance(layer, nn.Linear):
        inputs = inputs if channels is None else inputs[..., channels.to(inputs.device)]
        return inputs.reshape(-1, inputs.shape[-1])  # (samples, features)
    if has_own_forward(layer):
        return _as_multiplied(layer, inputs, channels)
    X = inputs if channels is None else inputs[:, channels.to(inputs.device)]
    if isinstance(layer, TRANSPOSED):
        X, strides = _spread_out(layer, X), [1] * len(layer.kernel_size)
    else:
        strides = layer.stride
        X = F.pad(X, padding_of(layer), mode=layer.padding_mode.replace("zeros", "constant"))
    sizes = zip(layer.kernel_size, strides, layer.dilation, strict=True)
    for axis, (k, stride, dilation) in enumerate(sizes, start=2):
        # every window along this axis; its k samples become a new last axis
        X = X.unfold(axis, dilation * (k - 1) + 1, stride)[..., ::dilation]
    dims = len(layer.kernel_size)  # X: (batch, channels, *positions, *kernel)
    d = X.shape[1] * X.shape[-dims:].numel()
    return X.movedim(1, dims + 1).reshape(-1, d)  # (samples, d)


def padding_of(layer: nn.Module) -> list[int]:
    """A convolution's padding as `torch.nn.functional.pad` takes it, last axis first."""
    pads: list[int] = []
    for axis, (k, dilation) in enumerate(zip(layer.kernel_size, layer.dilation, strict=True)):
        if layer.padding == "same":
            total = dilation * (k - 1)
            pads = [total // 2, total - total // 2, *pads]
        else:
            pads = [0 if layer.padding == "valid" else layer.padding[axis]] * 2 + pads
    return pads


def _spread_out(layer: nn.Module, inputs: Tensor) -> Tensor:
    """What a transposed convolution slides over: stride − 1 zeros between samples, and a margin."""
    sizes = [(size - 1) * s + 1 for size, s in zip(inputs.shape[2:], layer.stride, strict=True)]
    X = inputs.new_zeros(*inputs.shape[:2], *sizes)
    X[(..., *(slice(None, None, s) for s in layer.stride))] = inputs
    pads: list[int] = []
    for axis, k in enumerate(layer.kernel_size):
        margin = layer.dilation[axis] * (k - 1) - layer.padding[axis]
        pads = [margin, margin + layer.output_padding[axis], *pads]
    return F.pad(X, pads)


def consumer_outputs(layer: nn.Module, outputs: Tensor, group: int = 0) -> Tensor:
    """Y: a layer's output (of one group) as (samples, outputs), rows ordered as in X."""
    if isinstance(layer, nn.Linear):
        return outputs.reshape(-1, outputs.shape[-1])
    part = outputs.chunk(groups_of(layer), 1)[group]
    return part.flatten(2).transpose(1, 2).flatten(0, 1)


def by_channel(layer: nn.Module, inputs: Tensor, channels: Tensor) -> Tensor:
    """The inputs of a layer, as (images, channels, positions).

    ``channels`` (n, m) are the channels or features of ``inputs`` that belong to each of n: behind
    a flatten they are the m positions of a map.
    """
    if isinstance(layer, nn.Linear):
        return inputs.reshape(-1, inputs.shape[-1])[:, channels.to(inputs.device)]
    return inputs[:, channels.to(inputs.device)].flatten(2)


def _rows(layer: nn.Module, group: int) -> tuple[slice, slice]:
    """Which rows of ``weight`` and of ``bias`` belong to one group."""
    size = len(layer.weight) // groups_of(layer)
    outputs = width(layer, "out") // groups_of(layer)
    of_weight = slice(group * size, group * size + size)
    return of_weight, slice(group * outputs, group * outputs + outputs)


def outgoing_weights(layer: nn.Module, group: int = 0) -> tuple[Tensor, Tensor]:
    """W (d, outputs) and b (outputs,) of a layer, or of one group; a missing bias is zero."""
    W, outputs = as_matrix(layer, layer.weight, group), _rows(layer, group)[1]
    b = torch.zeros(W.shape[1], dtype=W.dtype, device=W.device)
    return W, b if layer.bias is None else float64(layer.bias)[outputs]


def as_matrix(layer: nn.Module, weight: Tensor, group: int) -> Tensor:
    """(d, outputs) of one group, from what is laid out as the layer's weight."""
    weight = float64(weight)[_rows(layer, group)[0]]
    if isinstance(layer, TRANSPOSED):  # (in, out, *kernel), the kernel backwards
        weight = weight.flip(tuple(range(2, weight.ndim))).transpose(0, 1)
    return weight.flatten(1).T


@torch.no_grad()
def set_outgoing_weights(layer: nn.Module, W: Tensor, b: Tensor, group: int = 0) -> None:
    """Write W (d, outputs) and b (outputs,) into a layer (of one group), in its own dtype.

    A layer without a bias gets one when b is not zero.
    """
    rows, outputs = _rows(layer, group)
    part = layer.weight[rows]
    if isinstance(layer, TRANSPOSED):
        kernel = part.shape[2:]
        weight = W.T.reshape(part.shape[1], part.shape[0], *kernel).transpose(0, 1)
        weight = weight.flip(tuple(range(2, weight.ndim)))
    else:
        weight = W.T.reshape(part.shape)
    layer.weight[rows] = weight.to(layer.weight)
    if layer.bias is None and b.any():
        layer.bias = nn.Parameter(layer.weight.new_zeros(width(layer, "out")))
        layer.bias.requires_grad_(layer.weight.requires_grad)
    if layer.bias is not None:
        layer.bias[outputs] = b.to(layer.bias)


@torch.no_grad()
def silence_inputs(layer: nn.Module, channels: Sequence[int]) -> None:
    """Zero the weights of a layer on its input ``channels``, in place."""
    if isinstance(layer, TRANSPOSED):
        layer.weight[list(channels)] = 0
        return
    size, rows = width(layer, "in") // groups_of(layer), len(layer.weight) // groups_of(layer)
    for channel in channels:
        group, index = divmod(channel, size)
        layer.weight[group * rows : group * rows + rows, index] = 0
