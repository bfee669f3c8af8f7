"""Least squares from second moments: the problem that one layer poses, and its solution.

Y ≈ XW + b, where X are the consumer inputs and Y the consumer outputs to be had. Neither is kept: G
and B suffice, however many samples there were.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from prunekit.algebra.arguments import finite, flag, kind, number, optional, takes
from prunekit.algebra.moments import Moments

__all__ = ["DEFAULT_RIDGE", "RIDGE", "LeastSquares", "Unexplained", "columns_of"]

DEFAULT_RIDGE = 1e-5  # pull towards the original weights, relative to the energy of a column
RIDGE = number(0, most=1e12, of="relative to the diagonal of G")
STILL = 1e-3  # how much of a column's mean counts as energy (our choice)


@dataclass(frozen=True)
class LeastSquares:
    """min ‖Y − XW − b‖² + Σ λ_j‖W_j − W⁰_j‖², known by its second moments.

    Each column of X has a ridge of its own, relative to its energy: so nothing that is found
    depends on the units that a column is measured in.

    Attributes
    ----------
    gram, cross : G (d, d) and B (d, outputs)
    energy : ‖Y‖² per output (outputs,), of the same (centred) Y
    weights : W⁰ (d, outputs), what the ridge pulls towards
    ridge : λ (d,), in units of G
    energies : (d,) what a column of X has for energy, above 0: its spread, and a little of its mean
    mean_x, mean_y : b = mean_y − mean_x·W
    count : samples behind the moments; per output where several layers are joined
    rounding : what counts as zero beside the energy of a column of X
    """

    gram: Tensor
    cross: Tensor
    energy: Tensor
    weights: Tensor
    ridge: Tensor
    energies: Tensor
    mean_x: Tensor
    mean_y: Tensor
    count: int | Tensor
    rounding: float = Moments.rounding

    @classmethod
    @takes(
        moments=kind(Moments, words="prunekit.Moments"),
        weights=optional(finite),
        bias=optional(finite),
        centered=flag,
        ridge=RIDGE,
    )
    def from_moments(
        cls,
        moments: Moments,
        weights: Tensor | None = None,
        bias: Tensor | None = None,
        *,
        centered: bool = True,
        ridge: float = 1e-5,
    ) -> "LeastSquares":
        """The problem of ``moments``; ``ridge`` is relative to the energy of each column."""
        if not torch.as_tensor(moments.count).any():
            raise ValueError("moments are empty: call update(X, Y) first")
        d, outputs = moments.scatter_xy.shape
        W0 = torch.zeros_like(moments.scatter_xy) if weights is None else weights.double()
        b0 = torch.zeros_like(moments.mean_y) if bias is None else bias.double()
        if tuple(W0.shape) != (d, outputs):
            raise ValueError(
                f"weights must be (d, outputs) = ({d}, {outputs}), got {tuple(W0.shape)}"
            )
        if tuple(b0.shape) != (outputs,):
            raise ValueError(f"bias must have {outputs} numbers, got {tuple(b0.shape)}")
        if centered:
            G, B, yy = moments.scatter_xx, moments.scatter_xy, moments.scatter_yy
            mean_x, mean_y = moments.mean_x, moments.mean_y
        else:  # the bias stays b⁰: fit Y − b⁰ by XW
            G, mean_x, mean_y = moments.gram, torch.zeros_like(moments.mean_x), b0
            dy = moments.mean_y - b0  # mean of Y − b⁰
            B = moments.cross_less(b0)
            yy = moments.scatter_yy + moments.count * dy * dy
        # λ_j = ridge · (G_jj + a little of the mean: what is all but constant has no say)
        energies = G.diagonal() + STILL * moments.count * mean_x.square()
        energies = energies.clamp(min=max(1e-80 * energies.max().item(), 1e-200))
        return cls(
            G,
            B,
            yy,
            W0,
            ridge * energies,
            energies,
            mean_x,
            mean_y,
            moments.count,
            moments.rounding,
        )

    @cached_property
    def rank(self) -> int:
        """Effective rank of G: how many columns of X are independent, as far as it can be known."""
        energy = self.gram.diagonal()
        # a column that says the same always has no spread but rounding
        live = energy > 1e-24 * (energy + self.count * self.mean_x.square())
        if not live.any():
            return 0
        lengths = energy[live].sqrt()
        G = self.gram[live][:, live] / torch.outer(lengths, lengths)
        factor, failed = torch.linalg.cholesky_ex(G)
        if not failed and factor.diagonal().min() > 10 * self.rounding**0.5:
            return len(G)  # far from dependent: no need for the eigenvalues
        values = torch.linalg.eigvalsh(G)
        return int((values > self.rounding * values.max()).sum())

    def factorise(self, columns: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The Cholesky factor of G + Λ, of the given columns (all by default), and λ of all (d,).

        Where that has none in float64 (dead or duplicate columns, fewer samples than columns), λ is
        raised by `rounding` of each column's energy, which shares the weight of twins.
        """
        columns = (
            torch.arange(len(self.gram), device=self.gram.device) if columns is None else columns
        )
        G, energies = self.gram[columns[:, None], columns], self.energies[columns]
        factor, failed = torch.linalg.cholesky_ex(_raised(G, self.ridge[columns]))
        if not failed and (factor.diagonal().square() >= 0.1 * self.rounding * energies).all():
            return factor, self.ridge
        for more in (1, 1e2, 1e4):
            damped = self.ridge + more * self.rounding * self.energies
            factor, failed = torch.linalg.cholesky_ex(_raised(G, damped[columns]))
            if not failed:
                break
        return factor, damped

    def inverse(self, columns: Tensor | None = None) -> Tensor:
        """H = (G + Λ)⁻¹ of the given columns (all of them by default), see `factorise`."""
        return torch.cholesky_inverse(self.factorise(columns)[0])

    def solve(self, columns: Tensor) -> Tensor:
        """W (d, outputs) of least error that uses only ``columns``; the other rows are zero."""
        # minimise ‖Y − X_S W‖² + Σ λ_j‖W_j − W⁰_j‖²   ⇒   W = W⁰_S + H_S (B_S − G_SS W⁰_S)
        H, W0 = self.inverse(columns), self.weights[columns]
        W = torch.zeros_like(self.weights)
        W[columns] = W0 + H @ (self.cross[columns] - self.gram[columns][:, columns] @ W0)
        return W

    def error(self, W: Tensor, b: Tensor | None = None, scale: Tensor | None = None) -> float:
        """‖Y − XW − b‖², summed over samples and outputs; with the best b unless one is given.

        ``scale`` (outputs,) multiplies each output first, or (outputs, m) mixes them: what no W
        changes is then counted as if outputs were uncorrelated.
        """
        # ‖Y‖² − 2 tr(WᵀB) + tr(WᵀGW)
        if scale is not None and scale.ndim == 2:
            W, B = W @ scale, self.cross @ scale
            energy = (self.energy * scale.square().sum(1)).sum()
            return (energy - 2 * (W * B).sum() + (W * (self.gram @ W)).sum()).item()
        errors = self.energy - 2 * (W * self.cross).sum(0) + (W * (self.gram @ W)).sum(0)
        if b is not None:
            errors = errors + self.count * (self.bias(W) - b).square()
        if scale is not None:
            errors = errors * scale.square()
        return max(errors.sum().item(), 0.0)

    def bias(self, W: Tensor) -> Tensor:
        """b = mean(Y) − mean(X)·W (outputs,)."""
        return self.mean_y - self.mean_x @ W


class Unexplained:
    """G (d, d) and R (d, outputs) of one consumer, less what the kept channels explain."""

    def __init__(self, problem: LeastSquares, n: int, k: int) -> None:
        factor, ridge = problem.factorise()
        self.n, self.k = n, k
        self.G = factor @ factor.T  # G + Λ
        self.R = problem.cross + ridge[:, None] * problem.weights

    def gain(self, channels: list[int]) -> Tensor:
        """How far the error falls when each of ``channels`` comes in: (channels,)."""
        n, k = self.n, self.k
        ids = torch.tensor(channels, device=self.G.device)
        G_cc, R_c = self.G.view(n, k, n, k)[ids, :, ids, :], self.R.reshape(n, k, -1)[ids]
        # tr(R_cᵀ (G_cc)⁻¹ R_c)
        return (R_c * torch.linalg.solve(G_cc, R_c)).sum((1, 2))

    def keep(self, channel: int) -> None:
        """Let a channel in: all that it explains is taken out of G and R."""
        c, outputs = slice(channel * self.k, channel * self.k + self.k), self.R.shape[1]
        solved = torch.linalg.solve(self.G[c, c], torch.cat([self.R[c], self.G[c]], 1))
        G_c = self.G[:, c].clone()
        self.R -= G_c @ solved[:, :outputs]
        self.G -= G_c @ solved[:, outputs:]


def _raised(G: Tensor, ridge: Tensor) -> Tensor:
    """G + Λ."""
    raised = G.clone()
    raised.diagonal().add_(ridge)
    return raised


def columns_of(channels: Tensor, block_size: int) -> Tensor:
    """The columns of X that belong to ``channels``: block_size of them each, in order."""
    offsets = torch.arange(block_size, device=channels.device)
    return (channels[:, None] * block_size + offsets).flatten()
