"""Neurons that agree: two neurons side by side, and what a threshold would unify."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prunekit.algebra.moments import float64
from prunekit.coding import similarity
from prunekit.unification import Merge, unify

__all__ = ["Neurons", "Pair"]

SHOWN = 300  # dots in the picture


@dataclass(frozen=True)
class Pair:
    """Two neurons, i that would speak for j, and how far a threshold goes.

    Attributes
    ----------
    i, j : the neurons
    said : (samples, 2) what i and j said to some of the inputs
    angle, correlation : of their behaviours, in degrees and from −1 to 1
    scale, shift : best a and c of x_j ≈ a·x_i + c
    error : part of the next layer's answers that is lost when i speaks for j
    merge_errors : (n − 1,) the same of the greedy merges, one after the other
    threshold : the largest of them that is allowed
    unified : how many come before the first that is larger
    """

    i: int
    j: int
    said: np.ndarray
    angle: float
    correlation: float
    scale: float
    shift: float
    error: float
    merge_errors: np.ndarray
    threshold: float
    unified: int

    @property
    def sentence(self) -> str:
        return (
            f"If neuron {self.i} speaks for {self.j} ({self.angle:.0f}° apart, times "
            f"{self.scale:.2f}), {self.error:.2%} of the next layer's answers is lost; with "
            f"{100 * self.threshold:g}% allowed at each union, {self.unified} of "
            f"{len(self.merge_errors) + 1} neurons would go."
        )


@dataclass(frozen=True)
class Neurons:
    """All pairs of a layer's neurons, computed once."""

    said: np.ndarray  # (some samples, n)
    angles: np.ndarray  # (n, n)
    correlations: np.ndarray
    scales: np.ndarray  # a_ij, if i speaks for j
    shifts: np.ndarray
    errors: np.ndarray
    merges: tuple[Merge, ...]
    merge_errors: np.ndarray

    @classmethod
    def from_behaviors(cls, X: Tensor, W: Tensor) -> "Neurons":
        """Of behaviours X (samples, n) and outgoing weights W (n, outputs)."""
        merges = unify(X, W, remove=X.shape[1] - 1).history  # it checks X and W
        X, W = float64(X), float64(W)
        mean = X.mean(0)
        S = (X - mean).T @ (X - mean)  # (n, n)
        variance = S.diagonal()
        # a_ij = cov_ij / var_i and c = μ_j − a·μ_i; a neuron that never changes is no help
        a = torch.where(variance[:, None] > 1e-12 * variance.max(), S / variance[:, None], 0.0)
        c = mean - a * mean[:, None]
        whole = (W * (S @ W)).sum()  # ‖Y − mean(Y)‖²
        # E_ij = ‖W_j‖²·‖x_j − a·x_i − c‖²
        lost = (variance - a * S).clamp(min=0) * W.square().sum(1) / whole
        step = max(1, len(X) // SHOWN)
        return cls(
            X[::step][:SHOWN].numpy(),
            similarity(X, "angle").numpy(),
            similarity(X, "correlation").numpy(),
            a.numpy(),
            c.numpy(),
            lost.numpy(),
            merges,
            np.array([merge.error for merge in merges]) / whole.item(),
        )

    def at(self, i: int, j: int, threshold: float) -> Pair:
        """The pair (i, j), and the merges that lose at most ``threshold`` of the answers each."""
        n = len(self.errors)
        if not (0 <= i < n and 0 <= j < n):
            raise ValueError(f"i and j must be neurons, 0 to {n - 1}, got {i} and {j}")
        fine = self.merge_errors <= threshold
        return Pair(
            i,
            j,
            self.said[:, [i, j]],
            *(
                float(values[i, j])
                for values in (
                    self.angles,
                    self.correlations,
                    self.scales,
                    self.shifts,
                    self.errors,
                )
            ),
            self.merge_errors,
            threshold,
            n - 1 if fine.all() else int(fine.argmin()),
        )

    @property
    def most_alike(self) -> tuple[int, int]:
        """The pair of the highest correlation."""
        others = np.where(np.eye(len(self.correlations), dtype=bool), -2.0, self.correlations)
        i, j = np.unravel_index(others.argmax(), others.shape)
        return int(i), int(j)

    @property
    def least_alike(self) -> tuple[int, int]:
        """The pair of the lowest."""
        i, j = np.unravel_index(self.correlations.argmin(), self.correlations.shape)
        return int(i), int(j)
