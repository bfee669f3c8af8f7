"""Listening in on a network: what layers hear and answer, and the moments of it.

This is where networks become arrays. The moments of a listener are those of X, what the pruned
network says to it, and Y, what the original network made it answer.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prunekit.algebra.moments import Moments, float64
from prunekit.network.inputs import Inputs, call, device_of, map_tensors
from prunekit.network.layers import answered, by_channel, listened, outgoing_weights
from prunekit.network.sites import Listener

__all__ = ["collect", "heard", "heard_with_gradients", "listen", "own_rows", "sample_rows"]

Said = dict[str, list[tuple[Tensor, Tensor]]]  # what a layer heard and answered, call by call


class _Heard(Exception):
    """Raised inside a forward pass once all was heard: the rest is not needed."""


def listen(model: nn.Module, calls: Mapping[str, int], inputs: Inputs) -> Said:
    """What layers hear and answer in one pass; ``calls`` says how often each is called."""
    said: Said = {name: [] for name in calls}

    def hook(name: str) -> Any:
        def note(_layer: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> None:
            pair = args[0] if args else kwargs["input"], output
            said[name].append(pair)
            if all(len(said[other]) >= count for other, count in calls.items()):
                raise _Heard
            # what comes next may overwrite them in place, as ReLU(inplace=True) does
            said[name][-1] = tuple(value.clone() for value in pair)

        return model.get_submodule(name).register_forward_hook(note, with_kwargs=True)

    hooks = [hook(name) for name in calls]
    try:
        call(model, map_tensors(lambda value: value.to(device_of(model)), inputs))
    except _Heard:
        pass
    finally:
        for handle in hooks:
            handle.remove()
    return said


@torch.no_grad()
def heard(model: nn.Module, ear: Listener, batches: Iterable[Inputs]) -> Iterator[Tensor]:
    """What a listener hears of a site: (images, channels, positions), batch by batch."""
    for batch in batches:
        for inputs, _ in listen(model, {ear.name: ear.calls}, batch)[ear.name]:
            yield by_channel(model.get_submodule(ear.name), inputs, ear.channels)


def heard_with_gradients(
    model: nn.Module, ear: Listener, batches: Iterable[Inputs]
) -> Iterator[tuple[Tensor, Tensor]]:
    """The same with the gradient of a loss, both (images, channels, positions).

    The loss is the cross-entropy to the network's own likeliest class, so no labels are needed.
    """
    layer, said = model.get_submodule(ear.name), []

    def leaf(_layer: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        said.append((args[0] if args else kwargs["input"]).detach().requires_grad_())
        return (said[-1],), {}

    for batch in batches:
        hook = layer.register_forward_pre_hook(leaf, with_kwargs=True)
        try:
            with torch.enable_grad():
                z = call(model, map_tensors(lambda v: v.to(device_of(model)), batch))
                if not isinstance(z, Tensor) or z.ndim != 2:
                    raise ValueError("gradients need a network that gives (images, classes)")
                loss = F.cross_entropy(z, z.detach().argmax(1), reduction="sum")
                (gradient,) = torch.autograd.grad(loss, said[-1])
        finally:
            hook.remove()
        pair, said[:] = (said[-1].detach(), gradient), []
        yield tuple(by_channel(layer, values, ear.channels) for values in pair)


def own_rows(layer: nn.Module, ear: Listener) -> tuple[Tensor, Tensor, Tensor]:
    """Which rows of a listener's W belong to the site, channel by channel, and its W and b.

    Returns
    -------
    rows (n·k,), W (d, outputs), b (outputs,)
    """
    W, b = outgoing_weights(layer, ear.group)
    taps = len(W) // ear.heard
    inputs = ear.channels.flatten() - ear.group * ear.heard  # within the group
    rows = (inputs[:, None] * taps + torch.arange(taps)).flatten()
    return rows.to(W.device), W, b


@torch.no_grad()
def collect(
    original: nn.Module,
    pruned: nn.Module,
    ears: Sequence[Listener],
    batches: Iterable[Inputs],
    whole_maps: bool = False,
) -> list[Moments]:
    """Moments of X, what ``pruned`` says, and Y, what ``original`` answers, for every listener.

    The asymmetric target of front-to-back pruning; with the same network twice it is symmetric. X
    holds a site's own channels only. A listener that hears others too (concatenation) is asked for
    what these channels should add: Y less the part of its answer that they do not make.

    With ``whole_maps`` a column of X is a whole feature map, and the taps of a kernel count as
    outputs of their own: moments of n instead of n·k² columns, for one scalar per channel pair.
    """
    found = [Moments() for _ in ears]
    calls = {ear.name: ear.calls for ear in ears}
    own = [own_rows(pruned.get_submodule(ear.name), ear) for ear in ears]
    for batch in batches:
        now = listen(pruned, calls, batch)
        then = now if original is pruned else listen(original, calls, batch)
        for ear, moments, (rows, W, b) in zip(ears, found, own, strict=True):
            layer, own_W = pruned.get_submodule(ear.name), W[rows]
            pairs = zip(now[ear.name], then[ear.name], strict=True)
            for (inputs, output), (original_inputs, answer) in pairs:
                if whole_maps and len(rows) > len(ear.channels):
                    X, X0 = (
                        by_channel(layer, v, ear.channels).transpose(1, 2).flatten(0, 1)
                        for v in (inputs, original_inputs)
                    )  # (samples, channels)
                    taps = len(rows) // len(ear.channels)
                    W0 = own_rows(original.get_submodule(ear.name), ear)[1][rows]
                    V = W0.reshape(len(ear.channels), -1).to(X0)  # (n, taps·outputs)
                    moments.update(X, X0 @ V + (b / taps).repeat(taps).to(X0))
                    continue
                X = listened(layer, inputs, ear.channels.flatten())
                Y = answered(layer, answer, ear.group)
                if len(rows) < len(W):
                    # what only the others make: Ŷ − XW − b
                    others = answered(layer, output, ear.group) - X @ own_W.to(X) - b.to(X)
                    Y = Y - others
                moments.update(X, Y)
    return found


@torch.no_grad()
def sample_rows(
    original: nn.Module,
    pruned: nn.Module,
    ear: Listener,
    batches: Sequence[Inputs],
    count: int,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """About ``count`` rows of X (rows, d) and Y (rows, outputs) as in `collect`, in float64."""
    g, parts = torch.Generator().manual_seed(seed), []
    layer, calls = pruned.get_submodule(ear.name), {ear.name: ear.calls}
    for batch in batches:
        now = listen(pruned, calls, batch)[ear.name]
        then = now if original is pruned else listen(original, calls, batch)[ear.name]
        X = torch.cat([listened(layer, inputs, ear.channels.flatten()) for inputs, _ in now])
        Y = torch.cat([answered(layer, output, ear.group) for _, output in then])
        rows = torch.randperm(len(X), generator=g)[: -(-count // len(batches))].to(X.device)
        parts.append((float64(X[rows]), float64(Y[rows])))
    return torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])
