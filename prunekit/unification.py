"""Neuro-Unification: where two neurons behave alike, one speaks for both.

When neuron j goes, another one, i, takes over: x_j is replaced by a·x_i + c, which the
consumer gets when row i of its weights grows and the constant moves into its bias,

    W_i ← W_i + a·W_j          b ← b + c·W_j

Of all ordered pairs (i, j) the one of least error goes first; then W_i has changed, and the scores
are computed again. For convolutions x_j is a feature map over all images, and the scalar a scales
the whole k×k kernel W_j, which is exact for any stride, padding and dilation.

Source: Kamma et al., "Neural Behavior-Based Approach for Neural Network Pruning", IEICE Trans. Inf.
& Syst. E103-D(5), 2020. From its abstract: unify neurons that behave alike, the one that stays
emulates the one that goes. Derived: the formulas. Our choice: the score with ‖W_j‖², the affine
form, scoring again after each merge. ``scale="one"`` is the form of Srinivas & Babu, "Data-free
parameter pruning for deep neural networks", BMVC 2015, applied to outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from prunekit.algebra.arguments import finite, flag, number, one_of, optional, takes, whole
from prunekit.algebra.choice import first_smallest
from prunekit.algebra.elimination import Elimination, Weights
from prunekit.algebra.moments import Moments, check_matrix, float64
from prunekit.algebra.statistics import Statistics

__all__ = ["Unification", "Merge", "unify", "unify_site"]


@dataclass(frozen=True)
class Merge:
    """One merge: ``into`` now says ``scale`` times what ``gone`` said, plus ``shift``.

    ``error`` is its score: what it adds to ‖Y − mean(Y)‖² by itself, for kernels of several taps a
    bound on that; with ``score="behavior"`` what x_j loses. Errors of successive merges do not
    simply add up, for they are correlated.
    """

    gone: int
    into: int
    scale: float
    shift: float
    error: float


@dataclass(frozen=True)
class Unification:
    """What `unify` gives back.

    Attributes
    ----------
    kept : int64 ids of the neurons that stay, ascending
    weights : W (n, outputs), zero in the rows that went
    bias : b (outputs,)
    history : who was taken over by whom, in order
    """

    kept: Tensor
    weights: Tensor
    bias: Tensor
    history: tuple[Merge, ...]


SCORE, SCALE = one_of("output", "behavior"), one_of("best", "one")


STOPS = dict(remove=optional(whole()), ratio=optional(number()), max_error=optional(number(0)))


@takes(bias=optional(finite), **STOPS, score=SCORE, affine=flag, scale=SCALE)
def unify(
    X: Tensor,
    W: Tensor,
    bias: Tensor | None = None,
    *,
    remove: int | None = None,
    ratio: float | None = None,
    max_error: float | None = None,
    score: str = "output",
    affine: bool = True,
    scale: str = "best",
) -> Unification:
    """Unify neurons that behave alike.

    Parameters
    ----------
    X : behaviours (samples, n)
    W : outgoing weights (n, outputs); for a convolution (n, k²·outputs), a row per channel
    bias : b (outputs,), zero if not given
    remove, ratio, max_error : when to stop; give one. After so many merges, 0 ≤ remove < n; after
        that fraction of n, 0 ≤ ratio < 1; or before the first merge whose error is larger than
        this fraction of ‖Y − mean(Y)‖² (of ‖x_j − mean(x_j)‖², with ``score="behavior"``)
    score : "output" E_ij = ‖W_j‖²·‖x_j − a·x_i − c‖²; "behavior" the same without ‖W_j‖²
    affine : allow a constant c, which goes into the bias
    scale : "best" a = ⟨x_i, x_j⟩/‖x_i‖² (centred if affine), or "one" a = 1

    Returns
    -------
    Unification

    Raises
    ------
    ValueError
        Shapes that do not fit, NaN or infinite numbers, a count, ratio or bound out of range, a
        bound that no merge meets.
    """
    X, W = check_matrix(X, "X"), check_matrix(W, "W")
    if len(W) != X.shape[1]:
        raise ValueError(f"W must have a row per column of X, {X.shape[1]}, got {len(W)} rows")
    b = torch.zeros_like(W[0]) if bias is None else float64(bias)
    if tuple(b.shape) != (W.shape[1],):
        raise ValueError(f"bias must have {W.shape[1]} numbers as W has columns, got {(*b.shape,)}")
    moments = Moments().update(X)
    count = _count(len(W), remove, ratio, max_error)
    merges = _merges([_Said(moments, W, 1, affine)], count, score, scale)
    if max_error is not None:
        S = moments.scatter_xx
        whole = (W * (S @ W)).sum() if score == "output" else S.diagonal()  # ‖Y − mean(Y)‖²
        merges = _bounded(merges, max_error, whole)
    kept = sorted(set(range(len(W))) - {merge.gone for merge in merges})
    W, b = _apply(merges, W, b, moments.mean_x[:, None], affine)
    return Unification(torch.tensor(kept), W, b, tuple(merges))


@takes(score=SCORE, affine=flag, scale=SCALE)
def unify_site(
    site: Statistics, *, score: str = "output", affine: bool = True, scale: str = "best"
) -> Elimination:
    """Neuro-Unification as a method of `prunekit.prune`, with weights of its own.

    For other options: ``method=functools.partial(unify_site, affine=False)``.
    """
    said = [
        # a scalar scales the whole kernel: W (n, k·outputs)
        _Said(c.moments, c.weights.reshape(site.channels, -1), c.block_size, affine)
        for c in site.consumers
    ]
    merges = _merges(said, site.channels - 1, score, scale)
    order = [merge.gone for merge in merges]
    order += sorted(set(range(site.channels)) - set(order))
    errors = torch.tensor([merge.error for merge in merges] + [torch.inf], dtype=torch.float64)

    def update(kept: Tensor) -> list[Weights]:
        found = []
        for consumer, its in zip(site.consumers, said, strict=True):
            b = torch.zeros_like(its.W[0])
            gone = merges[: site.channels - len(kept)]
            V, c = _apply(gone, its.W, b, its.means, affine)
            outputs = consumer.weights.shape[1]
            found.append((V.reshape(-1, outputs), consumer.bias + c.view(-1, outputs).sum(0)))
        return found

    return Elimination(torch.tensor(order), errors, update=update)


class _Said:
    """What n neurons say to one consumer, and how it takes that."""

    def __init__(self, moments: Moments, W: Tensor, k: int, affine: bool) -> None:
        n = len(W)
        G = moments.scatter_xx if affine else moments.gram
        self.G = G.view(n, k, n, k).diagonal(dim1=1, dim2=3).sum(-1)  # (n, n) ⟨x_i, x_j⟩, all taps
        self.loudness = moments.gram.diagonal().view(n, k).sum(1)  # ‖x_j‖², not centred
        self.W = W  # (n, k·outputs)
        self.means = moments.mean_x.view(n, k)
        self.affine = affine


def _count(n: int, remove: int | None, ratio: float | None, max_error: float | None) -> int:
    """How many merges at most."""
    if (remove is not None) + (ratio is not None) + (max_error is not None) != 1:
        raise ValueError("give one of remove, ratio and max_error")
    if remove is not None:
        if not 0 <= remove < n:
            raise ValueError(f"remove must be 0 ≤ remove < {n}, one neuron stays; got {remove!r}")
        return remove
    if ratio is not None:
        if not 0 <= ratio < 1:
            raise ValueError(f"ratio is the fraction of neurons removed, 0 ≤ r < 1, got {ratio}")
        return min(n - 1, int(ratio * n + 0.5))
    return n - 1


def _merges(said: Sequence[_Said], count: int, score: str, scale: str) -> list[Merge]:
    """The greedy sequence of ``count`` merges; the errors of several consumers add up."""
    G = sum(its.G for its in said)
    energy = G.diagonal()  # ‖x_j‖²
    alive = energy > 1e-12 * sum(its.loudness for its in said)
    # a_ij = ⟨x_i, x_j⟩ / ‖x_i‖²; a neuron that says nothing speaks for nobody
    a = torch.where(alive[:, None], G / energy[:, None], 0.0)
    a = torch.ones_like(G) if scale == "one" else a
    lost = [_lost(its.G, a) for its in said]
    means = torch.cat([its.means for its in said], 1).mean(1)
    Ws = [its.W.clone() for its in said]
    gone, merges = torch.eye(len(G), dtype=torch.bool, device=G.device), []
    # what errors are small against
    weight = [W.square().sum(1) if score == "output" else 1.0 for W in Ws]
    whole = sum((its.G.diagonal() * w).sum() for its, w in zip(said, weight, strict=True))
    for _ in range(count):
        # E_ij = ‖W_j‖²·‖x_j − a·x_i‖²
        parts = [
            D * W.square().sum(1) if score == "output" else D for D, W in zip(lost, Ws, strict=True)
        ]
        E = sum(parts).masked_fill(gone, torch.inf)
        i, j = divmod(int(first_smallest(E.flatten(), whole)), len(E))
        shift = (means[j] - a[i, j] * means[i]).item() * said[0].affine
        merges.append(Merge(j, i, a[i, j].item(), shift, E[i, j].item()))
        for W in Ws:
            W[i] += a[i, j] * W[j]
        gone[j], gone[:, j] = True, True
    return merges


def _lost(G: Tensor, a: Tensor) -> Tensor:
    """‖x_j − a_ij·x_i‖² for every ordered pair (n, n); ‖x_j‖²·sin²θ_ij for the best a."""
    # ‖x_j‖² − 2a⟨x_i, x_j⟩ + a²‖x_i‖²
    return (G.diagonal() - 2 * a * G + a**2 * G.diagonal()[:, None]).clamp(min=0)


def _bounded(merges: list[Merge], max_error: float, whole: Tensor) -> list[Merge]:
    """The merges before the first one whose error is too large, each beside its ``whole``."""
    shares = [
        u.error / max((whole[u.gone] if whole.ndim else whole).item(), 1e-300) for u in merges
    ]
    fine = next((i for i, share in enumerate(shares) if share > max_error), len(shares))
    if not fine:
        raise ValueError(
            f"max_error={max_error} is met by no merge: the smallest error is {shares[0]:.3g}"
        )
    return merges[:fine]


def _apply(
    merges: list[Merge], W: Tensor, b: Tensor, means: Tensor, affine: bool
) -> tuple[Tensor, Tensor]:
    """W (n, k·outputs) and b (k·outputs,) after ``merges``; ``means`` (n, k) of what was said."""
    W, k = W.clone(), means.shape[1]
    b = b.clone().view(k, -1)
    for merge in merges:
        # c = μ_j − a·μ_i, at each tap its own: padding makes the means differ
        c = (means[merge.gone] - merge.scale * means[merge.into]) * affine  # (k,)
        b += c[:, None] * W[merge.gone].view(k, -1)
        W[merge.into] += merge.scale * W[merge.gone]
        W[merge.gone] = 0.0
    return W, b.flatten()
