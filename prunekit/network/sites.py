"""A place where a network can be pruned, as data."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import gcd, lcm

from torch import Tensor

from prunekit.network.surgery import Cut

__all__ = ["ConsumerInputs", "Site", "matching"]


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that a pattern (``layer1.*``) means; one that is a name itself means that alone."""
    names = list(names)
    return [pattern] if pattern in names else [n for n in names if fnmatchcase(n, pattern)]


@dataclass(frozen=True, eq=False)
class ConsumerInputs:
    """The inputs of a layer, or of one group of a grouped convolution, that are a site's channels.

    Attributes
    ----------
    name, group : of the layer, and which of its groups
    channels : int64 (n, m), which channels or features of the layer belong to each of the site's n
    width : how many channels the layer, or this group of it, takes in all
    calls : how often a forward pass calls it
    norm : the batch norm right behind it, if there is one
    relu : whether a ReLU comes right behind it, or behind that batch norm
    """

    name: str
    group: int
    channels: Tensor
    width: int
    calls: int
    norm: str | None
    relu: bool

    @property
    def whole(self) -> bool:
        """Whether the layer (or group) takes nothing but the site's channels."""
        return self.channels.numel() == self.width


@dataclass(frozen=True, eq=False)
class Site:
    """A set of channels that can be taken out together, or the reason why it cannot.

    Attributes
    ----------
    name : of the first producer, as in ``model.named_modules()``
    channels : how many there are; of a grouped convolution a channel is one of each group, of an
        attention block a whole head
    producers : layers that make these channels
    consumer_inputs : where they go, in the order of the forward pass
    producer_norm : the batch norm right behind the first producer, if there is one
    reason : None, or in words why the site is left alone
    cuts : for `prunekit.network.surgery`, which indices of which module belong to each channel
    """

    name: str
    channels: int
    producers: tuple[str, ...] = ()
    consumer_inputs: tuple[ConsumerInputs, ...] = ()
    producer_norm: str | None = None
    reason: str | None = None
    cuts: tuple[Cut, ...] = ()

    @property
    def consumers(self) -> tuple[str, ...]:
        """Names of the layers that take these channels, in the order of the forward pass."""
        return tuple(dict.fromkeys(inputs.name for inputs in self.consumer_inputs))

    def multiple(self, of: int) -> int:
        """How many channels are a multiple of ``of`` in every layer that makes them."""
        made = [cut for cut in self.cuts if cut.side == "out" and cut.module in self.producers]
        sizes = [len(cut.indices[0]) for cut in made] or [1]  # of a channel, in each layer
        return lcm(*(of // gcd(of, size) for size in sizes))
