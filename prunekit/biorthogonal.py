"""Dual vectors: every leave-one-out least squares of a set of vectors, from one inverse.

The columns x_j of X (samples, n) and their duals x̃_j, the columns of X̃ = X·H with H = (XᵀX)⁻¹, are
biorthogonal: ⟨x_i, x̃_j⟩ = 1 where i = j, else 0. A dual is what its vector has that no other one
has, so it knows how badly the others would reconstruct it:

    ‖x̃_j‖² = H_jj      residual of x_j given the others: x̃_j/‖x̃_j‖², of energy 1/H_jj

When vectors go, the duals of the others follow by a projection, and H by a downdate; no further
inverse is needed. Both forms are here: the vectors, as one would draw them, and H = X̃ᵀX̃, their
Gram matrix, which is all that a computer needs.

Source: that leave-one-out reconstruction is solved by a biorthogonal system is from the abstract of
Kamma & Wada 2021 (REAP). Derived: the formulas, which are those of backward biorthogonalisation
(Rebollo-Neira 2002). Our choice: how dependent vectors are handled.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from prunekit.algebra.moments import check_matrix

__all__ = [
    "LeaveOneOut",
    "downdate",
    "dual_vectors",
    "leave_one_out",
    "leave_one_out_naive",
    "prices",
    "removal_costs",
    "remove",
    "remove_duals",
]

DEPENDENT = 1e-10  # an eigenvalue this small beside the largest one means: dependent vectors


@dataclass(frozen=True)
class LeaveOneOut:
    """Each of n vectors, reconstructed from the n − 1 others.

    Attributes
    ----------
    residuals : (n,) energy ‖x_j − Σ a_i x_i‖² that is left, 0 where the others suffice
    coefficients : (n, n), column j holds the a_i of vector j, with 0 for itself
    rank : how many of the vectors are independent
    """

    residuals: Tensor
    coefficients: Tensor
    rank: int


def dual_vectors(X: Tensor) -> Tensor:
    """X̃ (samples, n), the duals of the columns of X (samples, n): ⟨x_i, x̃_j⟩ = δ_ij.

    Raises
    ------
    ValueError
        X that is no finite matrix, or whose columns are dependent: those have no duals.
    """
    X = check_matrix(X, "X")
    Q, R = torch.linalg.qr(X)  # X = QR, so X(XᵀX)⁻¹ = Q·R⁻ᵀ, without squaring the condition
    lengths = X.norm(dim=0)
    rank = int(torch.linalg.matrix_rank(X / lengths.where(lengths > 0, 1.0)))
    if rank < X.shape[1]:
        raise ValueError(
            f"X has {X.shape[1]} columns of which only {rank} are independent, so duals do not "
            "exist: remove dead and duplicate columns first (leave_one_out and eliminate take them)"
        )
    return torch.linalg.solve_triangular(R, Q.T, upper=True).T  # (samples, n)


def remove_duals(duals: Tensor, columns: Sequence[int]) -> Tensor:
    """The duals (samples, n) when the vectors ``columns`` have gone; theirs become zero.

    One vector: x̃_i ← x̃_i − x̃_j ⟨x̃_j, x̃_i⟩ / ‖x̃_j‖²; of several, the projection on all their duals.
    """
    gone = duals[:, list(columns)]  # (samples, k)
    # X̃ ← X̃ − X̃_c (X̃_cᵀ X̃_c)⁻¹ X̃_cᵀ X̃
    left = duals - gone @ torch.linalg.solve(gone.T @ gone, gone.T @ duals)
    left[:, list(columns)] = 0.0
    return left


def removal_costs(H: Tensor, W: Tensor | None, channels: Tensor, block_size: int) -> Tensor:
    """What the removal of each channel would cost, if the others then make up for it: (channels,).

    Parameters
    ----------
    H, W : (n, n) inverse of the Gram matrix and (n, outputs) least-squares weights, W = H·B
    channels : ids; channel c owns the columns c·block_size and following
    block_size : columns per channel

    Returns
    -------
    the rise of ‖Y − XW‖² for each; without W the energy of x_c that the others cannot reconstruct
    """
    k, n = block_size, len(H) // block_size
    H_cc = H.view(n, k, n, k)[channels, :, channels, :]  # (channels, k, k)
    if W is None:
        # ‖r_c‖² = tr((H_cc)⁻¹)
        return torch.linalg.inv(H_cc).diagonal(dim1=1, dim2=2).sum(1)
    return prices(H_cc, W.view(n, k, -1)[channels])


def prices(H_cc: Tensor, W_c: Tensor) -> Tensor:
    """The same from each channel's blocks, H_cc (channels, k, k) and W_c (channels, k, outputs)."""
    # ΔE_c = tr(W_cᵀ (H_cc)⁻¹ W_c)
    return (W_c * torch.linalg.solve(H_cc, W_c)).sum((1, 2))


def remove(H: Tensor, W: Tensor, columns: slice) -> Tensor:
    """Take vectors out of H (n, n) and W (n, outputs), in place; their rows become zero.

    Returns
    -------
    what W lost, (n, outputs): the vectors that stay take over with the opposite of it
    """
    c = columns
    H_c = H[:, c].clone()  # (n, k)
    # [U|A] = (H_cc)⁻¹ [W_c|H_c:]     W ← W − H_:c U     H ← H − H_:c A
    U, A = torch.linalg.solve(H[c, c], torch.cat([W[c], H[c]], 1)).split([W.shape[1], len(H)], 1)
    fall = H_c @ U  # (n, outputs)
    W -= fall
    H.addmm_(H_c, A, alpha=-1)
    H[c], H[:, c], W[c] = 0.0, 0.0, 0.0
    return fall


def downdate(H: Tensor, columns: Sequence[int]) -> Tensor:
    """H (n, n), the inverse of a Gram matrix, when the vectors ``columns`` have gone.

    Their rows and columns become zero; the rest is the inverse of what remains.
    """
    H, c = H.clone(), list(columns)
    # H ← H − H_:c (H_cc)⁻¹ H_c:
    H -= H[:, c] @ torch.linalg.solve(H[c][:, c], H[c])
    H[c], H[:, c] = 0.0, 0.0
    return H


def leave_one_out(gram: Tensor) -> LeaveOneOut:
    """Reconstruct every vector from all others: n least-squares problems, one decomposition.

    Parameters
    ----------
    gram : G = XᵀX (n, n); of centred columns if a constant may help for free

    Returns
    -------
    LeaveOneOut. Dependent vectors are fine: each that the others reproduce has residual 0.

    Raises
    ------
    ValueError
        A matrix that is not square and symmetric, or holds NaN or infinite numbers.
    """
    G = check_matrix(gram, "gram")
    if G.shape[0] != G.shape[1] or not torch.allclose(G, G.T, rtol=1e-6):
        raise ValueError(f"gram must be XᵀX, square and symmetric, got {tuple(gram.shape)}")
    lengths = G.diagonal().clamp(min=0).sqrt()  # ‖x_j‖; dead vectors stay as they are
    lengths = lengths.where(lengths > 0, 1.0)
    values, V = torch.linalg.eigh(G / torch.outer(lengths, lengths))
    zero = values <= DEPENDENT * values.max()
    # combinations of vectors that vanish: X·P = 0, so x_j P_jj = −Σ x_i P_ij
    P = V[:, zero] @ V[:, zero].T  # (n, n)
    H = (V[:, ~zero] / values[~zero]) @ V[:, ~zero].T  # (n, n), the (pseudo-)inverse of G
    free = P.diagonal() < 1e-8  # vectors in none of those combinations
    # a_i = −H_ij / H_jj
    D = torch.where(free, H, P)
    A = -D / D.diagonal()
    A.fill_diagonal_(0.0)
    # ‖r_j‖² = 1 / H_jj
    residuals = torch.where(free, lengths**2 / H.diagonal(), 0.0)
    return LeaveOneOut(residuals, A * lengths / lengths[:, None], int((~zero).sum()))


def leave_one_out_naive(X: Tensor) -> LeaveOneOut:
    """The same from the columns of X (samples, n), one fresh least squares each: O(n) times slower.

    For teaching and tests; `leave_one_out` gives the same answers from G = XᵀX.
    """
    X = check_matrix(X, "X")
    n = X.shape[1]
    residuals, A = torch.zeros(n, dtype=X.dtype), torch.zeros(n, n, dtype=X.dtype)
    for j in range(n):
        others = [i for i in range(n) if i != j]
        # gelsd: least squares by singular values, which dependent columns do not upset
        A[others, j] = torch.linalg.lstsq(X[:, others], X[:, j], driver="gelsd").solution
        residuals[j] = (X[:, j] - X @ A[:, j]).square().sum()
    return LeaveOneOut(residuals, A, int(torch.linalg.matrix_rank(X)))
