"""How far to trust a fit: the ridge, chosen by what it is worth on samples that were held back.

Source: cross-validation is from Stone, JRSS B 36(2), 1974; that the ridge ends at W⁰, which is no
repair at all, is our choice.
"""

from torch import Tensor

from prunekit.algebra.elimination import Weights
from prunekit.algebra.least_squares import LeastSquares
from prunekit.algebra.moments import Moments

__all__ = ["RIDGES", "best_ridge"]

CLEARLY, OF_ENERGY = 0.02, 1e-9  # what is no worse by more is as good
RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # relative to the energy of each column


def best_ridge(
    learned: Moments,
    held: Moments,
    before: Weights,
    columns: Tensor,
    *,
    centered: bool = True,
) -> float | None:
    """The one of `RIDGES` whose fit errs least on samples held back, the smallest if in doubt.

    Parameters
    ----------
    learned, held : moments of the samples to fit to, and of those held back
    before : W⁰ (d, outputs) and b⁰ (outputs,); rows beside ``columns`` go
    columns : of X that may be used

    Returns
    -------
    None where even the best errs more than W⁰ itself, or nothing was held back.
    """
    if not held.count:
        return None
    W0, b0 = before
    judge = LeastSquares.from_moments(held, W0, b0)
    silenced = W0.new_zeros(W0.shape).index_copy(0, columns, W0[columns])
    errors = []
    for ridge in RIDGES:
        problem = LeastSquares.from_moments(learned, W0, b0, centered=centered, ridge=ridge)
        W = problem.solve(columns)
        errors.append(judge.error(W, problem.bias(W)))
    enough = min(errors) * (1 + CLEARLY) + OF_ENERGY * judge.energy.sum().item()
    if min(errors) >= judge.error(silenced, b0):
        return None
    return next(ridge for ridge, error in zip(RIDGES, errors, strict=True) if error <= enough)
