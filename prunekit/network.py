"""Where a network can be pruned: channels, who makes them, who hears them, or why not.

The structure is traced by torch-pruning's dependency graph, on a copy, once. What comes out is
data: a `Site` names the modules to cut and which of their indices belong to each channel, so that
`prunekit.surgery` can cut any copy without tracing again. Every site is then put to the test: a
channel removed must act exactly as that channel silenced.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import torch_pruning as tp
from torch import nn

from prunekit import surgery
from prunekit.graph import (
    LAYERS,
    OTHER_LAYERS,
    behind,
    called_layers,
    is_depthwise,
    shared_weights,
    trace,
)
from prunekit.inputs import Inputs, check_example, frozen_copy
from prunekit.verify import verify

__all__ = ["Site", "find_sites"]


@dataclass(frozen=True)
class Site:
    """A set of channels that can be taken out together, or the reason why it cannot.

    Attributes
    ----------
    name : of the first producer, as in ``model.named_modules()``
    channels : how many there are
    producers : layers that make these channels
    consumers : layers that hear them, in the order of the forward pass
    norm : the batch norm right behind the only consumer, if there is one
    relu : whether a ReLU comes right behind that consumer, or behind its batch norm
    producer_norm : the batch norm right behind the first producer, if there is one
    reason : None, or in words why the site is left alone
    cuts : for `prunekit.surgery`, which indices of which module belong to each channel
    """

    name: str
    channels: int
    producers: tuple[str, ...] = ()
    consumers: tuple[str, ...] = ()
    norm: str | None = None
    relu: bool = False
    producer_norm: str | None = None
    reason: str | None = None
    cuts: tuple["surgery.Cut", ...] = ()


def _group(graph: tp.DependencyGraph, layer: nn.Module, names: dict[nn.Module, str]) -> Site:
    """Everything that has to be cut when channels of ``layer`` go, as a Site without a verdict."""
    pruner = graph.get_pruner_of_module(layer)
    channels = pruner.get_out_channels(layer)
    group = graph.get_pruning_group(layer, pruner.prune_out_channels, list(range(channels)))
    producers, consumers, cuts = [], [], []
    for i in range(len(group)):
        dep, indices = group[i]
        module, roots = dep.target.module, group[i].root_idxs
        if module not in names:  # an element-wise operation has nothing to cut
            continue
        side = "out" if graph.is_out_channel_pruning_fn(dep.handler) else "in"
        if isinstance(module, LAYERS + OTHER_LAYERS) and not is_depthwise(module):
            (producers if side == "out" else consumers).append(names[module])
        cuts.append(surgery.Cut.from_pairs(names[module], side, channels, roots, indices))
    norm, relu = behind(graph, consumers, names)
    own_norm, _ = behind(graph, [names[layer]], names)
    order = list(names.values()).index  # coupled layers in the order of the network's definition
    producers = [names[layer], *sorted(set(producers) - {names[layer]}, key=order)]
    layers = (tuple(producers), tuple(consumers))
    return Site(names[layer], channels, *layers, norm, relu, own_norm, cuts=tuple(cuts))


def listener(model: nn.Module, name: str, example: Inputs) -> tuple[str | None, int]:
    """The one layer that hears all that layer ``name`` makes, or None, and how many channels."""
    model = frozen_copy(model)
    names = {module: name for name, module in model.named_modules()}
    layer = model.get_submodule(name)
    if not isinstance(layer, LAYERS) or is_depthwise(layer):
        return None, 0
    site = _group(trace(model, example), layer, names)
    refused = _refusal(site, {name: m for m, name in names.items()}, called_layers(model, example))
    return (None if refused else site.consumers[0]), site.channels


def _refusal(site: Site, modules: dict[str, nn.Module], calls: dict[str, int]) -> str | None:
    """Why this site cannot be pruned, as far as its structure tells."""
    layers = [modules[name] for name in (*site.producers, *site.consumers)]
    shared = shared_weights(modules.values())
    for name, layer in zip((*site.producers, *site.consumers), layers, strict=True):
        if calls.get(name, 0) != 1:
            return f"{name} is called {calls.get(name, 0)} times in a forward pass"
        if isinstance(layer, OTHER_LAYERS):
            return f"{name} is a {type(layer).__name__}, which is not supported"
        if layer.weight in shared:
            return f"{name} shares its weights with another layer"
        if getattr(layer, "groups", 1) != 1:
            return f"{name} is a grouped convolution"
    if len(site.producers) > 1:
        others = ", ".join(site.producers[1:4]) + (", …" if len(site.producers) > 4 else "")
        return f"its channels are added to those of {others} (residual connection)"
    if not site.consumers:
        return "its channels are outputs of the network"
    if len(site.consumers) > 1:
        return f"its channels feed {len(site.consumers)} layers: {', '.join(site.consumers[:4])}"
    consumer = modules[site.consumers[0]]
    heard = sum(len(ids) for cut in site.cuts if cut.side == "in" for ids in cut.indices)
    if heard != consumer.weight.shape[1]:
        return f"{site.consumers[0]} hears other channels too (concatenation)"
    if site.channels < 2:
        return "it has a single channel"
    return None


def ignored_names(model: nn.Module, ignored_layers: Iterable[str | nn.Module | type]) -> set[str]:
    """Names of layers to leave alone, by name, pattern, module or type; containers count whole."""
    if isinstance(ignored_layers, str | nn.Module | type):
        ignored_layers = (ignored_layers,)
    names = dict(model.named_modules())
    found: set[str] = set()
    for item in ignored_layers:
        if isinstance(item, str):
            hits = {name for name in names if name == item or fnmatchcase(name, item)}
        elif isinstance(item, nn.Module):
            hits = {name for name, module in names.items() if module is item}
        else:
            hits = {name for name, module in names.items() if isinstance(module, item)}
        if not hits and not isinstance(item, type):
            raise ValueError(
                f"ignored_layers: {item!r:.80} is not a layer of this model; "
                "names are those of model.named_modules(), patterns match them"
            )
        found |= {n for n in names for hit in hits if n == hit or n.startswith(hit + ".")}
    return found


def find_sites(
    model: nn.Module,
    example_inputs: Any,
    ignored_layers: Iterable[str | nn.Module | type] = (),
) -> list[Site]:
    """Find every set of channels of a network, and say which can be pruned.

    Parameters
    ----------
    model : any network; it is not touched
    example_inputs : what one call takes: a tensor, a tuple of tensors or a dict of them
    ignored_layers : names or patterns (``layer1.*``), modules or types to leave alone; a container
        counts with all its layers

    Returns
    -------
    list of Site in the order of the forward pass; ``reason`` is None where channels can go.

    Raises
    ------
    TypeError, ValueError
        ``example_inputs`` that are no tensors, ``ignored_layers`` that name nothing.

    Notes
    -----
    A site here is one convolution or linear layer whose channels reach exactly one other: inside
    residual blocks and along chains. Other sites are listed with their reason.
    """
    example = check_example(example_inputs, model)
    ignored = ignored_names(model, ignored_layers)
    copy = frozen_copy(model)
    names = {module: name for name, module in copy.named_modules()}
    modules = {name: module for module, name in names.items()}
    calls = called_layers(copy, example)
    graph = trace(copy, example)
    original = frozen_copy(model)
    sites, seen = [], set()
    for name in calls:
        if name in seen or is_depthwise(modules[name]):
            continue
        site = _group(graph, modules[name], names)
        seen |= {*site.producers, site.name}
        reason = _refusal(site, modules, calls)
        if ignored & {*site.producers, *site.consumers}:
            reason = "it is in ignored_layers"
        sites.append(replace(site, reason=reason or verify(original, site, example)))
    return sites
