"""Layers that a forward pass does not call: a head for training only, the head of another task.

What training calls is looked at there, and cut along. What is never called may take any channels
that are as many as it takes, or stand in for a layer that makes as many as it makes: those are left
alone, and the reason names the layer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from prunekit.network.called import called_layers
from prunekit.network.given import frozen_copy
from prunekit.network.inputs import Inputs
from prunekit.network.layers import LAYERS, width
from prunekit.network.sites import Site

__all__ = ["as_called", "as_trained", "never_called", "unknown"]

CURE = "which prunekit does not know: put a torch.nn.Linear with its weight in its place"


def as_trained(model: nn.Module, example: Inputs, calls: Mapping[str, int]) -> nn.Module:
    """The network as training goes through it, where that calls more layers; else itself.

    Norms and dropouts stay as they are: only code of the network's own is in training.
    """
    copy = frozen_copy(model)
    for module in copy.modules():
        torchs_own = type(module).__module__.startswith("torch.nn")
        module.training = not torchs_own and not isinstance(module, (_NormBase, _DropoutNd))
    try:
        return copy if called_layers(copy, example).keys() > calls.keys() else model
    except ValueError:  # it may want labels then
        return model


def as_called(site: Site, calls: Mapping[str, int]) -> Site:
    """The site as a pass sees it that is not for training: it recalls what that one calls."""
    inputs = tuple(taken for taken in site.consumer_inputs if taken.name in calls)
    reason = None
    if not any(name in calls for name in site.producers):
        reason = "it is called in training only"
    elif not inputs and site.consumer_inputs:
        reason = "its channels arrive only where training goes"
    return replace(site, consumer_inputs=inputs, reason=site.reason or reason)


def never_called(
    model: nn.Module, sites: Iterable[Site], called: Iterable[str], read: Iterable[str]
) -> list[Site]:
    """The sites, less those that a layer which is never called may take; that layer comes after.

    Parameters
    ----------
    called, read : layers that are called, and those whose weights the network reads itself
    """
    modules, known = dict(model.named_modules()), {*called, *read}
    idle = {n: m for n, m in modules.items() if isinstance(m, LAYERS) and n not in known}
    found = []
    for site in sites:
        sides = [("out", name) for name in site.producers] + [("in", n) for n in site.consumers]
        widths = {width(modules[name], side) for side, name in sides}
        near = [n for n, m in idle.items() if widths & {width(m, "in"), width(m, "out")}]
        if near and site.reason is None:
            cure = "take it out of the network, or give inputs that call it"
            reason = f"{near[0]} is not called, and may have to do with its channels: {cure}"
            site = replace(site, reason=reason)
        found.append(site)
    why = "it is not called for example_inputs"
    return found + [Site(n, width(m, "out"), (n,), reason=why) for n, m in idle.items()]


def unknown(model: nn.Module) -> list[Site]:
    """Modules that look like layers and are none that is known, such as Conv1D of transformers."""
    return [
        Site(name, weight.shape[1], (name,), reason=f"it is a {type(module).__name__}, {CURE}")
        for name, module in model.named_modules()
        if isinstance(weight := getattr(module, "weight", None), nn.Parameter)
        and weight.ndim == 2
        and not isinstance(module, (*LAYERS, nn.Embedding))
        and not type(module).__module__.startswith("torch.nn")
    ]
