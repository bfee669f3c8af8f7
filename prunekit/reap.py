"""REAP, Reconstruction Error Aware Pruning: which channels go, and the weights that make up for it.

A channel c owns a block of columns of X, the consumer inputs (k² columns for a k×k kernel).
With H = G⁻¹ the error that its removal adds to Y, when everything that stays is refitted, is

    ΔE_c = tr(W_cᵀ (H_cc)⁻¹ W_c)

and after each removal W and H follow by a downdate (`prunekit.biorthogonal`; many at a time in
`prunekit.algebra.delayed`), without another inversion. The cheapest channel goes, the next one is
asked again: greedy, and nested, so one pass answers for every pruning ratio.

Source: Kamma & Wada, "REAP: A Method for Pruning Convolutional Neural Networks with Performance
Preservation", IEICE Trans. Inf. & Syst. E104-D(1), 2021. From its abstract: prune what the other
channels can reconstruct, repair by least squares, made fast by a biorthogonal system. Derived: the
formulas. Our choice: blocks of kernel columns, centred moments, the ridge towards W⁰, that errors
are weighed by how the network's outputs feel them, and that those of several consumers add up.
Exchanges are those of Andrle & Rebollo-Neira, "A swapping-based refinement of orthogonal matching
pursuit strategies", 2006.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from prunekit.algebra.arguments import finite, flag, one_of, optional, takes, whole
from prunekit.algebra.choice import first_smallest
from prunekit.algebra.elimination import Elimination, Step
from prunekit.algebra.layer import Layer
from prunekit.algebra.least_squares import LeastSquares, columns_of
from prunekit.algebra.moments import Moments
from prunekit.algebra.statistics import Statistics
from prunekit.biorthogonal import prices

__all__ = ["eliminate", "reap"]


SCORE, EXCHANGES = one_of("output", "behavior"), whole(0)


@takes(
    block_size=whole(1),
    output_scale=optional(finite),
    score=SCORE,
    exchanges=EXCHANGES,
    record=flag,
)
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
    exchanges: int = 0,
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
    ridge : λ_j relative to the energy of column j, 0 or more: rescaled columns change nothing
    output_scale : weighs the error of each output (outputs,) in the score, or the errors of all
        together by S^½ (outputs, m); the fit is the same with any, as outputs are fitted one by one
    score : "output" asks what a removal does to Y, "behavior" only how badly the others
        reconstruct the channel, tr((H_cc)⁻¹), whatever the weights
    exchanges : at most so many times, let one removed channel back in and another go, where that
        lowers the error; sets for different ratios are then no longer nested
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
    Source: top of this file. Cost: an O(d³) inversion, O(d³) for the path, as much an exchange.
    """
    problem = LeastSquares.from_moments(moments, weights, bias, centered=centered, ridge=ridge)
    d, outputs = problem.cross.shape
    if d % block_size:
        raise ValueError(f"block_size must divide the {d} columns of X, got {block_size}")
    if output_scale is not None and tuple(output_scale.shape[:1]) != (outputs,):
        raise ValueError(
            f"output_scale must have {outputs} numbers, one per output, "
            f"got {tuple(output_scale.shape)}"
        )
    return _eliminate([Layer(problem, block_size, output_scale)], score, exchanges, record)


@takes(score=SCORE, exchanges=EXCHANGES, record=flag)
def reap(
    site: Statistics, *, score: str = "output", exchanges: int = 0, record: bool = False
) -> Elimination:
    """REAP as a method of `prunekit.prune`: the elimination of one site's channels.

    For other options than the defaults: ``method=functools.partial(reap, exchanges=20)``.
    """
    layers = [Layer(c.problem, c.block_size, c.output_scale) for c in site.consumers]
    return _eliminate(layers, score, exchanges, record)


Watch = Callable[[int, Tensor, Tensor], None]  # who goes, who was asked, what each would cost


def _greedy(
    layers: Sequence[Layer], score: str, watch: Watch | None = None
) -> tuple[list[int], Tensor]:
    """The elimination itself: the order in which channels go, and what each adds to the error."""
    left = torch.ones(layers[0].n, dtype=torch.bool, device=layers[0].scale.device)
    order, whole = [], sum(layer.energy(score) for layer in layers)
    for _ in range(len(left)):
        ids = left.nonzero()[:, 0]
        for layer in layers:
            layer.refresh(ids)
        # Σ over consumers of ΔE_c = tr(W_cᵀ (H_cc)⁻¹ W_c)
        costs = sum(layer.left.costs(ids, score) for layer in layers)  # (left,)
        gone = int(ids[first_smallest(costs, whole)])
        if watch is not None:
            watch(gone, ids, costs)
        for layer in layers:
            layer.left.remove(gone)
        order.append(gone)
        left[gone] = False
    return order, sum(layer.errors() for layer in layers)


def _eliminate(layers: Sequence[Layer], score: str, exchanges: int, record: bool) -> Elimination:
    """The greedy path, recorded and refined as asked."""
    steps: list[Step] = []
    first = layers[0]
    watch = (lambda *seen: steps.append(_step(first, *seen))) if record else None
    order, errors = _greedy(layers, score, watch)
    refined = lru_cache(None)(lambda kept: _exchanged(layers, kept, exchanges))
    return Elimination(
        torch.tensor(order),
        errors.cpu(),
        first.problem,
        first.k,
        refine=(lambda kept: refined(tuple(kept.tolist()))) if exchanges else None,
        steps=tuple(steps),
    )


def _step(layer: Layer, gone: int, ids: Tensor, costs: Tensor) -> Step:
    """What is about to happen, for a notebook to draw."""
    k, left = layer.k, layer.left
    H_cc, H_c = left.row(gone)
    scores = torch.full((layer.n,), torch.nan, dtype=H_c.dtype).index_copy(
        0, ids.cpu(), costs.cpu()
    )
    # x_c ≈ −X·H_:c (H_cc)⁻¹, itself left out
    cover = H_c.new_zeros(layer.n * k, k)  # (d, k)
    cover[columns_of(left.channels, k)] = -torch.linalg.solve(H_cc, H_c).T
    cover[gone * k : gone * k + k] = 0.0
    return Step(gone, scores, cover)


def _exchanged(layers: Sequence[Layer], kept: tuple[int, ...], exchanges: int) -> Tensor:
    """``kept`` after the best exchanges: one removed channel comes back, another one goes."""
    device, whole = layers[0].scale.device, sum(layer.energy("output") for layer in layers)
    inside = list(kept)
    for _ in range(exchanges):
        fits = [layer.whole(torch.tensor(inside, device=device)) for layer in layers]
        best = (0.0, -1, -1)
        for back in sorted(set(range(layers[0].n)) - set(inside)):
            ids = torch.tensor([*inside, back], device=device)
            pairs = zip(layers, fits, strict=True)
            costs = sum(_costs_with(layer, *fit, back, ids) for layer, fit in pairs)
            # the error falls by what ``back`` brings and rises by what ``out`` costs
            out = first_smallest(costs, whole)
            change = (costs[out] - costs[-1]).item()
            if change < best[0] * (1 + 1e-6):  # by clearly more than the one before
                best = (change, back, int(ids[out]))
        tried = sorted({*inside, best[1]} - {best[2]})
        before, after = (sum(layer.error(ids) for layer in layers) for ids in (inside, tried))
        if best[1] < 0 or not after < before * (1 - 1e-6):
            break
        inside = tried
    return torch.tensor(inside)


def _costs_with(
    layer: Layer, H: Tensor, W: Tensor, T: Tensor, back: int, channels: Tensor
) -> Tensor:
    """What the removal of each of ``channels`` would cost if ``back`` came in again."""
    n, k = layer.n, layer.k
    r = columns_of(torch.tensor([back], device=H.device), k)
    eye = torch.eye(len(H), dtype=H.dtype, device=H.device)[:, r]  # (d, k)
    G_r = layer.problem.gram[:, r] + layer.ridge[:, None] * eye
    # the inverse grows by a block, the reverse of a downdate: V = I_:r − H G_:r
    V = eye - H @ G_r
    # H ← H + V (G_r: V)⁻¹ Vᵀ     W ← W + V (G_r: V)⁻¹ Vᵀ T     of each channel its own block
    MV = torch.linalg.solve(G_r.T @ V, V.T)  # (k, d)
    V_c, MV_c = V.view(n, k, k)[channels], MV.view(k, n, k).movedim(1, 0)[channels]
    H_cc = H.view(n, k, n, k)[channels, :, channels, :] + V_c @ MV_c
    W_c = W.view(n, k, -1)[channels] + V_c @ (MV @ T)
    return prices(H_cc, W_c)
