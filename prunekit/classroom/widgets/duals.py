"""Duals in the plane: two or three vectors to turn and to stretch."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Plane", "plane"]

PARALLEL = 1e-9  # sin² of the angle below which two vectors count as one direction


@dataclass(frozen=True)
class Plane:
    """Vectors of the plane, their duals, and what each has that the others have not.

    Attributes
    ----------
    X : (2, n) the vectors, as columns
    duals : (2, n), or None where the vectors are dependent: then there are none
    guesses : (2, n) what the others say for each, by least squares
    """

    X: np.ndarray
    duals: np.ndarray | None
    guesses: np.ndarray

    @property
    def energies(self) -> np.ndarray:
        """‖x_j‖² (n,)."""
        return (self.X**2).sum(0)

    @property
    def residuals(self) -> np.ndarray:
        """‖r_j‖² (n,): the leave-one-out errors."""
        return ((self.X - self.guesses) ** 2).sum(0)

    @property
    def sentence(self) -> str:
        left = self.residuals / self.energies
        if len(left) == 3:
            free = [f"x{'₀₁₂'[j]}" for j in range(3) if left[j] < 1e-9]
            return (
                f"Three vectors in a plane have no duals. The others can say all of "
                f"{', '.join(free)}; but only one may go for free."
            )
        if self.duals is None:
            return "The vectors are parallel: no duals, and each says all of the other."
        long = np.linalg.norm(self.duals, axis=0)
        return (
            f"The duals are {long[0]:.2f} and {long[1]:.2f} long; leave one out, and "
            f"{left[0]:.0%} of its energy is lost."
        )


def plane(
    angle: float, length_0: float = 2.0, length_1: float = 2.0, angle_2: float = 90, length_2=0.0
) -> Plane:
    """x_0 along the horizontal, x_1 at ``angle`` degrees to it, and x_2 if its length is not 0."""
    lengths = np.array([length_0, length_1, length_2])
    turned = np.radians([0, angle, angle_2])
    X = lengths * np.stack([np.cos(turned), np.sin(turned)])  # (2, 3)
    X = X[:, : 3 if length_2 > 0 else 2]
    if (lengths[:2] <= 0).any():
        raise ValueError(f"x_0 and x_1 must be longer than 0, got {length_0} and {length_1}")
    n = X.shape[1]
    guesses = np.stack([_guess(X[:, j], np.delete(X, j, 1)) for j in range(n)], 1)
    independent = n == 2 and np.sin(turned[1]) ** 2 > PARALLEL
    # X̃ = X(XᵀX)⁻¹, which is X⁻ᵀ here
    return Plane(X, np.linalg.inv(X).T if independent else None, guesses)


def _guess(x: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The best that ``others`` (2, n − 1) can say for x (2,): its projection on their span."""
    U, sizes, _ = np.linalg.svd(others, full_matrices=False)
    U = U[:, sizes > PARALLEL * sizes[0]]
    return U @ (U.T @ x)
