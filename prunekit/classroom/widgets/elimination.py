"""Elimination, step by step: scores, who goes, who covers, and what it has cost so far."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prunekit.algebra.least_squares import LeastSquares, columns_of
from prunekit.algebra.moments import Moments, check_matrix
from prunekit.reap import eliminate

__all__ = ["Eliminated", "Film", "svd_bound"]

COVERS = 3  # stand-ins that are named


@dataclass(frozen=True)
class Eliminated:
    """The layer after some removals, and the next one.

    Attributes
    ----------
    scores : (n,) cost ΔE of each channel's removal, as a part of ‖Y − mean(Y)‖²; NaN: gone
    next : the cheapest, which goes now
    covers : who will speak for it above all, the loudest first
    lowest : the smallest score of all steps that is not nothing, where a picture may begin
    left : channels that are there
    lefts : (n,) n, n − 1, …, 1
    reap, rival, bound : (n,) errors with so many channels left, parts of ‖Y − mean(Y)‖²: of this
        path, of the rival's order with the same least squares, and of no set of channels at all
    """

    scores: np.ndarray
    next: int
    covers: tuple[int, ...]
    lowest: float
    left: int
    lefts: np.ndarray
    reap: np.ndarray
    rival: np.ndarray
    bound: np.ndarray

    @property
    def errors(self) -> dict[str, float]:
        """The three errors with ``left`` channels."""
        at = len(self.lefts) - self.left
        return {name: float(getattr(self, name)[at]) for name in ("reap", "rival", "bound")}

    @property
    def sentence(self) -> str:
        reap, rival, _ = self.errors.values()
        names = ", ".join(map(str, self.covers))
        what = f"Channel {self.next} goes next, covered by {names}" if names else "One is left"
        return (
            f"{self.left} of {len(self.lefts)} channels are there. {what}. Lost so far: "
            f"{reap:.1%} of the answer; {rival:.1%} in L1's order."
        )


@dataclass(frozen=True)
class Film:
    """One elimination, computed once."""

    scores: np.ndarray  # (steps, n)
    order: np.ndarray
    covers: tuple[tuple[int, ...], ...]
    reap: np.ndarray
    rival: np.ndarray
    bound: np.ndarray

    @classmethod
    def from_moments(
        cls,
        moments: Moments,
        W: Tensor,
        block_size: int = 1,
        rival: Tensor | None = None,
        ridge: float = 1e-5,
    ) -> "Film":
        """Of consumer inputs and outputs, and the weights W (d, outputs) between them.

        ``rival`` (n,) orders the channels another way, the smallest first; by default the L1 norm
        of their rows of W.
        """
        W = check_matrix(W, "W")
        path = eliminate(moments, block_size, weights=W, ridge=ridge, record=True)
        problem, n = path.problem, len(path.order)
        rival = W.abs().reshape(n, -1).sum(1) if rival is None else rival
        if tuple(rival.shape) != (n,):
            raise ValueError(f"rival must have {n} numbers, one per channel, got {rival.shape}")
        whole = problem.energy.sum().item()
        energy = problem.gram.view(n, block_size, n, block_size)
        covers = [
            _loudest(energy, step.coefficients, n - 1 - i) for i, step in enumerate(path.steps)
        ]
        return cls(
            torch.stack([step.scores for step in path.steps]).numpy() / whole,
            path.order.numpy(),
            tuple(covers),
            _errors(problem, path.order, block_size) / whole,
            _errors(problem, rival.argsort(stable=True), block_size) / whole,
            svd_bound(problem, n, block_size) / whole,
        )

    @property
    def lowest(self) -> float:
        """The smallest score above a millionth."""
        return float(np.nanmin(np.where(self.scores > 1e-6, self.scores, 1.0)))

    def at(self, step: int) -> Eliminated:
        """After ``step`` removals, 0 to n − 1."""
        n = len(self.order)
        if not 0 <= step < n:
            raise ValueError(f"step must lie in 0..{n - 1}, got {step}")
        return Eliminated(
            self.scores[step],
            int(self.order[step]),
            self.covers[step],
            self.lowest,
            n - step,
            np.arange(n, 0, -1),
            self.reap,
            self.rival,
            self.bound,
        )


def _loudest(energy: Tensor, coefficients: Tensor, count: int) -> tuple[int, ...]:
    """Channels whose part of x_c ≈ X·A is loudest; ``energy`` is G as (n, k, n, k)."""
    n, k = energy.shape[:2]
    A = coefficients.view(n, k, -1)
    own = energy.diagonal(dim1=0, dim2=2).permute(2, 0, 1)  # (n, k, k): G_ii of each
    said = (A * (own @ A)).sum((1, 2))  # tr(A_iᵀ G_ii A_i) = ‖X_i A_i‖²
    return tuple(said.argsort(descending=True)[: min(COVERS, count)].tolist())


def _errors(problem: LeastSquares, order: Tensor, k: int) -> np.ndarray:
    """‖Y − XW‖² of least squares with n, n − 1, …, 1 channels left, the first of ``order`` gone."""
    left = [order[gone:].sort().values for gone in range(len(order))]
    return np.array([problem.error(problem.solve(columns_of(ids, k))) for ids in left])


def svd_bound(problem: LeastSquares, n: int, k: int) -> np.ndarray:
    """Error of the best approximation of Y that has rank r·k, r = n … 1: no set of r can beat it.

    XW for the best W has BᵀG⁺B as its Gram matrix; its eigenvalues are squared singular values.
    """
    explained = problem.cross.T @ torch.linalg.lstsq(problem.gram, problem.cross, driver="gelsd")[0]
    values = torch.linalg.eigvalsh((explained + explained.T) / 2).flip(0).clamp(min=0)
    rest = max((problem.energy.sum() - values.sum()).item(), 0.0)
    return np.array([rest + values[left * k :].sum().item() for left in range(n, 0, -1)])
