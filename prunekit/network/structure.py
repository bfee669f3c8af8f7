"""The structure of a network: one site per set of channels, from where marks arrive."""

from collections import Counter
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from prunekit.network.arrivals import Arrivals, arrivals
from prunekit.network.behind import Behind, behind
from prunekit.network.called import shared_weights
from prunekit.network.components import Group, Key, Tie, groups
from prunekit.network.inputs import Inputs, map_tensors, tensors
from prunekit.network.layers import groups_of, is_plain, width
from prunekit.network.marking import Marker, Source, read_elsewhere
from prunekit.network.sites import ConsumerInputs, Site
from prunekit.network.stage import Stage, axis
from prunekit.network.sums import goes_around
from prunekit.network.surgery import Cut

__all__ = ["Structure"]

TOGETHER = "its channels only go all together: removing some does not act as silencing them"
# modules whose parameters belong to no single channel, or whose channels are mixed anyway
MIXING = (nn.LayerNorm, nn.RNNBase, nn.MultiheadAttention)


class Structure:
    """Which channels of a network hang together, and with what.

    Attributes
    ----------
    calls : how often each module that takes channels is called, in the order of the forward pass
    read : layers whose weights the network reads itself
    """

    def __init__(self, model: nn.Module, example: Inputs) -> None:
        if all(value.ndim and len(value) > 2 for value in tensors(example).values()):
            example = map_tensors(lambda value: value[:2], example)  # they tell as much as many
        self.stage = Stage(model, example)
        self.marker = Marker(self.stage)
        self.modules = dict(model.named_modules())
        taken = self.marker.script.taken
        self.calls = {name: len(values) for name, values in taken.items()}
        self.behind = behind(model, example)
        self.shared = shared_weights(self.modules.values())
        self.read = read_elsewhere(self.marker)
        self.sizes: dict[Key, int] = {}
        for side in ("out", "in"):
            layers = (name for name in self.calls if name in self.stage.layers)
            self.sizes |= {(name, side): width(self.modules[name], side) for name in layers}
        for name in self.calls.keys() & self.stage.passing.keys():
            dim = axis(self.modules[name], taken[name][0])
            self.sizes[name, "out"] = taken[name][0].shape[dim]
        made = [Source(*key, n) for key, n in self.sizes.items() if self._ends(key, "out")]
        self.found = arrivals(self.marker, made)

    def sites(self, residual: bool, ties: Iterable[Tie] = ()) -> list[Site]:
        """All sets of channels, with what has to be cut when some of them go, or why not.

        ``ties`` hold beside those that marks have shown.
        """
        self.ties = [*self._bundles(), *ties]
        sites = self._sites(self.found, residual)
        bare = arrivals(self.marker, [*self._bare(site for site in sites if site.reason is None)])
        bare = bare.parted()  # a dimension whose entries are mixed is none of channels
        return self._sites(self.found.plus(bare), residual) if bare.edges else sites

    def _ends(self, key: Key, side: str) -> bool:
        """Whether a side is where a layer makes ("out") or takes ("in") channels."""
        return key[1] == side and key[0] in self.stage.layers

    def _bare(self, sites: Iterable[Site]) -> Iterator[Source]:
        """Dimensions of bare parameters and buffers that are as wide as something in ``sites``."""
        cuts = [cut.indices for site in sites for cut in site.cuts]
        widths = {n for indices in cuts for n in (len(indices), sum(map(len, indices)))}
        known = {*self.stage.layers, *self.stage.passing}
        for name, module in self.modules.items():
            if name in known or isinstance(module, MIXING):
                continue
            for key, tensor in (*module._parameters.items(), *module._buffers.items()):
                if tensor is not None and tensor.is_floating_point():
                    for dim, size in enumerate(tensor.shape):
                        if size > 1 and size in widths:
                            yield Source(name, f"{key}:{dim}", size)

    def _sites(self, found: Arrivals, residual: bool) -> list[Site]:
        """Channels that look alike are a site; its name is that of the first layer to make them."""
        ties = [*found.ties(self.stage.layers), *self.ties]
        sets = groups(self.sizes | found.sizes, ties)
        sets = [group for group in sets if any(self._ends(key, "out") for key in group)]
        made, taken = (
            [{k[0]: ids.flatten() for k, ids in one.items() if self._ends(k, side)} for one in sets]
            for side in ("out", "in")
        )
        around = [False] * len(sets) if residual else goes_around(self.marker, made, taken)
        sites, names = [], Counter()
        for i, group in enumerate(sets):
            name = next(iter(made[i]))
            names[name] += 1  # channels of one layer may be of several kinds
            name += f":{names[name]}" if names[name] > 1 else ""
            sites.append(self._site(name, group, found, around[i]))
        return sites

    def _bundles(self) -> Iterator[Tie]:
        """Of a grouped convolution, one channel of each group goes."""
        for key in self.sizes:
            layer = self.modules[key[0]]
            if key[0] in self.stage.layers and groups_of(layer) > 1:
                ids = torch.arange(width(layer, key[1]))
                yield key, ids, key, ids % (len(ids) // groups_of(layer))

    def _site(self, name: str, group: Group, found: Arrivals, around: bool) -> Site:
        """One set of channels as a site."""
        producers = [key[0] for key in group if self._ends(key, "out")]
        consumers = [key[0] for key in group if self._ends(key, "in")]
        others = ", ".join(producers[1:4]) + (", …" if len(producers) > 4 else "")
        reason = f"its channels are added to those of {others} (residual connection)"
        reason = reason if around else self._refusal(producers, consumers, group, found)
        n = len(group[producers[0], "out"])
        if n == 1 and reason:  # as many as the layer makes, if they only go together
            n = group[producers[0], "out"].numel()
        cuts = tuple(Cut(*key, tuple(map(tuple, ids.tolist()))) for key, ids in group.items())
        inputs = [] if reason else [i for c in consumers for i in self._inputs(c, group[c, "in"])]
        norm = self.behind.get(producers[0], Behind()).norm
        return Site(name, n, tuple(producers), tuple(inputs), norm, reason, cuts)

    def _inputs(self, name: str, ids: Tensor) -> Iterator[ConsumerInputs]:
        """What layer ``name`` takes of a site, ids (n, m), group by group."""
        layer = self.modules[name]
        size = width(layer, "in") // groups_of(layer)
        next_ = self.behind.get(name, Behind())
        relu = next_.relu and not next_.adds
        for group in range(groups_of(layer)):
            mine = ids[ids // size == group].view(len(ids), -1)
            if mine.numel():
                yield ConsumerInputs(name, group, mine, size, self.calls[name], next_.norm, relu)

    def _refusal(
        self, producers: list[str], consumers: list[str], group: Group, found: Arrivals
    ) -> str | None:
        """Why a site cannot be pruned, as far as its structure tells."""
        for name in (*producers, *consumers):
            layer = self.modules[name]
            if hasattr(layer, "parametrizations"):
                return (
                    f"{name} is parametrised: bake the weights in first, with "
                    "torch.nn.utils.parametrize.remove_parametrizations"
                )
            if not isinstance(layer.weight, nn.Parameter):
                return (
                    f"the weight of {name} is computed by a hook: make it a parameter first, with "
                    "torch.nn.utils.remove_weight_norm, remove_spectral_norm or prune.remove"
                )
            if name in consumers and not is_plain(layer):
                return (
                    f"{name} is a {type(layer).__name__} whose forward() is not XW + b of its "
                    "weight: put a plain layer with the weights that it uses in its place"
                )
            if layer.weight in self.shared:
                return f"{name} shares its weights with another layer"
            if name in self.read:
                return f"forward() reads the weight of {name} itself, beside calling it"
        if found.outside & group.keys():
            return "its channels are outputs of the network"
        if found.mixed & group.keys():
            return (
                "removing channels does not act as silencing them: a norm or softmax over "
                "channels, or a layer that prunekit does not know, mixes them: put a batch norm "
                "or a plain layer in its place"
            )
        if not consumers:
            return "its channels arrive nowhere that can be seen"
        if len(group[producers[0], "out"]) < 2:
            alone = group[producers[0], "out"].numel() == 1
            return "it has a single channel" if alone else TOGETHER
        return None
