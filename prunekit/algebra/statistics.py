"""What a pruning method gets to know of one site.

All of it is lazy: a method that looks at weights only never runs a single image through a network.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from prunekit.algebra.least_squares import LeastSquares, columns_of
from prunekit.algebra.moments import Moments

__all__ = ["Statistics"]


@dataclass(frozen=True)
class Statistics:
    """A site in numbers, float64 throughout.

    Attributes
    ----------
    name : of the site
    collect : gives the moments; called once, when a method or a repair first asks for ``moments``
    moments : of X, what the consumer hears (d = channels·block_size columns, channel by channel),
        and Y, what it should answer
    weights, bias : the consumer's own W⁰ (d, outputs) and b⁰ (outputs,)
    filters : the producer's weights, a row per channel (channels, inputs·kernel)
    filter_scale, filter_shift : what happens to a filter's answer before the activation: times
        γ/σ (channels,), plus β − γμ/σ (channels,) of the batch norm behind it, with the bias
    block_size : columns per channel: k² for a k×k kernel, 1 for a linear layer, and 1 for
        ``coefficients="channel"``, where the k² taps are outputs of their own
    centered, ridge : as `LeastSquares.from_moments` takes them
    output_scale : what the batch norm behind the consumer multiplies its outputs with, γ/σ
        (outputs,), or None. A score may weigh errors with it; the fit does not need to
    heard : gives what the consumer hears, batch by batch: (images, channels, positions), in the
        network's own dtype
    heard_with_gradients : the same, each with the gradient of the loss there; the loss is the
        cross-entropy to the classes that the network itself finds likeliest
    rows : gives about so many drawn rows of X (rows, d) and Y (rows, outputs), of whole kernels
    before_relu : scale and shift (outputs,) between the consumer's outputs and the ReLU behind it,
        the batch norm's; None where no ReLU follows
    shapes : columns per channel and outputs of each layer that hears the site. Where several do,
        they count as one, see `prunekit.algebra.joining`
    """

    name: str
    collect: Callable[[], Moments]
    weights: Tensor
    bias: Tensor
    filters: Tensor
    filter_scale: Tensor
    filter_shift: Tensor
    block_size: int
    centered: bool
    ridge: float
    output_scale: Tensor | None
    heard: Callable[[], Iterable[Tensor]]
    heard_with_gradients: Callable[[], Iterable[tuple[Tensor, Tensor]]]
    rows: Callable[[int], tuple[Tensor, Tensor]]
    before_relu: tuple[Tensor, Tensor] | None
    shapes: tuple[tuple[int, int], ...]

    @property
    def channels(self) -> int:
        """How many channels the site has."""
        return len(self.filters)

    @cached_property
    def moments(self) -> Moments:
        """Second moments of X (samples, d) and Y (samples, outputs)."""
        return self.collect()

    @cached_property
    def problem(self) -> LeastSquares:
        """The least squares that this site poses."""
        return LeastSquares.from_moments(
            self.moments, self.weights, self.bias, centered=self.centered, ridge=self.ridge
        )

    def columns(self, channels: Tensor) -> Tensor:
        """The columns of X that belong to ``channels``: block_size of them each, in order."""
        return columns_of(channels.to(self.weights.device), self.block_size)
