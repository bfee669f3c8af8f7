"""POEM, a bonus: the weight update that looks behind the activation.

Least squares makes the next layer's outputs right *before* the activation. Where the original
output is far below zero, though, a ReLU forgives any error that stays below zero. So each sample
gets a weight, the share of its error that comes through,

    ω = (φ(z) − φ(ẑ))² / (z − ẑ)²

and the weighted least squares is solved again, with new weights from the new outputs, a few times.

Source: that pruning should minimise the error *after* the activation, and by reweighted least
squares, is the idea of Kamma & Wada, "Pruning with output error minimization", E108-D(7), 2025.
Our choice: all else here, from the weights to when to stop.
"""

import torch
from torch import Tensor

__all__ = ["reweighted"]


def reweighted(
    X: Tensor,
    Y: Tensor,
    W: Tensor,
    b: Tensor,
    *,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    ridge: float = 1e-2,
    steps: int = 3,
) -> tuple[Tensor, Tensor]:
    """Refit Y ≈ XW + b so that relu(scale·Y + shift) comes out right.

    Parameters
    ----------
    X, Y : consumer inputs (samples, d), the outputs aimed at (samples, outputs), float64
    W, b : where to start, (d, outputs) and (outputs,); columns of X whose row of W is zero stay out
    scale, shift : of the batch norm between the layer and the ReLU (outputs,); 1 and 0 without
    ridge : λ_j relative to the diagonal of XᵀX, towards the W and b given. Larger than elsewhere:
        the few samples that count for an output are easily fitted too well
    steps : times to reweight at most; an output stops when its error does not fall any more

    Returns
    -------
    W (d, outputs), b (outputs,): never worse on these samples than those given.
    """
    scale = torch.ones_like(b) if scale is None else scale
    shift = torch.zeros_like(b) if shift is None else shift
    used = W.abs().sum(1) > 0
    A = torch.cat([X[:, used], X.new_ones(len(X), 1)], 1)  # (samples, kept + 1), ones for b
    start = torch.cat([W[used], b[None]])  # (kept + 1, outputs)
    energies = A.square().sum(0)
    energies = energies.clamp(min=1e-80 * energies.max())
    ridge = torch.diag(max(ridge, 1e-10) * energies)  # never zero: all of ω may be
    Z = scale * Y + shift
    best = start.clone()
    for output in range(W.shape[1]):
        s, t, z, y = scale[output], shift[output], Z[:, output], Y[:, output]
        v = start[:, output]
        error = (z.relu() - (s * (A @ v) + t).relu()).square().sum()
        for _ in range(steps):
            guess = s * (A @ v) + t
            # ω = (φ(z) − φ(ẑ))² / (z − ẑ)², the slope of φ where they meet
            ratio = (z.relu() - guess.relu()) / (z - guess)
            weight = torch.where((z - guess).abs() > 1e-12, ratio, (z > 0).to(z)).square()
            # min Σ ω (y − Av)² + Σ λ_j (v_j − v⁰_j)²
            right = (A * weight[:, None]).T @ (y - A @ start[:, output])
            left = (A * weight[:, None]).T @ A + ridge
            aim = start[:, output] + torch.linalg.solve(left, right)
            for share in (1.0, 0.5, 0.25, 0.125):  # a shorter step where the whole one overshoots
                tried = v + share * (aim - v)
                found = (z.relu() - (s * (A @ tried) + t).relu()).square().sum()
                if found < error:
                    break
            else:
                break
            error, v, best[:, output] = found, tried, tried
    new = W.clone()
    new[used] = best[:-1]
    return new, best[-1]
