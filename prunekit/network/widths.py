"""The one cost model: what a network has at other widths, in MACs, parameters or seconds.

A layer's MACs and weights are proportional to the channels that it takes times the channels that it
makes, so a cost counted once follows every choice of widths exactly; where a network is not like
that, cut copies are counted. Seconds are measured, site by site, and savings taken to add up.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, partial
from math import prod

from torch import nn
from tqdm.auto import tqdm

from prunekit.network import surgery
from prunekit.network.called import is_depthwise
from prunekit.network.cost import (
    count_macs,
    count_params,
    macs_by_layer,
    measure_latency,
    take_turns,
)
from prunekit.network.given import frozen_copy
from prunekit.network.inputs import Inputs
from prunekit.network.layers import LAYERS, width
from prunekit.network.ranks import agreed
from prunekit.network.sites import Site

__all__ = ["Cost", "Widths", "latency_cost", "macs_cost", "params_cost", "seconds", "with_widths"]

Widths = Mapping[Site, int]  # channels that stay at each site
Cost = Callable[[Widths], float]


def with_widths(model: nn.Module, keep: Widths) -> nn.Module:
    """A cut copy with these widths; which channels go does not matter for what it costs."""
    cut = frozen_copy(model)
    surgery.remove(cut, {site: range(k, site.channels) for site, k in keep.items()})
    return cut


def macs_cost(model: nn.Module, example: Inputs, sites: Sequence[Site]) -> Cost:
    """Multiply-accumulates at batch size 1."""
    macs = macs_by_layer(model, example)
    terms = [
        (_own(macs, model, name), list(sides.values()))
        for name, sides in _shares(model, sites).items()
    ]
    formula = _sum_of(macs[""], terms)
    return _checked(formula, lambda keep: count_macs(with_widths(model, keep), example), sites)


def params_cost(
    model: nn.Module,
    sites: Sequence[Site],
    biased: Callable[[Widths], Collection[str]] = lambda keep: (),
) -> Cost:
    """Parameters; ``biased`` names the layers that get a bias at these widths, and had none."""
    shares = _shares(model, sites)
    terms = []
    for name, sides in shares.items():
        for key, parameter in model.get_submodule(name).named_parameters(recurse=False):
            taken = [sides["in"]] if key == "weight" and "in" in sides else []
            made = [sides["out"]] if "out" in sides else []
            terms.append((parameter.numel(), taken + made))
    formula = _sum_of(count_params(model), terms)
    counted = _checked(formula, lambda keep: count_params(with_widths(model, keep)), sites)

    def cost(keep: Widths) -> float:
        made = (shares.get(name, {}).get("out") for name in biased(keep))
        sizes = (width(model.get_submodule(name), "out") for name in biased(keep))
        biases = sum(
            size if share is None else _left(share, keep)
            for size, share in zip(sizes, made, strict=True)
        )
        return counted(keep) + biases

    return cost


def latency_cost(
    model: nn.Module,
    example: Inputs,
    levels: Mapping[Site, Sequence[int]],
    progress: bool = False,
) -> Cost:
    """Median seconds per forward pass of ``example``: one measurement per site and level."""
    full = agreed(lambda: measure_latency(model, example).median)
    tried = [(site, k) for site, keeps in levels.items() for k in keeps if k < site.channels]
    saved = {
        (site, k): full - agreed(partial(seconds, model, example, full, {site: k}))
        for site, k in tqdm(tried, desc="latency", unit="network", disable=not progress)
    }
    return lambda keep: full - sum(saved.get(item, 0.0) for item in keep.items())


def seconds(model: nn.Module, example: Inputs, full: float, keep: Widths) -> float:
    """Seconds of a network that really has these widths, if the intact one takes ``full``.

    The two take turns, so that whatever else the machine does hits both alike.
    """
    intact, pruned = take_turns((model, with_widths(model, keep)), example, repeats=15)
    return full * pruned.median / intact.median


def _checked(formula: Cost, counted: Callable[[Widths], int], sites: Sequence[Site]) -> Cost:
    """The formula where it agrees with cut copies, else the counts of cut copies themselves."""
    narrow = {site: 1 for site in sites}
    halves = {site: (site.channels + i % 2) // 2 for i, site in enumerate(sites)}
    if all(formula(keep) == counted(keep) for keep in (narrow, halves)):
        return formula
    known = cache(lambda items: counted(dict(items)))
    return lambda keep: known(tuple(keep.items()))


# of one side of a module: how many indices there are, and (site, indices per channel) of each site
Share = tuple[int, list[tuple[Site, int]]]


def _shares(model: nn.Module, sites: Sequence[Site]) -> dict[str, dict[str, Share]]:
    """Which sites own what is made, taken or counted by each module that they cut."""
    shares: dict[str, dict[str, Share]] = {}
    for site in sites:
        for cut in site.cuts:
            module = model.get_submodule(cut.module)
            side = "out" if is_depthwise(module) else cut.side
            found = shares.setdefault(cut.module, {}).setdefault(side, (_size(module, side), []))
            if (site, len(cut.indices[0])) not in found[1]:
                found[1].append((site, len(cut.indices[0])))
    return shares


def _size(module: nn.Module, side: str) -> int:
    """Channels on one side of a module, or what it counts."""
    if side not in ("in", "out"):
        return getattr(module, side)
    if isinstance(module, LAYERS):
        return width(module, "in" if is_depthwise(module) else side)
    return len(module.weight) if getattr(module, "weight", None) is not None else 1


def _own(macs: Mapping[str, int], model: nn.Module, name: str) -> int:
    """MACs of a module itself: of attention, the products between queries, keys and values."""
    children = (
        f"{name}.{child}".lstrip(".") for child, _ in model.get_submodule(name).named_children()
    )
    return macs.get(name, 0) - sum(macs.get(child, 0) for child in children)


def _left(share: Share, keep: Widths) -> int:
    size, owners = share
    return size - sum(
        count * (site.channels - keep.get(site, site.channels)) for site, count in owners
    )


def _sum_of(whole: int, terms: Sequence[tuple[int, list[Share]]]) -> Cost:
    """Σ over modules of cost · kept share of what it takes · kept share of what it makes."""
    fixed = whole - sum(cost for cost, _ in terms)

    def cost(keep: Widths) -> int:
        return fixed + sum(
            round(part * prod(_left(share, keep) for share in shares) / prod(s for s, _ in shares))
            for part, shares in terms
        )

    return cost
