"""One pass from the first layer to the last: choose channels, silence them, refit who listened.

The original network says what each layer should answer (Y), the one being pruned says what that
layer now hears (X). So every fit makes up for what earlier ones left undone.

Source: the asymmetric target is that of He, Zhang & Sun, ICCV 2017, and El Halabi et al., NeurIPS
2022; that REAP goes front to back with it is our choice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from prunekit.algebra.elimination import Elimination
from prunekit.algebra.statistics import Statistics
from prunekit.network.inputs import Inputs
from prunekit.network.layers import is_plain
from prunekit.network.reading import statistics_of, write
from prunekit.network.sites import Listener, Site
from prunekit.pipeline.methods import Method, checked
from prunekit.pipeline.repair import REFITS, refit_layer, relative_error, update_weights

__all__ = ["Options", "Outcome", "front_to_back"]


@dataclass(frozen=True)
class Options:
    """How each layer is selected and refitted; the fields are arguments of `prunekit.prune`."""

    select: Method
    repair: str
    coefficients: str = "kernel"
    asymmetric: bool = True
    centered: bool = True
    ridge: float = 1e-5
    weigh_outputs: bool = True
    poem: bool = False


@dataclass(frozen=True)
class Outcome:
    """What one site came to: ids that stay, the relative error, the rank and the width of X."""

    kept: Tensor
    error: float | None
    rank: int | None
    columns: int | None


def front_to_back(
    original: nn.Module,
    pruned: nn.Module,
    layers: Mapping[str, int],
    keep: Mapping[Site, int],
    batches: Sequence[Inputs],
    options: Options,
    max_error: float | None = None,
    progress: bool = True,
) -> dict[Site, Outcome]:
    """Silence and refit ``pruned`` in place.

    Parameters
    ----------
    layers : how often each layer that may change is called, in the order of the forward pass
    keep : how many channels stay at each site
    max_error : instead, as many go at each site as raise its relative error by this at most

    Returns
    -------
    the outcome at each site that loses channels
    """
    bounded = max_error is not None
    sites = [site for site in keep if bounded or keep[site] < site.channels]
    order = list(layers)
    turn = {site: min(site.consumers, key=order.index) for site in sites}  # when it is pruned
    first = min((order.index(name) for name in turn.values()), default=len(order))
    hearing = {name for site in sites for name in site.consumers}
    todo = [n for n in order[first:] if options.repair == "network" or n in hearing]
    target = original if options.asymmetric else pruned
    outcomes: dict[Site, Outcome] = {}
    silent: dict[str, set[int]] = {}  # channels that a layer no longer hears
    for name in tqdm(todo, desc="pruning", unit="layer", disable=not progress):
        again = name in silent  # it lost channels at another layer's turn
        for site in (site for site in sites if turn[site] == name):
            count = None if bounded else keep[site]
            found = _prune_site(target, pruned, site, batches, options, count, max_error)
            if found is None:
                continue
            outcomes[site] = found
            for ear in site.listeners:
                silent.setdefault(ear.name, set()).update(_gone(ear, found.kept))
                # its fit left the channels of others as they were
                again |= ear.name == name and ear.channels.numel() < ear.heard
        refit = again if options.repair == "least_squares" else again or name not in silent
        if refit and options.repair in REFITS and is_plain(pruned.get_submodule(name)):
            fit = {"centered": options.centered, "ridge": options.ridge}
            gone = silent.get(name, ())
            refit_layer(target, pruned, name, batches, calls=layers[name], silent=gone, **fit)
    return outcomes


def _prune_site(
    target: nn.Module,
    pruned: nn.Module,
    site: Site,
    batches: Sequence[Inputs],
    options: Options,
    count: int | None,
    max_error: float | None,
) -> Outcome | None:
    """Choose the channels of one site and rewrite its listeners; None if all channels stay."""
    statistics = statistics_of(target, pruned, site, batches, options)
    chosen = checked(options.select(statistics), site.channels)
    count = _fewest(statistics, chosen, max_error, options) if count is None else count
    if count == site.channels:
        return None
    kept = chosen.kept_at(count)
    name = ", ".join(site.consumers)
    W, b = update_weights(statistics, chosen, kept, options.repair, name, options.poem)
    write(pruned, site, statistics, W, b)
    # a method that never asked for moments is not made to wait for them
    asked = "moments" in vars(statistics)
    error = relative_error(statistics, W, b) if asked else None
    size = (statistics.problem.rank, len(statistics.weights)) if asked else (None, None)
    return Outcome(kept, error, *size)


def _gone(ear: Listener, kept: Tensor) -> list[int]:
    """Which channels of its layer a listener no longer hears."""
    stays = torch.zeros(len(ear.channels), dtype=torch.bool)
    stays[kept.cpu()] = True
    return ear.channels[~stays].flatten().tolist()


def _fewest(site: Statistics, chosen: Elimination, max_error: float, options: Options) -> int:
    """The fewest channels that raise the relative error by ``max_error`` at most, by bisection."""

    def error(keep: int) -> float:
        W, b = update_weights(site, chosen, chosen.kept_at(keep), options.repair, "a layer")
        return relative_error(site, W, b) or 0.0

    bound = error(site.channels) + max_error  # what earlier sites did is not this one's fault
    low, high = 1, site.channels  # ``high`` is within the bound
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if error(middle) <= bound else (middle + 1, high)
    return high
