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

from prunekit.coding import collect, heard, heard_with_gradients, sample_rows
from prunekit.elimination import Elimination
from prunekit.inputs import Inputs
from prunekit.layers import outgoing_weights, set_outgoing_weights
from prunekit.methods import Method, checked
from prunekit.moments import float64
from prunekit.network import Site
from prunekit.repair import can_refit, refit_layer, relative_error, update_weights
from prunekit.site_statistics import Statistics

__all__ = ["Options", "Outcome", "front_to_back", "statistics_of", "write"]


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
    """What one site came to: ids that stay, the relative error, and the effective rank of X."""

    kept: Tensor
    error: float | None
    rank: int | None


def front_to_back(
    original: nn.Module,
    pruned: nn.Module,
    layers: Sequence[str],
    keep: Mapping[Site, int],
    batches: Sequence[Inputs],
    options: Options,
    max_error: float | None = None,
    progress: bool = True,
) -> dict[Site, Outcome]:
    """Silence and refit ``pruned`` in place.

    Parameters
    ----------
    layers : names of the layers that may change, in the order of the forward pass
    keep : how many channels stay at each site
    max_error : instead, as many go at each site as raise its relative error by this at most

    Returns
    -------
    the outcome at each site that loses channels
    """
    bounded = max_error is not None
    sites = {s.consumers[0]: s for s in keep if bounded or keep[s] < s.channels}
    first = next((i for i, name in enumerate(layers) if name in sites), len(layers))
    todo = [name for name in layers[first:] if options.repair == "network" or name in sites]
    target = original if options.asymmetric else pruned
    outcomes: dict[Site, Outcome] = {}
    for name in tqdm(todo, desc="pruning", unit="layer", disable=not progress):
        if name in sites:
            site = sites[name]
            statistics = statistics_of(target, pruned, site, batches, options)
            chosen = checked(options.select(statistics), site.channels)
            count = _fewest(statistics, chosen, max_error, options) if bounded else keep[site]
            if count == site.channels:
                continue
            kept = chosen.kept_at(count)
            W, b = update_weights(statistics, chosen, kept, options.repair, name, options.poem)
            # a method that never asked for moments is not made to wait for them
            asked = "moments" in vars(statistics)
            error = relative_error(statistics, W, b) if asked else None
            rank = statistics.problem.rank if asked else None
            outcomes[site] = Outcome(kept, error, rank)
            write(pruned, site, W, b)
        elif can_refit(pruned.get_submodule(name)):
            fit = {"centered": options.centered, "ridge": options.ridge}
            refit_layer(target, pruned, name, batches, **fit)
    return outcomes


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


def statistics_of(
    target: nn.Module, pruned: nn.Module, site: Site, batches: Sequence[Inputs], options: Options
) -> Statistics:
    """What a method gets to know of ``site``; nothing is computed before it asks."""
    name, n = site.consumers[0], site.channels
    W, b = outgoing_weights(pruned.get_submodule(name))
    one, zero = torch.ones_like(b), torch.zeros_like(b)
    scale, shift = _norm(pruned, site.norm, one, zero)
    taps = len(W) // n if options.coefficients == "channel" else 1  # outputs of their own
    producer = pruned.get_submodule(site.name)
    filters = float64(producer.weight).flatten(1)
    bias = float64(producer.bias) if producer.bias is not None else filters.new_zeros(n)
    filter_scale, filter_shift = _norm(pruned, site.producer_norm, filters.new_ones(n), 0 * bias)
    return Statistics(
        collect=lambda: collect(target, pruned, name, batches, n if taps > 1 else None),
        weights=W.reshape(len(W) // taps, -1).contiguous(),
        bias=(b / taps).repeat(taps),
        filters=filters,
        filter_scale=filter_scale,
        filter_shift=filter_shift + filter_scale * bias,
        block_size=len(W) // taps // n,
        centered=options.centered,
        ridge=options.ridge,
        output_scale=scale.repeat(taps) if options.weigh_outputs and site.norm else None,
        heard=lambda: heard(pruned, name, batches, n),
        heard_with_gradients=lambda: heard_with_gradients(pruned, name, batches, n),
        rows=lambda count: sample_rows(target, pruned, name, batches, count),
        before_relu=(scale, shift) if site.relu else None,
    )


def write(model: nn.Module, site: Site, W: Tensor, b: Tensor) -> None:
    """Write W and b of a site's statistics into its consumer, taps of a kernel together."""
    layer = model.get_submodule(site.consumers[0])
    outputs = len(layer.weight)
    set_outgoing_weights(layer, W.reshape(-1, outputs), b.view(-1, outputs).sum(0))


def _norm(model: nn.Module, name: str | None, one: Tensor, zero: Tensor) -> tuple[Tensor, Tensor]:
    """γ/σ and β − γμ/σ of a batch norm: what it multiplies its channels with, and adds."""
    norm = None if name is None else model.get_submodule(name)
    if norm is None or norm.running_var is None:
        return one, zero
    scale = (float64(norm.running_var) + norm.eps).rsqrt()
    scale = scale if norm.weight is None else scale * float64(norm.weight)
    shift = zero if norm.bias is None else float64(norm.bias)
    return scale, shift - scale * float64(norm.running_mean)
