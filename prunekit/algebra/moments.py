"""Second moments, streamed: all that least squares needs to know of what neurons said.

Source: the merging formula is from Chan, Golub & LeVeque, "Algorithms for computing the sample
variance", The American Statistician 37(3), 1983.
"""

import torch
from torch import Tensor

from prunekit.algebra.arguments import dense, finite, kind

__all__ = ["Moments", "check_matrix", "float64"]

CHUNK = 2048  # rows summed at once: small enough to stay in a processor's cache


class Moments:
    """Streamed first and second moments of X (samples, n) and Y (samples, outputs), in float64.

    Kept around the running mean, so that a large mean costs no digits; batches may be of any size,
    come in any order, and be merged from parts.

    Attributes
    ----------
    count : samples seen
    mean_x, mean_y : (n,), (outputs,)
    scatter_xx, scatter_xy : Σ(x−x̄)(x−x̄)ᵀ (n, n) and Σ(x−x̄)(y−ȳ)ᵀ (n, outputs)
    scatter_yy : Σ(y−ȳ)² per output (outputs,)
    rounding : how far scatters may be off, relative to the energy of a column
    """

    rounding = 1e-10

    def __init__(self) -> None:
        self.count = 0

    def __getattr__(self, name: str) -> Tensor:
        if name.startswith(("mean_", "scatter_")):  # gram and cross need them, too
            raise ValueError("moments are empty: call update(X, Y) first")
        raise AttributeError(name)

    def update(self, X: Tensor, Y: Tensor | None = None) -> "Moments":
        """Add a batch: X (samples, n) and Y (samples, outputs), any floating dtype.

        Without Y only the moments of X are kept.
        """
        dense(X, "X")
        Y = X.new_zeros(len(X), 0) if Y is None and X.ndim else Y
        dense(Y, "Y")
        if X.ndim != 2 or Y.ndim != 2 or len(X) != len(Y):
            raise ValueError(
                "X and Y must be (samples, n) and (samples, outputs) with equally many samples, "
                f"got {tuple(X.shape)} and {tuple(Y.shape)}"
            )
        if self.count and (X.shape[1], Y.shape[1]) != tuple(self.scatter_xy.shape):
            raise ValueError(
                f"X and Y must keep the {self.scatter_xy.shape[0]} and {self.scatter_xy.shape[1]} "
                f"columns of the first batch, got {X.shape[1]} and {Y.shape[1]}"
            )
        for x, y in zip(X.split(CHUNK), Y.split(CHUNK), strict=True):
            self.merge(_moments_of(x, y))
        return self

    def merge(self, other: "Moments") -> "Moments":
        """Add the moments of other samples, as if their batches had come here."""
        kind(Moments, words="prunekit.Moments")(other, "other")
        if not other.count:
            return self
        if not self.count:
            self.__dict__.update(other.__dict__)
            return self
        n, m = self.count, other.count
        dx, dy = other.mean_x - self.mean_x, other.mean_y - self.mean_y
        # Σ over both = Σ here + Σ there + nm/(n+m)·(difference of means)²
        c = n * m / (n + m)
        self.scatter_xx = self.scatter_xx + other.scatter_xx + c * torch.outer(dx, dx)
        self.scatter_xy = self.scatter_xy + other.scatter_xy + c * torch.outer(dx, dy)
        self.scatter_yy = self.scatter_yy + other.scatter_yy + c * dy * dy
        self.mean_x = self.mean_x + dx * (m / (n + m))
        self.mean_y = self.mean_y + dy * (m / (n + m))
        self.count, self.rounding = n + m, max(self.rounding, other.rounding)
        return self

    def part(self, columns: Tensor, weights: Tensor) -> "Moments":
        """The moments of some columns of X, and of what they should add to Y.

        The other columns R keep their ``weights`` W (d, outputs), so Y becomes Y − X_R·W_R.
        """
        if torch.equal(columns, torch.arange(len(weights), device=columns.device)):
            return self
        rest = torch.ones(len(weights), dtype=torch.bool, device=columns.device)
        rest[columns] = False
        W, G = weights[rest], self.scatter_xx
        part = Moments()
        part.count, part.rounding = self.count, self.rounding
        part.mean_x = self.mean_x[columns]
        part.mean_y = self.mean_y - self.mean_x[rest] @ W
        part.scatter_xx = G[columns][:, columns]
        part.scatter_xy = self.scatter_xy[columns] - G[columns][:, rest] @ W
        # Σ(y − x_R W_R)² = Σy² − 2 Σ y·x_R W_R + Σ(x_R W_R)²
        explained = W * (2 * self.scatter_xy[rest] - G[rest][:, rest] @ W)
        part.scatter_yy = (self.scatter_yy - explained.sum(0)).clamp(min=0)
        return part

    def saying(self, W: Tensor, b: Tensor) -> "Moments":
        """The moments of the same X, and of Y = XW + b."""
        part, SW = Moments(), self.scatter_xx @ W
        part.count, part.rounding = self.count, self.rounding
        part.mean_x, part.scatter_xx, part.scatter_xy = self.mean_x, self.scatter_xx, SW
        part.mean_y, part.scatter_yy = self.mean_x @ W + b, (W * SW).sum(0).clamp(min=0)
        return part

    @property
    def gram(self) -> Tensor:
        """G = XᵀX (n, n), not centred."""
        return self.scatter_xx + self.count * torch.outer(self.mean_x, self.mean_x)

    @property
    def cross(self) -> Tensor:
        """B = XᵀY (n, outputs), not centred."""
        return self.cross_less(torch.zeros_like(self.mean_y))

    def cross_less(self, b: Tensor) -> Tensor:
        """Xᵀ(Y − b) (n, outputs), not centred."""
        return self.scatter_xy + self.count * torch.outer(self.mean_x, self.mean_y - b)


def float64(values: Tensor, copy: bool = False) -> Tensor:
    """``values`` in float64, on the CPU where their own device has none (Apple's mps)."""
    device = "cpu" if values.device.type == "mps" else values.device
    return values.detach().to(device, torch.float64, copy=copy)


def check_matrix(values: Tensor, name: str) -> Tensor:
    """``values`` in float64 if they are a finite matrix, else a ValueError that names them."""
    dense(values, name)
    if values.ndim != 2 or not values.numel():
        raise ValueError(f"{name} must be a tensor (rows, columns), got {tuple(values.shape)}")
    finite(values, name)
    return float64(values)


def _moments_of(X: Tensor, Y: Tensor) -> Moments:
    """Moments of one chunk X (samples, n), Y (samples, outputs), computed at once."""
    X, Y = float64(X, copy=True), float64(Y, copy=True)
    part = Moments()
    part.count = len(X)
    part.mean_x, part.mean_y = X.mean(0), Y.mean(0)  # (n,), (outputs,)
    X -= part.mean_x
    Y -= part.mean_y
    part.scatter_xx = X.T @ X  # (n, n)
    part.scatter_xy = X.T @ Y  # (n, outputs)
    part.scatter_yy = (Y * Y).sum(0)  # (outputs,)
    if not (part.scatter_xx.isfinite().all() and part.scatter_yy.isfinite().all()):
        raise ValueError("X and Y must be finite, got NaN or infinite numbers")
    return part
