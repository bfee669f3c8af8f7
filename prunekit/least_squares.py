"""Least squares from second moments: the problem that one site poses, and its solution.

Y ≈ XW + b, where X is what the next layer hears and Y what it should answer. Neither is kept: G and
B suffice, however many samples there were.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from prunekit.moments import Moments

__all__ = ["LeastSquares", "Statistics"]


@dataclass(frozen=True)
class LeastSquares:
    """min ‖Y − XW − b‖² + λ‖W − W⁰‖², known by its second moments.

    Attributes
    ----------
    gram, cross : G (d, d) and B (d, outputs)
    energy : ‖Y‖², of the same (centred) Y
    weights : W⁰ (d, outputs), what the ridge pulls towards
    ridge : λ, in units of G
    mean_x, mean_y : b = mean_y − mean_x·W
    count : samples behind the moments
    """

    gram: Tensor
    cross: Tensor
    energy: float
    weights: Tensor
    ridge: float
    mean_x: Tensor
    mean_y: Tensor
    count: int

    @classmethod
    def from_moments(
        cls,
        moments: Moments,
        weights: Tensor | None = None,
        bias: Tensor | None = None,
        *,
        centered: bool = True,
        ridge: float = 1e-5,
    ) -> "LeastSquares":
        """The problem of ``moments``; ``ridge`` is relative to the mean of diag(G)."""
        if not 0 <= ridge < float("inf"):
            raise ValueError(f"ridge must be 0 or more (relative to mean diag(G)), got {ridge}")
        if not moments.count:
            raise ValueError("moments are empty: call update(X, Y) first")
        d, outputs = moments.scatter_xy.shape
        W0 = torch.zeros_like(moments.scatter_xy) if weights is None else weights.double()
        b0 = torch.zeros_like(moments.mean_y) if bias is None else bias.double()
        if tuple(W0.shape) != (d, outputs):
            raise ValueError(
                f"weights must be (d, outputs) = ({d}, {outputs}), got {tuple(W0.shape)}"
            )
        if centered:
            G, B, yy = moments.scatter_xx, moments.scatter_xy, moments.scatter_yy
            mean_x, mean_y = moments.mean_x, moments.mean_y
        else:  # the bias stays b⁰: fit Y − b⁰ by XW
            G, mean_x, mean_y = moments.gram, torch.zeros_like(moments.mean_x), b0
            dy = moments.mean_y - b0  # mean of Y − b⁰
            B = moments.scatter_xy + moments.count * torch.outer(moments.mean_x, dy)
            yy = moments.scatter_yy + moments.count * dy * dy
        ridge = ridge * G.diagonal().mean().item()
        return cls(G, B, yy.sum().item(), W0, ridge, mean_x, mean_y, moments.count)

    def inverse(self, columns: Tensor | None = None) -> Tensor:
        """H = (G + λI)⁻¹ of the given columns (all of them by default).

        Where that has no inverse in float64 (dead or duplicate columns, fewer samples than columns)
        λ is raised by 1e-10 of the mean of diag(G), which shares the weight of twins.
        """
        G = self.gram if columns is None else self.gram[columns][:, columns]
        eye = torch.eye(len(G), dtype=G.dtype, device=G.device)
        factor, failed = torch.linalg.cholesky_ex(G + self.ridge * eye)
        if failed or factor.diagonal().min() ** 2 < 1e-11 * G.diagonal().max():
            floor = 1e-10 * G.diagonal().mean().clamp(min=1e-100)
            factor = torch.linalg.cholesky(G + (self.ridge + floor) * eye)
        return torch.cholesky_inverse(factor)

    def solve(self, columns: Tensor) -> Tensor:
        """W (d, outputs) of least error that uses only ``columns``; the other rows are zero."""
        # minimise ‖Y − X_S W‖² + λ‖W − W⁰_S‖²   ⇒   W = W⁰_S + H_S (B_S − G_SS W⁰_S)
        H, W0 = self.inverse(columns), self.weights[columns]
        W = torch.zeros_like(self.weights)
        W[columns] = W0 + H @ (self.cross[columns] - self.gram[columns][:, columns] @ W0)
        return W

    def error(self, W: Tensor, b: Tensor | None = None) -> float:
        """‖Y − XW − b‖², summed over samples and outputs; with the best b unless one is given."""
        # ‖Y‖² − 2 tr(WᵀB) + tr(WᵀGW)
        value = self.energy - 2 * (W * self.cross).sum() + (W * (self.gram @ W)).sum()
        if b is not None:
            value = value + self.count * (self.bias(W) - b).square().sum()
        return max(value.item(), 0.0)

    def bias(self, W: Tensor) -> Tensor:
        """b = mean(Y) − mean(X)·W (outputs,)."""
        return self.mean_y - self.mean_x @ W


@dataclass(frozen=True)
class Statistics:
    """All that a pruning method gets to know of one site.

    Attributes
    ----------
    collect : gives the moments; called once, when a method or a repair first asks for ``moments``
    moments : of X, what the consumer hears (d = channels·block_size columns, channel by channel),
        and Y, what it should answer
    weights, bias : the consumer's own W⁰ (d, outputs) and b⁰ (outputs,), float64
    filters : the producer's weights, a row per channel (channels, inputs·kernel), float64
    block_size : columns per channel: k² for a k×k kernel, 1 for a linear layer
    centered, ridge : as `LeastSquares.from_moments` takes them
    output_scale : what the batch norm behind the consumer multiplies its outputs with, γ/σ
        (outputs,), or None. A score may weigh errors with it; the fit does not need to
    """

    collect: Callable[[], Moments]
    weights: Tensor
    bias: Tensor
    filters: Tensor
    block_size: int = 1
    centered: bool = True
    ridge: float = 1e-5
    output_scale: Tensor | None = None

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
        return columns_of(channels, self.block_size)


def columns_of(channels: Tensor, block_size: int) -> Tensor:
    """The columns of X that belong to ``channels``: block_size of them each, in order."""
    offsets = torch.arange(block_size, device=channels.device)
    return (channels[:, None] * block_size + offsets).flatten()
