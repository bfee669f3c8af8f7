"""Repairs: what is done to the weights that stay, after a site, at a layer, at the end.

`Repair` itself does nothing; each other one overrides the moments that it needs. REAP's update is
`LeastSquares`: the consumer of a pruned site is refitted. But pruning disturbs every layer behind
it, also those that lost no channel; `Network` refits them all in the same way: Y is what the
original layer puts out, X what the layer takes now.

Source: the update is Kamma & Wada 2021 (REAP). Refitting the other layers is our choice; front to
back reconstruction goes back to He, Zhang & Sun, "Channel pruning for accelerating very deep
neural networks", ICCV 2017.
"""

from collections.abc import Collection, Iterable, Sequence

import torch
from torch import Tensor, nn

from prunekit.algebra import least_squares
from prunekit.algebra.elimination import Elimination, Weights
from prunekit.algebra.least_squares import DEFAULT_RIDGE, columns_of
from prunekit.algebra.statistics import Consumer, Statistics
from prunekit.algebra.warning import warn
from prunekit.network.inputs import Inputs
from prunekit.network.layers import outgoing_weights, width
from prunekit.network.memory import too_wide
from prunekit.network.ranks import agreed
from prunekit.network.recalibration import recalibrate_batchnorm
from prunekit.network.turn import Turn
from prunekit.pipeline.fitting import Fit, through_relu

__all__ = ["BatchNorm", "LeastSquares", "Network", "Own", "Repair", "silenced", "wide_layers"]


def silenced(consumer: Consumer, kept: Tensor) -> Weights:
    """W⁰ (d, outputs) with the rows of removed channels zero, and b⁰ (outputs,)."""
    columns, W = consumer.columns(kept), torch.zeros_like(consumer.weights)
    W[columns] = consumer.weights[columns]
    return W, consumer.bias


class Repair:
    """Weights stay as they were; those of removed channels become zero.

    Attributes
    ----------
    refits : layers get new weights
    everywhere : also layers that take no pruned channel
    kernels_only : it does not go with ``coefficients="channel"``
    looks_behind : aims at what comes of a layer's outputs behind it, sums and what passes a ReLU
    """

    name = "none"
    refits = False
    everywhere = False
    kernels_only = False
    looks_behind = False

    def adds_biases(self, centered: bool) -> bool:
        """Whether a layer that it refits gets a bias where it had none."""
        return self.refits and centered

    def after_site(self, site: Statistics, chosen: Elimination, kept: Tensor) -> list[Weights]:
        """W (d, outputs), zero where channels went, and b (outputs,) of each consumer."""
        return [silenced(consumer, kept) for consumer in site.consumers]

    def at_layer(
        self, turn: Turn, gone: Collection[int], done: bool, centered: bool, ridge: float | None
    ) -> None:
        """Rewrite a layer when its turn is over.

        Parameters
        ----------
        gone : channels of it that went
        done : the site that is due here has already seen to all that is left
        """

    def at_end(self, model: nn.Module, batches: Sequence[Inputs], example: Inputs) -> nn.Module:
        """The network as it is to be handed over."""
        return model


class BatchNorm(Repair):
    """Batch norms are recalibrated at the end."""

    name = "batchnorm"

    def at_end(self, model: nn.Module, batches: Sequence[Inputs], example: Inputs) -> nn.Module:
        """See `prunekit.recalibrate_batchnorm`."""
        return recalibrate_batchnorm(model, batches, example)


class Own(Repair):
    """The weights that the method itself gives."""

    name = "own"
    refits = True

    def adds_biases(self, centered: bool) -> bool:
        """Always: a method may move what a constant explains into the bias."""
        return True

    def after_site(self, site: Statistics, chosen: Elimination, kept: Tensor) -> list[Weights]:
        """Those of ``chosen``: its own, or the least squares that it chose by."""
        if chosen.update is not None:
            found = chosen.update(kept)
            return found if isinstance(found, list) else [found]
        if chosen.problem is None:
            raise ValueError(
                "repair='own' takes the weights that a method gives, but this method only orders "
                "channels: choose another repair, 'least_squares' for one"
            )
        return [_solved(consumer, kept) for consumer in site.consumers]


class LeastSquares(Repair):
    """The layers that take a pruned site's channels are refitted (REAP's update)."""

    name = "least_squares"
    refits = True

    def after_site(self, site: Statistics, chosen: Elimination, kept: Tensor) -> list[Weights]:
        """The least squares of each consumer, where that lowers the error."""
        return [self.refitted(consumer, kept) for consumer in site.consumers]

    def refitted(self, consumer: Consumer, kept: Tensor) -> Weights:
        """W and b of least error; W⁰ and b⁰, with a warning, where that would be larger."""
        problem, before = consumer.problem, silenced(consumer, kept)
        W, b = _solved(consumer, kept)
        worse = problem.error(W) - problem.error(*before)
        if worse > max(1e-6, 100 * problem.rounding) * problem.energy.sum():
            warn(
                f"least squares did not lower the error of {consumer.name}: its weights are kept; "
                "more calibration data may help"
            )
        return before if worse > 0 else (W, b)

    def at_layer(
        self, turn: Turn, gone: Collection[int], done: bool, centered: bool, ridge: float | None
    ) -> None:
        """Refit all weights of the layer but those of ``gone``, where that lowers the error."""
        if done or not (gone or self.everywhere):
            return
        size = width(turn.layer, "in") // len(turn.layer_moments)
        for group, moments in enumerate(turn.layer_moments):
            W0, b0 = outgoing_weights(turn.layer, group)
            problem = least_squares.LeastSquares.from_moments(
                moments, W0, b0, centered=centered, ridge=DEFAULT_RIDGE if ridge is None else ridge
            )
            stay = [i for i in range(size) if group * size + i not in gone]
            W = problem.solve(columns_of(torch.tensor(stay, device=W0.device), len(W0) // size))
            if stay and problem.error(W) <= problem.error(W0, b0):
                turn.write(W, problem.bias(W), group)


class Network(LeastSquares):
    """So is every other layer behind the first pruned site, each for what comes through its ReLU.

    The ridge of each layer is chosen on samples that were held back.
    """

    name = "network"
    everywhere = looks_behind = True

    def at_layer(
        self, turn: Turn, gone: Collection[int], done: bool, centered: bool, ridge: float | None
    ) -> None:
        """Refit all weights of the layer but those of ``gone``."""
        if done and turn.mapped:
            return  # its channels have one coefficient each
        fits = [Fit(turn, group, gone, centered, ridge) for group in range(len(turn.layer_moments))]
        if turn.relu and all(fit.trusted and not fit.exact for fit in fits):
            through_relu(turn, fits, centered)


def wide_layers(model: nn.Module, names: Iterable[str], repair: Repair) -> tuple[str, ...]:
    """Layers whose moments do not fit into memory; a warning says what becomes of them."""
    # processes may have different memory, but go one way
    found = {} if repair.kernels_only else agreed(lambda: too_wide(model, names))
    for name, what in found.items():
        warn(
            f"{name} takes so many inputs that their second moments would take {what}: of the "
            "channels that it takes each gets one coefficient, as with coefficients='channel'"
        )
    return tuple(found)


def _solved(consumer: Consumer, kept: Tensor) -> Weights:
    """W and b of least error that use only the kept channels."""
    W = consumer.problem.solve(consumer.columns(kept))
    return W, consumer.problem.bias(W)
