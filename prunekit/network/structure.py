"""The structure of a network, as torch-pruning's graph tells it: one site per set of channels."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from prunekit.network.given import frozen_copy
from prunekit.network.graph import (
    behind,
    bounded,
    called_layers,
    is_depthwise,
    shared_weights,
    trace,
)
from prunekit.network.inputs import Inputs
from prunekit.network.layers import LAYERS, groups_of, is_plain, width
from prunekit.network.sites import ConsumerInputs, Site
from prunekit.network.surgery import Cut

__all__ = ["Structure"]

# modules that pass channels on one by one
PASSING = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.PReLU)


class Structure:
    """A traced copy of a network, by names."""

    def __init__(self, model: nn.Module, example: Inputs) -> None:
        copy = frozen_copy(model)
        self.modules = dict(copy.named_modules())
        self.names = {module: name for name, module in self.modules.items()}
        self.calls = called_layers(copy, example)
        self.shared = shared_weights(self.modules.values())
        self.graph = bounded(lambda: trace(copy, example))

    def site(self, name: str, residual: bool) -> Site:
        """Everything that has to be cut when channels of layer ``name`` go, or why it cannot be."""
        cuts, adds, reason = self._traced(name)
        layers = {
            side: list(dict.fromkeys(c.module for c in cuts if self._ends(c, side)))
            for side in ("out", "in")
        }
        producers = list(dict.fromkeys([name, *layers["out"]]))
        if adds and len(producers) > 1 and not residual:
            others = ", ".join(producers[1:4]) + (", …" if len(producers) > 4 else "")
            reason = f"its channels are added to those of {others} (residual connection)"
        bundles = self._bundles(width(self.modules[name], "out"), cuts)
        cuts = tuple(cut.bundled(bundles) for cut in cuts)
        order = list(self.calls).index
        consumers = sorted(layers["in"], key=lambda name: order(name) if name in self.calls else 0)
        reason = reason or self._refusal(producers, consumers, cuts, len(bundles))
        inputs = [] if reason else [i for name in consumers for i in self._inputs(name, cuts)]
        norm, _ = behind(self.graph, self.modules[name], self.names)
        return Site(name, len(bundles), tuple(producers), tuple(inputs), norm, reason, cuts)

    def _traced(self, name: str) -> tuple[list[Cut], bool, str | None]:
        """All cuts, whether channels are added up on the way, and what speaks against it."""
        layer, cuts, adds, reason = self.modules[name], [], False, None
        n, knife = width(layer, "out"), self.graph.get_pruner_of_module(layer)
        group = self.graph.get_pruning_group(layer, knife.prune_out_channels, list(range(n)))
        for item in group:
            dep, indices = item
            module = dep.target.module
            if module not in self.names:  # an operation or a bare parameter
                function = dep.target.grad_fn
                adds |= function is not None and function.name() in ("AddBackward0", "SubBackward0")
                if isinstance(module, nn.Parameter):
                    reason = "a bare parameter of the network is as wide as its channels"
                continue
            side = "out" if self.graph.is_out_channel_pruning_fn(dep.handler) else "in"
            cuts.append(Cut.from_pairs(self.names[module], side, n, item.root_idxs, indices))
            if not isinstance(module, (*LAYERS, *PASSING)):
                kind = type(module).__name__
                reason = f"{self.names[module]} is a {kind}, which is not supported"
        return cuts, adds, reason

    def _ends(self, cut: Cut, side: str) -> bool:
        """Whether a cut is of a layer that makes ("out") or takes ("in") channels."""
        module = self.modules[cut.module]
        return cut.side == side and isinstance(module, LAYERS) and not is_depthwise(module)

    def _bundles(self, n: int, cuts: Iterable[Cut]) -> list[list[int]]:
        """Channels that can only go together: in a grouped convolution one of each group."""
        keys: list[list[int]] = [[] for _ in range(n)]
        alone = True
        for cut in cuts:
            layer = self.modules[cut.module]
            if isinstance(layer, LAYERS) and groups_of(layer) > 1 and not is_depthwise(layer):
                size, alone = width(layer, cut.side) // layer.groups, False
                for channel, indices in enumerate(cut.indices):
                    keys[channel] += [i % size for i in indices]
        bundles: dict[Any, list[int]] = {}
        for channel in range(n):
            bundles.setdefault(channel if alone else tuple(keys[channel]), []).append(channel)
        return list(bundles.values())

    def _inputs(self, name: str, cuts: Iterable[Cut]) -> Iterable[ConsumerInputs]:
        """What layer ``name`` takes of a site, group by group."""
        layer = self.modules[name]
        size = width(layer, "in") // groups_of(layer)
        (cut,) = (cut for cut in cuts if cut.module == name and cut.side == "in")
        norm, relu = behind(self.graph, layer, self.names)
        for group in range(groups_of(layer)):
            mine = [[i for i in ids if i // size == group] for ids in cut.indices]
            if any(mine):
                channels, calls = torch.tensor(mine), self.calls[name]
                yield ConsumerInputs(name, group, channels, size, calls, norm, relu)

    def _refusal(
        self, producers: list[str], consumers: list[str], cuts: Iterable[Cut], n: int
    ) -> str | None:
        """Why a site cannot be pruned, as far as its structure tells."""
        for name in (*producers, *consumers):
            layer = self.modules[name]
            if name not in self.calls:
                return f"{name} is never called"
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
                return f"{name} is a {type(layer).__name__} with a forward of its own"
            if layer.weight in self.shared:
                return f"{name} shares its weights with another layer"
        if not consumers:
            return "its channels are outputs of the network"
        if n < 2:
            return "it has a single channel"
        for cut in cuts:
            if len({len(ids) for ids in cut.indices}) > 1:
                return f"{cut.module} does not treat all of its channels alike"
        return None
