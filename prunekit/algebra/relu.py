"""Least squares through a ReLU: only errors that come through it count.

Where z, what the ReLU should take, is below zero, every guess below zero is as good. What is left
is a convex loss,

    ‖E‖²,    E = z − ẑ where z > 0,  −max(ẑ, 0) where z ≤ 0

never less than ‖relu(z) − relu(ẑ)‖². It is least squares again with targets ẑ + E, which follow the
guess, so a few rounds are needed. Every round has the same G, so that one factorisation serves them
all:

    W ← W + ω H XᵀE

ω = 1 solves each round exactly. The curvature of ‖E‖² is G at most, and about half of it where half
of z is below zero; so longer steps come nearer, and none with ω < 2 makes ‖E‖² larger.

Source: that what counts is the error behind the activation is POEM's idea (Kamma & Wada 2025, see
`prunekit.poem`); targets that follow the guess are our choice.
"""

import torch
from torch import Tensor

from prunekit.algebra.elimination import Weights
from prunekit.algebra.least_squares import LeastSquares

__all__ = ["OMEGA", "passing_error", "step_through"]

OMEGA = 1.8  # two such rounds come farther than five with 1


def passing_error(z: Tensor, guess: Tensor) -> Tensor:
    """What a guess lacks of z, as far as it matters behind a ReLU."""
    # E = z − ẑ where z > 0,  −max(ẑ, 0) where z ≤ 0
    return torch.where(z > 0, z - guess, -guess.relu())


def step_through(
    problem: LeastSquares,
    factor: Tensor,
    columns: Tensor,
    W: Tensor,
    cross: Tensor,
    mean: Tensor,
) -> Weights:
    """One round: what is added to W (d, outputs) and b (outputs,).

    Parameters
    ----------
    problem : the layer's least squares
    factor : Cholesky factor of its G + Λ, of ``columns``; the other rows of W stay zero
    W : weights now
    cross : XᵀE (d, outputs)
    mean : of E (outputs,); zeros where b is to stay
    """
    # less its mean over samples, since b is free
    cross = cross - problem.count * torch.outer(problem.mean_x, mean)
    # H (XᵀE − Λ(W − W⁰)): half the gradient of ‖E‖² + Σ λ_j‖W_j − W⁰_j‖², downhill
    downhill = cross - problem.ridge[:, None] * (W - problem.weights)
    step = torch.zeros_like(W)
    step[columns] = OMEGA * torch.cholesky_solve(downhill[columns], factor)
    return step, OMEGA * mean - problem.mean_x @ step
