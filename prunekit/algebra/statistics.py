"""What a pruning method gets to know of one site.

All of it is lazy: a method that looks at weights only never runs a single image through a network.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from prunekit.algebra.least_squares import LeastSquares, columns_of
from prunekit.algebra.moments import Moments

__all__ = ["Consumer", "Statistics"]


@dataclass(frozen=True)
class Consumer:
    """How one layer takes a site's channels, and the least squares that it poses; float64.

    Attributes
    ----------
    name : of the layer
    collect : gives the moments; called once, when a method or a repair first asks for ``moments``
    weights, bias : its own W⁰ (d, outputs) for these channels, and b⁰ (outputs,)
    block_size : columns of X per channel: k² for a k×k kernel, 1 for a linear layer, and 1 for
        ``coefficients="channel"``, where the k² taps are outputs of their own
    weigh : gives ``output_scale`` when a score first asks for it
    before_relu : scale and shift (outputs,) between its outputs and the ReLU behind it, the batch
        norm's; None where no ReLU follows, or other channels come in as well
    centered, ridge : as `LeastSquares.from_moments` takes them
    """

    name: str
    collect: Callable[[], Moments]
    weights: Tensor
    bias: Tensor
    block_size: int
    weigh: Callable[[], Tensor | None] | None = None
    before_relu: tuple[Tensor, Tensor] | None = None
    centered: bool = True
    ridge: float = 1e-5

    @cached_property
    def moments(self) -> Moments:
        """Second moments of X (samples, d), its inputs, and Y (samples, outputs), its target."""
        return self.collect()

    @cached_property
    def output_scale(self) -> Tensor | None:
        """How the network's outputs feel errors of its own, S^½ (outputs, m), or None.

        A score may weigh errors with it, ‖E·S^½‖²; the fit does not need to.
        """
        return None if self.weigh is None else self.weigh()

    @cached_property
    def problem(self) -> LeastSquares:
        """The least squares that it poses."""
        return LeastSquares.from_moments(
            self.moments, self.weights, self.bias, centered=self.centered, ridge=self.ridge
        )

    def columns(self, channels: Tensor) -> Tensor:
        """The columns of X that belong to ``channels``: block_size of them each, in order."""
        return columns_of(channels.to(self.weights.device), self.block_size)


@dataclass(frozen=True)
class Statistics:
    """A site in numbers, float64 throughout.

    Attributes
    ----------
    name : of the site
    consumers : the layers that take its channels, in the order of the forward pass; their errors
        add up. ``moments``, ``problem``, ``weights``, ``bias``, ``block_size`` and ``columns`` are
        those of the first, of most sites the only one
    filters : the producer's weights, a row per channel (channels, inputs·kernel)
    filter_scale, filter_shift : what happens to a filter's output before the activation: times
        γ/σ (channels,), plus β − γμ/σ (channels,) of the batch norm behind it, with the bias
    inputs : gives what the first consumer takes, batch by batch: (images, channels, positions), in
        the network's own dtype
    inputs_with_gradients : the same, each with the gradient of the loss there; the loss is the
        cross-entropy to the classes that the network itself finds likeliest
    rows : gives about so many drawn rows of X (rows, d) and Y (rows, outputs) of the first consumer
    """

    name: str
    consumers: tuple[Consumer, ...]
    filters: Tensor
    filter_scale: Tensor
    filter_shift: Tensor
    inputs: Callable[[], Iterable[Tensor]]
    inputs_with_gradients: Callable[[], Iterable[tuple[Tensor, Tensor]]]
    rows: Callable[[int], tuple[Tensor, Tensor]]

    @property
    def channels(self) -> int:
        """How many channels the site has."""
        return len(self.filters)

    @property
    def moments(self) -> Moments:
        """Second moments of X (samples, d) and Y (samples, outputs)."""
        return self.consumers[0].moments

    @property
    def problem(self) -> LeastSquares:
        """The least squares of the first consumer."""
        return self.consumers[0].problem

    @property
    def weights(self) -> Tensor:
        """W⁰ (d, outputs) of the first consumer."""
        return self.consumers[0].weights

    @property
    def bias(self) -> Tensor:
        """b⁰ (outputs,) of the first consumer."""
        return self.consumers[0].bias

    @property
    def block_size(self) -> int:
        """Columns of X per channel at the first consumer."""
        return self.consumers[0].block_size

    def columns(self, channels: Tensor) -> Tensor:
        """The columns of X that belong to ``channels``: block_size of them each, in order."""
        return self.consumers[0].columns(channels)
