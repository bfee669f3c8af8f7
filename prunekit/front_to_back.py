"""One pass from the first layer to the last: choose channels, silence them, refit who listened.

The original network says what each layer should answer (Y), the one being pruned says what that
layer now hears (X). So every fit makes up for what earlier ones left undone.

Source: the asymmetric target is that of He, Zhang & Sun, ICCV 2017, and El Halabi et al., NeurIPS
2022; that REAP goes front to back with it is our choice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from tqdm.auto import tqdm

from prunekit.coding import collect, outgoing_weights, set_outgoing_weights
from prunekit.inputs import Inputs
from prunekit.least_squares import Statistics
from prunekit.moments import float64
from prunekit.network import Site
from prunekit.reap import Elimination
from prunekit.repair import can_refit, refit_layer, relative_error, update_weights

__all__ = ["Method", "Options", "front_to_back"]

Method = Callable[[Statistics], Elimination]


@dataclass(frozen=True)
class Options:
    """How each layer is selected and refitted; the fields are arguments of `prunekit.prune`."""

    select: Method
    repair: str
    asymmetric: bool
    centered: bool
    ridge: float
    weigh_outputs: bool


def front_to_back(
    original: nn.Module,
    pruned: nn.Module,
    layers: Sequence[str],
    keep: Mapping[Site, int],
    batches: Sequence[Inputs],
    options: Options,
    progress: bool = True,
) -> tuple[dict[Site, Tensor], dict[Site, float | None]]:
    """Silence and refit ``pruned`` in place.

    Parameters
    ----------
    layers : names of the layers that may change, in the order of the forward pass
    keep : how many channels stay at each site

    Returns
    -------
    the ids of the channels that stay, and the relative error, for each site that loses any
    """
    sites = {site.consumers[0]: site for site in keep if keep[site] < site.channels}
    first = next((i for i, name in enumerate(layers) if name in sites), len(layers))
    todo = [name for name in layers[first:] if options.repair == "network" or name in sites]
    target = original if options.asymmetric else pruned
    kept: dict[Site, Tensor] = {}
    errors: dict[Site, float | None] = {}
    for name in tqdm(todo, desc="pruning", unit="layer", disable=not progress):
        layer = pruned.get_submodule(name)
        if name in sites:
            site = sites[name]
            statistics = _statistics(target, pruned, site, batches, options)
            elimination = _checked(options.select(statistics), site.channels)
            kept[site] = elimination.kept_at(keep[site])
            W, b = update_weights(statistics, kept[site], options.repair, name)
            errors[site] = relative_error(statistics, W, b)
            set_outgoing_weights(layer, W, b)
        elif can_refit(layer):
            fit = {"centered": options.centered, "ridge": options.ridge}
            refit_layer(target, pruned, name, batches, **fit)
    return kept, errors


def _statistics(
    target: nn.Module, pruned: nn.Module, site: Site, batches: Sequence[Inputs], options: Options
) -> Statistics:
    """What a method gets to know of ``site``."""
    W, b = outgoing_weights(pruned.get_submodule(site.consumers[0]))
    weigh = options.weigh_outputs and site.norm is not None
    return Statistics(
        collect=lambda: collect(target, pruned, site.consumers[0], batches),
        weights=W,
        bias=b,
        filters=float64(pruned.get_submodule(site.name).weight).flatten(1),
        block_size=len(W) // site.channels,
        centered=options.centered,
        ridge=options.ridge,
        output_scale=_scale(pruned.get_submodule(site.norm)) if weigh else None,
    )


def _scale(norm: nn.Module) -> Tensor | None:
    """γ/σ of a batch norm (outputs,), what it multiplies each of its channels with."""
    if norm.running_var is None:
        return None
    gain = 1.0 if norm.weight is None else float64(norm.weight)
    return gain / (float64(norm.running_var) + norm.eps).sqrt()


def _checked(elimination: Elimination, channels: int) -> Elimination:
    """An elimination as a method returned it, if it orders every channel once."""
    order = getattr(elimination, "order", None)
    if not isinstance(order, Tensor) or sorted(order.tolist()) != list(range(channels)):
        raise ValueError(
            f"method must return an Elimination whose order holds each of the {channels} channel "
            f"ids once, got {elimination!r:.200}"
        )
    return elimination
