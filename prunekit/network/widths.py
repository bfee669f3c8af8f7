"""What a network would cost at other widths, without cutting it.

A layer's MACs and weights are proportional to the channels that it hears times the channels that it
makes, so a cost measured once follows every choice of widths. Latency is not: it is measured, site
by site, and savings are taken to add up.
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod

from torch import nn
from tqdm.auto import tqdm

from prunekit.network import surgery
from prunekit.network.cost import macs_by_layer, measure_latency, take_turns
from prunekit.network.given import frozen_copy
from prunekit.network.graph import is_depthwise
from prunekit.network.inputs import Inputs
from prunekit.network.layers import LAYERS, width
from prunekit.network.sites import Site

__all__ = ["Cost", "cost_of", "latency_cost", "macs_cost", "params_cost", "seconds"]

Cost = Callable[[Mapping[Site, int]], float]  # channels that stay at each site → what it costs


def cost_of(
    model: nn.Module,
    example: Inputs,
    levels: Mapping[Site, Sequence[int]],
    unit: str,
    refitted: Sequence[str],
    progress: bool,
) -> Cost:
    """What widths cost, in ``unit``."""
    if unit == "parameters":
        return params_cost(model, list(levels), refitted)
    if unit == "seconds":
        return latency_cost(model, example, levels, progress)
    return macs_cost(model, example, list(levels))


def macs_cost(model: nn.Module, example: Inputs, sites: Sequence[Site]) -> Cost:
    """Multiply-accumulates at batch size 1."""
    macs = macs_by_layer(model, example)
    terms = [(macs.get(name, 0), list(s.values())) for name, s in _shares(model, sites).items()]
    return _sum_of(macs[""], terms)


def params_cost(model: nn.Module, sites: Sequence[Site], refitted: Sequence[str] = ()) -> Cost:
    """Parameters; a layer that is to be refitted counts a bias, also if it has none yet."""
    terms, shares_of = [], _shares(model, sites)
    biases = 0
    for name in refitted:
        layer = model.get_submodule(name)
        if layer.bias is None:
            made = shares_of.get(name, {}).get("out")
            terms.append((len(layer.weight), [made] if made else []))
            biases += len(layer.weight)
    for name, shares in shares_of.items():
        for key, parameter in model.get_submodule(name).named_parameters(recurse=False):
            hears = [shares["in"]] if key == "weight" and "in" in shares else []
            makes = [shares["out"]] if "out" in shares else []
            terms.append((parameter.numel(), hears + makes))
    return _sum_of(sum(p.numel() for p in model.parameters()) + biases, terms)


def latency_cost(
    model: nn.Module,
    example: Inputs,
    levels: Mapping[Site, Sequence[int]],
    progress: bool = False,
) -> Cost:
    """Median seconds per forward pass of ``example``: one measurement per site and level."""
    full = measure_latency(model, example).median
    tried = [(site, k) for site, keeps in levels.items() for k in keeps if k < site.channels]
    saved = {
        (site, k): full - seconds(model, example, full, {site: k})
        for site, k in tqdm(tried, desc="latency", unit="network", disable=not progress)
    }
    return lambda keep: full - sum(saved.get(item, 0.0) for item in keep.items())


def seconds(model: nn.Module, example: Inputs, full: float, keep: Mapping[Site, int]) -> float:
    """Seconds of a network that really has these widths, if the intact one takes ``full``.

    The two take turns, so that whatever else the machine does hits both alike.
    """
    cut = frozen_copy(model)
    surgery.remove(cut, {site: range(k, site.channels) for site, k in keep.items()})
    intact, pruned = take_turns((model, cut), example, repeats=15)
    return full * pruned.median / intact.median


# of one side of a module: how many indices there are, and (site, indices per channel) of each site
Share = tuple[int, list[tuple[Site, int]]]


def _shares(model: nn.Module, sites: Sequence[Site]) -> dict[str, dict[str, Share]]:
    """Which sites make, or are heard by, each module that they cut."""
    shares: dict[str, dict[str, Share]] = {}
    for site in sites:
        for cut in site.cuts:
            module = model.get_submodule(cut.module)
            side = "out" if is_depthwise(module) else cut.side
            size = _size(module, side)
            found = shares.setdefault(cut.module, {}).setdefault(side, (size, []))
            if (site, len(cut.indices[0])) not in found[1]:
                found[1].append((site, len(cut.indices[0])))
    return shares


def _size(module: nn.Module, side: str) -> int:
    """Channels on one side of a module."""
    if isinstance(module, LAYERS):
        return width(module, side)
    return len(module.weight) if getattr(module, "weight", None) is not None else 1


def _sum_of(whole: float, terms: Sequence[tuple[float, list[Share]]]) -> Cost:
    """Σ over modules of cost · kept share of what it hears · kept share of what it makes."""
    fixed = whole - sum(cost for cost, _ in terms)

    def left(share: Share, keep: Mapping[Site, int]) -> int:
        size, owners = share
        return size - sum(count * (site.channels - keep[site]) for site, count in owners)

    def cost(keep: Mapping[Site, int]) -> float:
        return fixed + sum(
            part * prod(left(share, keep) for share in shares) / prod(s for s, _ in shares)
            for part, shares in terms
        )

    return cost
