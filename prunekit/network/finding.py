"""Where a network can be pruned: channels, who makes them, who takes them, or why not.

Channels are marked on a copy, and seen where they arrive (`prunekit.network.marking`). What comes
out is data: a `Site` names the modules to cut and which of their indices belong to each channel, so
that `prunekit.network.surgery` can cut any copy without marking again. Every site without a reason
against it is then put to the test: channels removed must act exactly as those channels silenced.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from prunekit.algebra.arguments import flag, said, takes
from prunekit.network.called import called_layers, is_depthwise, precise
from prunekit.network.given import frozen_copy, has_hooks, undisturbed
from prunekit.network.inputs import Inputs, check_example, first_pass, flat_outputs
from prunekit.network.layers import LAYERS, width
from prunekit.network.parts import in_step
from prunekit.network.sites import ConsumerInputs, Site, matching
from prunekit.network.structure import Structure
from prunekit.network.uncalled import as_called, as_trained, never_called, unknown
from prunekit.network.verify import verified

__all__ = ["ConsumerInputs", "Site", "find_sites", "ignored_names", "only_consumer"]


def only_consumer(model: nn.Module, name: str, example: Inputs) -> ConsumerInputs | None:
    """What the one layer that takes all that layer ``name`` makes takes of it, or None."""
    layer = model.get_submodule(name)
    if not isinstance(layer, LAYERS) or is_depthwise(layer):
        return None
    called_layers(model, example)  # or an error in the terms of the caller
    sites = Structure(model, example).sites(residual=False)
    site = next(site for site in sites if name in site.producers)
    return site.consumer_inputs[0] if len(site.consumer_inputs) == 1 else None


def ignored_names(model: nn.Module, ignored_layers: Iterable[str | nn.Module | type]) -> set[str]:
    """Names of layers to leave alone, by name, pattern, module or type; containers count whole."""
    alone = isinstance(ignored_layers, str | nn.Module | type | Tensor)
    if alone or not isinstance(ignored_layers, Iterable) or getattr(ignored_layers, "ndim", 1) == 0:
        ignored_layers = (ignored_layers,)
    names = dict(model.named_modules())
    found: set[str] = set()
    for item in ignored_layers:
        if isinstance(item, str):
            hits = {*matching(item, names)}
        elif isinstance(item, nn.Module):
            hits = {name for name, module in names.items() if module is item}
        elif isinstance(item, type):
            hits = {name for name, module in names.items() if isinstance(module, item)}
        else:
            raise TypeError(
                "ignored_layers must hold names, patterns, modules or types of layers, "
                f"got {said(item)}"
            )
        if not hits and not isinstance(item, type):
            raise ValueError(
                f"ignored_layers: {item!r:.80} is not a layer of this model; "
                "names are those of model.named_modules(), patterns match them"
            )
        found |= {
            n for n in names for hit in hits if n == hit or n.startswith(f"{hit}." if hit else "")
        }
    return found


@undisturbed
@takes(prune_residual=flag)
def find_sites(
    model: nn.Module,
    example_inputs: Any,
    ignored_layers: Iterable[str | nn.Module | type] = (),
    *,
    prune_residual: bool = False,
) -> list[Site]:
    """Find every set of channels of a network, and say which can be pruned.

    Parameters
    ----------
    model : any network; it is not touched
    example_inputs : what one call takes: a tensor, a tuple of tensors or a dict of them
    ignored_layers : names or patterns (``layer1.*``), modules or types to leave alone; a container
        counts with all its layers
    prune_residual : also offer channels that residual connections add up: one set for all layers
        that write to the stream, taken by all that read it. Parallel branches that are added, with
        nothing that goes around a layer, need no such word

    Returns
    -------
    list of Site in the order of the forward pass; ``reason`` is None where channels can go.

    Raises
    ------
    TypeError, ValueError
        ``example_inputs`` that are no tensors, ``ignored_layers`` that name nothing.

    Notes
    -----
    The network is looked at without DataParallel or ``torch.compile`` around it; names are those
    inside. Working copies have no hooks; hooks that change what the network says are refused.
    Layers that are not called are listed after the others, with that reason.
    """
    example = check_example(example_inputs, model)
    ignored = ignored_names(model, ignored_layers)
    if isinstance(model, GraphModule) and not any(isinstance(m, LAYERS) for m in model.modules()):
        raise TypeError(
            "model is a graph without layers, as torch.export makes it: prune the network that was "
            "exported, and export it again"
        )
    try:
        original, example = precise(model, example)
    except ValueError as error:
        raise _hooked(model, error) from error.__cause__
    _check_hooks(model, original, example)
    calls = called_layers(original, example)
    try:
        structure = Structure(as_trained(original, example, calls), example)
        sites = [as_called(site, calls) for site in structure.sites(prune_residual)]
    except Exception as error:  # of foreign code, on a network that nobody has seen
        reason = f"the network cannot be marked ({type(error).__name__}: {error})"[:160]
        sizes = {name: width(original.get_submodule(name), "out") for name in calls}
        return [Site(name, sizes[name], (name,), reason=reason) for name in calls]
    sites = never_called(original, sites, structure.calls, structure.read) + unknown(original)
    sites = [_unless_complex(_unless_ignored(site, ignored), original) for site in sites]
    in_float64 = precise(original, example, torch.float64)
    test = partial(verified, structure.stage, structure.marker.script, *in_float64)
    hopeful = [site for site in sites if site.reason is None]
    tested = test(hopeful)
    found = dict(zip(hopeful, tested, strict=True))
    return in_step(
        [found.get(site, site) for site in sites],
        [site for site in tested if site.reason],
        lambda ties: [as_called(site, calls) for site in structure.sites(True, ties)],
        test,
    )


def _unless_ignored(site: Site, ignored: set[str]) -> Site:
    if ignored & {*site.producers, *site.consumers}:
        return replace(site, reason="it is in ignored_layers")
    return site


def _unless_complex(site: Site, model: nn.Module) -> Site:
    names = [n for n in (*site.producers, *site.consumers) if n in dict(model.named_modules())]
    weights = (getattr(model.get_submodule(name), "weight", None) for name in names)
    if site.reason is None and any(w is not None and w.is_complex() for w in weights):
        return replace(site, reason="its layers compute with complex numbers, REAP with real ones")
    return site


def _hooked(model: nn.Module, error: ValueError) -> ValueError:
    """The same error, with what may have caused it: copies have no hooks."""
    names = ", ".join(name or "the network itself" for name in has_hooks(model)[:4])
    hint = f"; working copies have no hooks, and those on {names} may be what is missing: write "
    return ValueError(f"{error}{hint}what they do into forward()") if names else error


@torch.no_grad()
def _check_hooks(model: nn.Module, original: nn.Module, example: Inputs) -> None:
    """Refuse hooks that change what the network says: copies are made without any."""
    names = has_hooks(model)
    if not names:
        return
    hooked = frozen_copy(model, hooks=True)
    dtypes = {p.dtype for p in original.parameters() if p.is_floating_point()}
    hooked = hooked.to(*dtypes) if len(dtypes) == 1 else hooked
    answers = (flat_outputs(first_pass(network, example)) for network in (hooked, original))
    if not all(torch.equal(a, b) for a, b in zip(*answers, strict=True)):
        raise ValueError(
            "model has forward hooks that change what it says, among those on "
            f"{', '.join(name or 'the network itself' for name in names[:4])}: remove them, or "
            "write what they do into forward(); hooks that only listen may stay"
        )
