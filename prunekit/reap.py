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
batch norm behind the next layer weighs the error of each of its outputs. Swaps are those of Andrle
& Rebollo-Neira, "A swapping-based refinement of orthogonal matching pursuit strategies", 2006.
"""

from functools import lru_cache

import torch
from torch import Tensor

from prunekit.algebra.choice import first_smallest
from prunekit.algebra.elimination import Elimination, Step
from prunekit.algebra.least_squares import LeastSquares, columns_of
from prunekit.algebra.moments import Moments
from prunekit.algebra.statistics import Statistics

__all__ = ["SCORES", "eliminate", "reap"]

SCORES = ("output", "behavior")


def eliminate(
    moments: Moments,
    block_size: int = 1,
    *,
    weights: Tensor | None = None,
    bias: Tensor | None = None,
    centered: bool = True,
    ridge: float = 1e-5,
    output_scale: Tensor | None = None,
    score: str = "output",
    swaps: int = 0,
    record: bool = False,
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
    score : "output" asks what a removal does to Y, "behavior" only how badly the others
        reconstruct the channel, tr((H_cc)⁻¹), whoever listens
    swaps : at most so many times, let one removed channel back in and another go, where that lowers
        the error; sets for different ratios are then no longer nested
    record : keep the scores of every step and who covered for whom, in ``steps``

    Returns
    -------
    Elimination of all d / block_size channels; ``weights_at(keep)`` refits for any of them.
    ``errors`` are rises of ‖Y − XW − b‖², each output times its scale if there is one.

    Raises
    ------
    ValueError
        Empty moments, a negative ridge, weights or a scale of another shape, a block size that does
        not divide d, an unknown score.

    Notes
    -----
    Cost: one O(d³) inversion and O(d³) for the whole path; a swap is about as much again.
    Source: see the top of this file.
    """
    problem = LeastSquares.from_moments(moments, weights, bias, centered=centered, ridge=ridge)
    return _eliminate(problem, block_size, output_scale, score, swaps, record)


def reap(
    site: Statistics, *, score: str = "output", swaps: int = 0, record: bool = False
) -> Elimination:
    """REAP as a method of `prunekit.prune`: the elimination of one site's channels.

    For other options than the defaults: ``method=functools.partial(reap, swaps=20)``.
    """
    return _eliminate(site.problem, site.block_size, site.output_scale, score, swaps, record)


def _eliminate(
    problem: LeastSquares, k: int, scale: Tensor | None, score: str, swaps: int, record: bool
) -> Elimination:
    d, outputs = problem.cross.shape
    if k < 1 or d % k:
        raise ValueError(f"block_size must divide the {d} columns of X, got {k}")
    if scale is not None and tuple(scale.shape) != (outputs,):
        raise ValueError(
            f"output_scale must have {outputs} numbers, one per output, got {tuple(scale.shape)}"
        )
    if score not in SCORES:
        raise ValueError(f"score must be one of {', '.join(map(repr, SCORES))}, got {score!r}")
    if swaps < 0:
        raise ValueError(f"swaps must be 0 or more, got {swaps}")
    scale = torch.ones_like(problem.mean_y) if scale is None else scale
    order, errors, steps = _path(problem, d // k, k, scale, score, record)
    refined = lru_cache(None)(lambda ids: _swapped(problem, ids, d // k, k, scale, swaps))
    return Elimination(
        order,
        errors,
        problem,
        k,
        refine=(lambda kept: refined(tuple(kept.tolist()))) if swaps else None,
        steps=tuple(steps),
    )


def _fit(problem: LeastSquares, columns: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, float]:
    """H (d, d) and W (d, outputs) of ``columns``, zero elsewhere, W in scaled outputs, and λ."""
    factor, ridge = problem.factorise(columns)
    H = torch.zeros_like(problem.gram)
    H[columns[:, None], columns] = torch.cholesky_inverse(factor)
    # W = H (B + λW⁰)
    return H, H @ (problem.cross + ridge * problem.weights) * scale, ridge


def _scores(H: Tensor, W: Tensor, ids: Tensor, k: int, score: str = "output") -> Tensor:
    """What the removal of each of the channels ``ids`` would cost now: (ids,)."""
    n = len(H) // k
    H_cc = H.view(n, k, n, k)[ids, :, ids, :]  # (ids, k, k)
    if score == "behavior":
        # energy of x_c that the others cannot reconstruct: tr((H_cc)⁻¹)
        return torch.linalg.inv(H_cc).diagonal(dim1=1, dim2=2).sum(1)
    W_c = W.view(n, k, -1)[ids]  # (ids, k, outputs)
    # ΔE_c = tr(W_cᵀ (H_cc)⁻¹ W_c)
    return (W_c * torch.linalg.solve(H_cc, W_c)).sum((1, 2))


def _path(
    problem: LeastSquares, n: int, k: int, scale: Tensor, score: str, record: bool
) -> tuple[Tensor, Tensor, list[Step]]:
    """The greedy elimination itself: order (n,), errors (n,), and what was recorded."""
    left = torch.ones(n, dtype=torch.bool, device=problem.gram.device)
    H, W, ridge = _fit(problem, torch.arange(n * k, device=left.device), scale)
    W0, energy = problem.weights * scale, problem.gram.diagonal().mean()
    whole = (problem.energy * scale.square()).sum()  # ‖Y‖²
    whole = whole if score == "output" else problem.gram.trace()
    order, errors, steps = [], [], []
    for _ in range(n):
        if ridge > problem.ridge and H.diagonal().max() * energy < 1e6:
            # the dependent columns are gone, and with them the huge numbers that cost digits
            columns = columns_of(left.nonzero()[:, 0], k)
            H, W, ridge = _fit(problem, columns, scale)
        ids = left.nonzero()[:, 0]
        scores = _scores(H, W, ids, k, score)  # (left,)
        gone = int(ids[first_smallest(scores, whole)])
        c = slice(gone * k, gone * k + k)
        # [U|A] = (H_cc)⁻¹ [W_c|H_c:]     W ← W − H_:c U     H ← H − H_:c A
        solved = torch.linalg.solve(H[c, c], torch.cat([W[c], H[c]], 1))
        U, A = solved[:, : W.shape[1]], solved[:, W.shape[1] :]
        H_c = H[:, c].clone()  # (d, k)
        fall = H_c @ U  # (d, outputs)
        # rise of ‖Y − XW‖²: ΔE_c less what the ridge charges for it, λ‖W − W⁰‖²
        rise = (W[c] * U).sum() + ridge * (fall * (2 * (W - W0) - fall)).sum()
        if record:
            costs = torch.full((n,), torch.nan, dtype=H.dtype).index_copy(
                0, ids.cpu(), scores.cpu()
            )
            # x_c ≈ −X·H_:c (H_cc)⁻¹, itself left out
            cover = -A.T.clone().index_fill(0, torch.arange(c.start, c.stop, device=H.device), 0)
            steps.append(Step(gone, costs, cover))
        W -= fall
        H -= H_c @ A
        H[c], H[:, c], W[c] = 0.0, 0.0, 0.0
        left[gone] = False
        order.append(gone)
        errors.append(rise.item())
    return torch.tensor(order), torch.tensor(errors, dtype=torch.float64), steps


def _swapped(
    problem: LeastSquares, kept: tuple[int, ...], n: int, k: int, scale: Tensor, swaps: int
) -> Tensor:
    """``kept`` after the best swaps: one removed channel comes back, another one goes."""
    device = problem.gram.device

    def error(channels: list[int]) -> float:
        W = problem.solve(columns_of(torch.tensor(channels, device=device), k))
        return problem.error(W, scale=scale)

    inside = list(kept)
    for _ in range(swaps):
        columns = columns_of(torch.tensor(inside, device=device), k)
        H, _, ridge = _fit(problem, columns, scale)
        G = problem.gram + ridge * torch.eye(n * k, device=device, dtype=H.dtype)
        C = (problem.cross + ridge * problem.weights) * scale
        best = (0.0, -1, -1)
        for back in sorted(set(range(n)) - set(inside)):
            r = torch.arange(back * k, back * k + k, device=device)
            # the inverse grows by a block, the reverse of a downdate:
            # V = I_:r − H G_:r     H ← H + V (G_r: V)⁻¹ Vᵀ
            V = -H @ G[:, r]  # (d, k)
            V[r] = torch.eye(k, dtype=H.dtype, device=device)
            grown = H + V @ torch.linalg.solve(G[r] @ V, V.T)
            ids = torch.tensor([*inside, back], device=device)
            scores = _scores(grown, grown @ C, ids, k)
            # the error falls by what ``back`` brings and rises by what ``out`` costs
            out = first_smallest(scores, (problem.energy * scale.square()).sum())
            change = (scores[out] - scores[-1]).item()
            if change < best[0] * (1 + 1e-6):  # by clearly more than the one before
                best = (change, back, int(ids[out]))
        swapped = sorted({*inside, best[1]} - {best[2]})
        if best[1] < 0 or not error(swapped) < error(inside) * (1 - 1e-6):
            break
        inside = swapped
    return torch.tensor(inside)
