"""REAP, Reconstruction Error Aware Pruning: which channels go, and the weights that make up for it.

A channel c owns a block of columns of X, what the next layer hears (k² columns for a k×k kernel).
With H = G⁻¹ the error that its removal adds to Y, when everything that stays is refitted, is

    ΔE_c = tr(W_cᵀ (H_cc)⁻¹ W_c)

and after each removal W and H follow by a downdate, without another inversion. The cheapest channel
goes, the next one is asked again: greedy, and nested, so one pass answers for every pruning ratio.

Source: Kamma & Wada, "REAP: A Method for Pruning Convolutional Neural Networks with Performance
Preservation", IEICE Trans. Inf. & Syst. E104-D(1), 2021. From its abstract: prune what the other
channels can reconstruct, repair by least squares, made fast by a biorthogonal system. Derived: the
formulas. Our choice: blocks of kernel columns, centred moments, the ridge towards W⁰, and that a
batch norm behind the next layer weighs the error of each of its outputs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from prunekit.least_squares import LeastSquares, Statistics, columns_of
from prunekit.moments import Moments

__all__ = ["Elimination", "eliminate", "reap"]


@dataclass(frozen=True)
class Elimination:
    """In which order channels go: one nested path, an answer for every pruning ratio.

    Attributes
    ----------
    order : int64 (channels,), the first to go first
    errors : float64 (channels,), what each removal adds to ‖Y − XW − b‖², each output times its
        scale if there is one; None when a method only orders channels
    problem : the least squares behind it; None when a method only orders channels
    block_size : columns per channel
    """

    order: Tensor
    errors: Tensor | None = None
    problem: LeastSquares | None = None
    block_size: int = 1

    def kept_at(self, keep: int) -> Tensor:
        """Ids of the last ``keep`` channels to go, ascending."""
        if not 1 <= keep <= len(self.order):
            raise ValueError(f"keep must lie in 1..{len(self.order)} channels, got {keep}")
        return self.order[len(self.order) - keep :].sort().values

    def weights_at(self, keep: int) -> tuple[Tensor, Tensor]:
        """W (d, outputs), zero in removed rows, and b (outputs,), with ``keep`` channels left."""
        if self.problem is None:
            raise ValueError("this elimination only orders channels; it has no least squares")
        W = self.problem.solve(columns_of(self.kept_at(keep), self.block_size))
        return W, self.problem.bias(W)


def _path(H: Tensor, W: Tensor, n: int, k: int) -> tuple[Tensor, Tensor]:
    """The greedy elimination itself: order (n,) and errors (n,). H and W are consumed."""
    left = torch.ones(n, dtype=torch.bool, device=H.device)
    order, errors = [], []
    for _ in range(n):
        ids = left.nonzero()[:, 0]
        H_cc = H.view(n, k, n, k)[ids, :, ids, :]  # (left, k, k)
        W_c = W.view(n, k, -1)[ids]  # (left, k, outputs)
        # ΔE_c = tr(W_cᵀ (H_cc)⁻¹ W_c)
        scores = (W_c * torch.linalg.solve(H_cc, W_c)).sum((1, 2))  # (left,)
        best = int(scores.argmin())
        c = slice(int(ids[best]) * k, int(ids[best]) * k + k)
        # [U|V] = (H_cc)⁻¹ [W_c|H_c:]   W ← W − H_:c U   H ← H − H_:c V
        solved = torch.linalg.solve(H[c, c], torch.cat([W[c], H[c]], 1))
        H_c = H[:, c].clone()  # (d, k)
        W -= H_c @ solved[:, : W.shape[1]]
        H -= H_c @ solved[:, W.shape[1] :]
        left[ids[best]] = False
        order.append(int(ids[best]))
        errors.append(scores[best].item())
    return torch.tensor(order), torch.tensor(errors, dtype=torch.float64)


def eliminate(
    moments: Moments,
    block_size: int = 1,
    *,
    weights: Tensor | None = None,
    bias: Tensor | None = None,
    centered: bool = True,
    ridge: float = 1e-5,
    output_scale: Tensor | None = None,
) -> Elimination:
    """Order the channels of a layer by how well the others make up for them.

    Parameters
    ----------
    moments : of X (samples, d) and Y (samples, outputs)
    block_size : columns of X per channel, k² for a k×k kernel
    weights, bias : W⁰ (d, outputs) and b⁰ (outputs,), the layer as it was. The ridge pulls
        towards W⁰ (towards zero without it); b⁰ is used only when not ``centered``
    centered : refit the bias too, as if X had a column of ones that never goes
    ridge : λ relative to the mean of diag(G), 0 or more
    output_scale : weighs the error of each output (outputs,) in the score, as a batch norm behind
        the layer will; the fit is the same with any scale, since outputs are fitted one by one

    Returns
    -------
    Elimination of all d / block_size channels; ``weights_at(keep)`` refits for any of them.

    Raises
    ------
    ValueError
        Empty moments, a negative ridge, weights of another shape, a block size that does not
        divide d.

    Notes
    -----
    Cost: one O(d³) inversion and O(d³) for the whole path. Source: see the top of this file.
    """
    problem = LeastSquares.from_moments(moments, weights, bias, centered=centered, ridge=ridge)
    return _eliminate(problem, block_size, output_scale)


def _eliminate(problem: LeastSquares, block_size: int, scale: Tensor | None) -> Elimination:
    d = len(problem.gram)
    if block_size < 1 or d % block_size:
        raise ValueError(f"block_size must divide the {d} columns of X, got {block_size}")
    H = problem.inverse()
    # W = W⁰ + H(B − G·W⁰)
    W = problem.weights + H @ (problem.cross - problem.gram @ problem.weights)
    if scale is not None:
        W = W * scale  # the score in units behind the batch norm
    order, errors = _path(H, W, d // block_size, block_size)
    return Elimination(order, errors, problem, block_size)


def reap(site: Statistics) -> Elimination:
    """REAP as a method of `prunekit.prune`: the elimination of one site's channels."""
    return _eliminate(site.problem, site.block_size, site.output_scale)
