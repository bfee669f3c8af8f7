"""The one loop, layerwise: from the first layer on, choose channels, silence them, refit the layer.

The original network gives the outputs that each layer should have (Y), the one being pruned what
that layer takes now (X). So every fit makes up for what earlier ones left undone.

Source: the asymmetric target is that of He, Zhang & Sun, ICCV 2017, and El Halabi et al., NeurIPS
2022; that REAP goes front to back with it is our choice.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from prunekit.algebra.elimination import Elimination, Weights
from prunekit.algebra.statistics import Consumer, Statistics
from prunekit.network.layers import is_plain, width
from prunekit.network.own import with_own_part
from prunekit.network.ranks import from_first
from prunekit.network.reading import statistics_of
from prunekit.network.sites import ConsumerInputs, Site
from prunekit.network.survey import Survey
from prunekit.network.turn import Turn
from prunekit.network.walk import Walk
from prunekit.pipeline.methods import Method, checked
from prunekit.pipeline.precision import Loss, as_kept, warn_of
from prunekit.pipeline.repairs import Repair

__all__ = ["Options", "Outcome", "front_to_back", "layers_to_bias", "write_site"]


@dataclass(frozen=True)
class Options:
    """How each layer is selected and refitted; most fields are arguments of `prunekit.prune`.

    Attributes
    ----------
    wide : layers whose moments do not fit into memory: their channels get one coefficient each
    """

    select: Method
    repair: Repair
    coefficients: str = "kernel"
    asymmetric: bool = True
    centered: bool = True
    ridge: float | None = None
    weigh_outputs: bool = True
    wide: tuple[str, ...] = ()

    def mapped(self, name: str) -> bool:
        """Whether the channels that a layer takes get one coefficient each."""
        return self.coefficients == "channel" or name in self.wide


@dataclass(frozen=True)
class Outcome:
    """What one site came to: ids that stay, the relative error, the rank and the width of X."""

    kept: Tensor
    error: float | None
    rank: int | None
    columns: int | None


@dataclass
class _State:
    """How far the loop has come."""

    outcomes: dict[Site, Outcome] = field(default_factory=dict)
    gone: dict[str, set[int]] = field(default_factory=dict)  # channels a layer takes no longer
    done: set[str] = field(default_factory=set)  # layers that a site has refitted as a whole
    losses: list[Loss] = field(default_factory=list)  # what few digits cost at each site


def front_to_back(
    walk: Walk,
    keep: Mapping[Site, int],
    options: Options,
    max_error: float | None = None,
    progress: bool = True,
) -> dict[Site, Outcome]:
    """Silence channels of the walk's pruned network and repair it, in place.

    Parameters
    ----------
    keep : how many channels stay at each site
    max_error : instead, as many go at each site as raise its relative error by this at most

    Returns
    -------
    the outcome at each site that loses channels
    """
    due, todo = _agenda(list(walk.layers), _losing(keep, max_error), options.repair)
    for name in layers_without_bias(walk.pruned, todo, options.repair, options.centered):
        layer = walk.pruned.get_submodule(name)
        layer.bias = nn.Parameter(layer.weight.new_zeros(width(layer, "out")), requires_grad=False)
    later = [t for name, found in due.items() for s in found for t in _later(s, name)]
    surveyed = walk.original if options.asymmetric else walk.pruned
    survey = Survey(surveyed, later, walk.batches, options.mapped)
    state = _State()
    for name in tqdm(todo, desc="pruning", unit="layer", disable=not progress):
        turn = Turn(walk, name, survey, options.mapped(name))
        for site in due.get(name, ()):
            _prune_site(site, turn, walk, options, state, keep[site], max_error)
        if is_plain(turn.layer) and name not in options.wide:
            gone = state.gone.get(name, set())
            options.repair.at_layer(turn, gone, name in state.done, options.centered, options.ridge)
    if state.losses:
        warn_of(state.losses, turn.layer.weight.dtype)
    return state.outcomes


def _losing(keep: Mapping[Site, int], max_error: float | None = None) -> list[Site]:
    """The sites that lose channels; any may where an error decides."""
    return [site for site in keep if max_error is not None or keep[site] < site.channels]


def _agenda(
    order: Sequence[str], sites: Sequence[Site], repair: Repair
) -> tuple[dict[str, list[Site]], list[str]]:
    """Which sites are due at which layer, the first of their consumers; and the layers to visit."""
    due: dict[str, list[Site]] = {}
    for site in sites:
        due.setdefault(min(site.consumers, key=order.index), []).append(site)
    first = min(map(order.index, due), default=len(order))
    taking = {name for site in sites for name in site.consumers}
    return due, [name for name in order[first:] if repair.everywhere or name in taking]


def layers_without_bias(
    model: nn.Module, names: Iterable[str], repair: Repair, centered: bool = True
) -> list[str]:
    """Which of these layers a repair will give a bias, for they have none."""
    if not repair.adds_biases(centered):
        return []
    layers = ((name, model.get_submodule(name)) for name in names)
    return [name for name, layer in layers if layer.bias is None and is_plain(layer)]


def layers_to_bias(
    model: nn.Module, order: Sequence[str], repair: Repair, centered: bool = True
) -> Callable[[Mapping[Site, int]], list[str]]:
    """A function from widths to the layers that will get a bias there."""
    bare = set(layers_without_bias(model, order, repair, centered))
    return lambda keep: [n for n in _agenda(order, _losing(keep), repair)[1] if n in bare]


def _later(site: Site, name: str) -> list[ConsumerInputs]:
    """The consumers of a site beside layer ``name``, where it is due."""
    return [taken for taken in site.consumer_inputs if taken.name != name]


def _prune_site(
    site: Site,
    turn: Turn,
    walk: Walk,
    options: Options,
    state: _State,
    count: int,
    max_error: float | None,
) -> None:
    """Choose the channels of one site and rewrite its consumers, unless all channels stay."""
    statistics = statistics_of(site, turn, options)
    chosen = checked(options.select(statistics), site.channels)
    if max_error is not None:
        fewest = _fewest(statistics, chosen, max_error, options.repair)
        count = int(*from_first(torch.tensor(fewest, device=turn.layer.weight.device)))
    if count == site.channels:
        return
    (kept,) = from_first(chosen.kept_at(count))
    weights = options.repair.after_site(statistics, chosen, kept)
    write_site(site, statistics, weights, walk.write, walk.pruned.get_submodule)
    consumers = statistics.consumers
    # a method that never asked for moments is not made to wait for them
    asked = all("moments" in vars(consumer) for consumer in consumers)
    state.outcomes[site] = Outcome(
        kept,
        _error_as_kept(site.name, consumers, weights, turn.layer, state) if asked else None,
        consumers[0].problem.rank if asked else None,
        len(consumers[0].weights) if asked else None,
    )
    for taken in site.consumer_inputs:
        state.gone.setdefault(taken.name, set()).update(_gone(taken, kept))
    if all(taken.whole for taken in site.consumer_inputs if taken.name == turn.name):
        state.done.add(turn.name)


def _error_as_kept(
    name: str,
    consumers: tuple[Consumer, ...],
    weights: list[Weights],
    layer: nn.Module,
    state: _State,
) -> float | None:
    """The relative error of weights as their layers keep them; what their dtype costs is noted."""
    error, dtype = _relative_error(consumers, weights), layer.weight.dtype
    if error is None or dtype.itemsize > 2:
        return error
    kept = _relative_error(consumers, as_kept(weights, dtype))
    state.losses.append((name, error, kept))
    return kept


def write_site(
    site: Site,
    statistics: Statistics,
    weights: list[Weights],
    write: Callable[[str, Tensor, Tensor, int], None],
    layer_of: Callable[[str], nn.Module],
) -> None:
    """Write W and b of each of a site's consumers into its layer."""
    parts = zip(site.consumer_inputs, statistics.consumers, weights, strict=True)
    for taken, consumer, (W, b) in parts:
        whole, bias = with_own_part(layer_of(taken.name), taken, W, b - consumer.bias)
        write(taken.name, whole, bias, taken.group)


def _relative_error(consumers: tuple[Consumer, ...], weights: list[Weights]) -> float | None:
    """‖Y − XW − b‖² / ‖Y − mean(Y)‖² of all consumers together; None if Y is constant."""
    error = energy = 0.0
    for consumer, (W, b) in zip(consumers, weights, strict=True):
        moments = consumer.moments
        spread = moments.scatter_yy.sum().item()
        if spread > 1e-12 * (moments.count * moments.mean_y.square()).sum():
            error, energy = error + consumer.problem.error(W, b), energy + spread
    return error / energy if energy else None


def _gone(taken: ConsumerInputs, kept: Tensor) -> list[int]:
    """Which channels of its layer a consumer takes no longer."""
    stays = torch.zeros(len(taken.channels), dtype=torch.bool)
    stays[kept.cpu()] = True
    return taken.channels[~stays].flatten().tolist()


def _fewest(site: Statistics, chosen: Elimination, max_error: float, repair: Repair) -> int:
    """The fewest channels that raise the relative error by ``max_error`` at most, by bisection."""

    def error(keep: int) -> float:
        weights = repair.after_site(site, chosen, chosen.kept_at(keep))
        return _relative_error(site.consumers, weights) or 0.0

    bound = error(site.channels) + max_error  # what earlier sites did is not this one's fault
    low, high = 1, site.channels  # ``high`` is within the bound
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if error(middle) <= bound else (middle + 1, high)
    return high
