"""POEM as a repair: least squares everywhere, then for what comes through the ReLU behind."""

from collections.abc import Collection

from torch import Tensor

from prunekit.algebra.elimination import Elimination, Weights
from prunekit.algebra.statistics import Statistics
from prunekit.network.turn import Turn
from prunekit.pipeline.repairs import LeastSquares, Network
from prunekit.poem import reweighted

__all__ = ["Poem"]

ROWS = 20_000  # drawn samples that reweighting looks at, or 20 per column if that is more


class Poem(Network):
    """Least squares everywhere; where a ReLU follows, for what comes through it: a bonus."""

    name = "poem"
    kernels_only = True
    looks_behind = False

    def after_site(self, site: Statistics, chosen: Elimination, kept: Tensor) -> list[Weights]:
        """The least squares of each consumer; of the first one reweighted."""
        first, weights = site.consumers[0], super().after_site(site, chosen, kept)
        if first.before_relu is not None:
            (W, b), (scale, shift) = weights[0], first.before_relu
            X, Y = site.rows(max(ROWS, 20 * len(W)))
            weights[0] = reweighted(X, Y, W, b, scale=scale, shift=shift)
        return weights

    def at_layer(
        self, turn: Turn, gone: Collection[int], done: bool, centered: bool, ridge: float | None
    ) -> None:
        """Plain least squares, unless the layer was reweighted."""
        LeastSquares.at_layer(self, turn, gone, done, centered, ridge)
