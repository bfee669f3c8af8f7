"""One consumer of a site while channels go: its least squares, factorised again where needed."""

import torch
from torch import Tensor

from prunekit.algebra.delayed import Delayed
from prunekit.algebra.least_squares import LeastSquares, columns_of

__all__ = ["Layer"]


class Layer:
    """Weights and inverse of the channels that are left, in scaled outputs."""

    def __init__(self, problem: LeastSquares, block_size: int, scale: Tensor | None) -> None:
        self.problem, self.k = problem, block_size
        self.n = len(problem.gram) // block_size
        # S^½ (outputs, m), or its diagonal (outputs,)
        self.scale = torch.ones_like(problem.mean_y) if scale is None else scale
        self.known: list[Tensor] = []  # errors up to the last factorisation
        self.fit(torch.arange(self.n, device=problem.gram.device))

    def fit(self, channels: Tensor) -> None:
        """H and W of these channels, from a fresh factorisation."""
        columns = columns_of(channels, self.k)
        factor, self.ridge = self.problem.factorise(None if len(channels) == self.n else columns)
        W0 = self._scaled(self.problem.weights[columns])
        H, T = torch.cholesky_inverse(factor), self.target()[columns]
        self.left = Delayed(H, T, W0, self.ridge[columns], channels, self.k)

    def whole(self, channels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """H (d, d) and W (d, outputs) of these channels, zero elsewhere, and T: W = HT."""
        columns, H = columns_of(channels, self.k), torch.zeros_like(self.problem.gram)
        factor, self.ridge = self.problem.factorise(columns)
        H[columns[:, None], columns] = torch.cholesky_inverse(factor)
        return H, H @ self.target(), self.target()

    def target(self) -> Tensor:  # W = H (B + ΛW⁰), times S^½
        return self._scaled(self.problem.cross + self.ridge[:, None] * self.problem.weights)

    def _scaled(self, W: Tensor) -> Tensor:
        return W @ self.scale if self.scale.ndim == 2 else W * self.scale

    def refresh(self, channels: Tensor) -> None:
        """Factorise again when dependent columns have gone, and the huge numbers they brought."""
        damped = self.ridge is not self.problem.ridge
        if damped and self.left.largest(self.problem.energies) < 1e-4 / self.problem.rounding:
            self.known.append(self.left.errors())
            self.fit(channels)

    def energy(self, score: str) -> Tensor:
        """What costs are small against: ‖Y‖², or ‖X‖²."""
        if score == "behavior":
            return self.problem.gram.trace()
        scales = self.scale.square()
        return (self.problem.energy * (scales if scales.ndim == 1 else scales.sum(1))).sum()

    def errors(self) -> Tensor:
        """The rise of ‖Y − XW‖² with each removal."""
        return torch.cat([*self.known, self.left.errors()])

    def error(self, channels: list[int]) -> float:
        W = self.problem.solve(columns_of(torch.tensor(channels, device=self.scale.device), self.k))
        return self.problem.error(W, scale=self.scale)
