"""Moments of what a layer takes, X, and is to say, Y: from patches, or by way of a gradient."""

import torch
from torch import Tensor, nn

from prunekit.algebra.moments import Moments
from prunekit.network.layers import consumer_inputs, consumer_outputs, groups_of
from prunekit.network.patches import Patches, are_regular

__all__ = ["Collector"]

MANY = 4096  # positions of a batch: with fewer there is nothing to gain


class Collector:
    """Of one group of a layer, or of some of its input channels, batch by batch.

    Parameters
    ----------
    channels : ids of the inputs that are columns of X, in this order; all by default
    """

    def __init__(self, layer: nn.Module, group: int = 0, channels: Tensor | None = None) -> None:
        self.layer, self.group, self.channels = layer, group, channels
        self._moments, self._patches = Moments(), None

    def update(self, inputs: Tensor, outputs: Tensor | None = None) -> None:
        """Add a batch: what the layer takes, and is to say (if asked), as whole tensors."""
        if not len(inputs):
            return
        regular = inputs.dtype == torch.float32 and are_regular(self.layer, inputs.shape[2:])
        if regular and inputs[:, 0].numel() >= MANY:
            self._patches = self._patches or Patches(self.layer)
            x = inputs if self.channels is None else inputs[:, self.channels.to(inputs.device)]
            y = None if outputs is None else outputs.chunk(groups_of(self.layer), 1)[self.group]
            self._patches.update(x, y)
        else:
            X = consumer_inputs(self.layer, inputs, self.channels)  # (samples, d)
            Y = None if outputs is None else consumer_outputs(self.layer, outputs, self.group)
            self._moments.update(X, Y)

    @property
    def moments(self) -> Moments:
        """All that came so far."""
        if self._patches is None:
            return self._moments
        return Moments().merge(self._moments).merge(self._patches.moments())
