"""One layer refitted as a whole: by least squares, then for what comes through its ReLU."""

import math
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from prunekit.algebra.held_back import best_ridge
from prunekit.algebra.least_squares import LeastSquares, columns_of
from prunekit.algebra.relu import step_through
from prunekit.algebra.warning import warn
from prunekit.network.inputs import samples_of
from prunekit.network.layers import width
from prunekit.network.ranks import agreed
from prunekit.network.turn import Turn

__all__ = ["Fit", "through_relu"]

ROUNDS = 3  # more of them change next to nothing
EXACT = 1e-5  # of the energy of Y
ENOUGH, FEWEST = 10, 50  # rows of X for each of its columns, and samples


class Fit:
    """The least squares of a layer, or of one of its groups, written into it.

    Parameters
    ----------
    gone : channels of the layer that went
    centered, ridge : as in `prunekit.prune`; None is chosen on samples held back

    Attributes
    ----------
    trusted : whether the fit does better than the weights as they were; else those are kept
    exact : whether it leaves nothing that is clearly more than roundings
    """

    def __init__(
        self,
        turn: Turn,
        group: int,
        gone: Collection[int],
        centered: bool,
        ridge: float | None,
    ) -> None:
        self.turn, self.group = turn, group
        self.moments = turn.layer_moments[group]
        before = turn.original_weights(group)
        self.W, self.b = before[0].clone(), before[1].clone()
        size = width(turn.layer, "in") // len(turn.layer_moments)
        stay = [i for i in range(size) if group * size + i not in gone]
        device = self.W.device
        self.columns = columns_of(torch.tensor(stay, device=device), len(self.W) // size)
        silent = torch.ones(len(self.W), dtype=torch.bool, device=device)
        silent[self.columns] = False
        self.W[silent] = 0.0
        if ridge is None:
            learned, held = (part[group] for part in turn.parts)
            best = best_ridge(learned, held, before, self.columns, centered=centered)
            ridge = agreed(lambda: best)
        self.trusted, self.exact = ridge is not None and len(stay) > 0, False
        if self.trusted:
            self.problem = LeastSquares.from_moments(
                self.moments, *before, centered=centered, ridge=ridge
            )
            self.W = self.problem.solve(self.columns)
            self.b = self.problem.bias(self.W)
            error, energy = self.problem.error(self.W), self.problem.energy.sum()
            self.exact = bool(error <= EXACT * energy)
        elif gone and stay:
            self._warn()
        self.write()

    def _warn(self) -> None:
        """Say how many calibration samples would do."""
        images = sum(map(samples_of, self.turn.batches))
        rows = self.moments.count / images  # of X, for each of them
        if images >= 10 and images * rows >= 2 * len(self.columns):
            return  # enough: the weights as they were are simply as good
        enough = max(FEWEST, math.ceil(ENOUGH * len(self.columns) / rows))
        warn(
            f"{images} calibration samples are too few to refit {self.turn.name}, its weights are "
            f"kept: about {enough} would do"
        )

    def step(self, factor: Tensor, cross: Tensor, total: Tensor, centered: bool) -> None:
        """One round through the ReLU, from XᵀE and the sums of E."""
        mean = total / self.moments.count if centered else torch.zeros_like(total)
        W, b = step_through(self.problem, factor, self.columns, self.W, cross, mean)
        self.W, self.b = self.W + W, self.b + b
        self.write()

    def write(self) -> None:
        """Give the layer these weights."""
        self.turn.write(self.W, self.b, self.group)


@torch.no_grad()
def through_relu(turn: Turn, fits: Sequence[Fit], centered: bool) -> None:
    """Refit for what comes through the ReLU, a few rounds, see `prunekit.algebra.relu`."""
    factors = [fit.problem.factorise(fit.columns)[0] for fit in fits]
    for _ in range(ROUNDS):
        for fit, factor, sums in zip(fits, factors, turn.come_through(), strict=True):
            fit.step(factor, *sums, centered)
