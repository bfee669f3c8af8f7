"""What REAP is measured against: how others choose channels, each in a few lines.

A selection orders the channels of a site, from its `Statistics`; it knows nothing of repair, which
`prunekit.prune` adds or leaves out. Two bring weights of their own, made without data: `merging`
and `lbyl`. Where the original needs more than a site's statistics, the docstring says what was
changed.
"""

import torch
from torch import Tensor

from prunekit.algebra.choice import first_smallest, smallest_first
from prunekit.algebra.elimination import Elimination, Weights
from prunekit.algebra.least_squares import Unexplained
from prunekit.algebra.statistics import Statistics

__all__ = [
    "activation",
    "apoz",
    "forward",
    "fpgm",
    "l1",
    "l2",
    "lasso",
    "lbyl",
    "merging",
    "random",
    "taylor",
    "thinet",
]


def _smallest_first(importance: Tensor) -> Elimination:
    return Elimination(smallest_first(importance).cpu())


def random(site: Statistics, *, seed: int = 0) -> Elimination:
    """Any order. Another one: ``method=functools.partial(random, seed=1)``."""
    return Elimination(torch.randperm(site.channels, generator=torch.Generator().manual_seed(seed)))


def l1(site: Statistics) -> Elimination:
    """The channel with the smallest sum of absolute filter weights goes first.

    Source: Li, Kadav, Durdanovic, Samet & Graf, "Pruning filters for efficient ConvNets", ICLR
    2017.
    """
    return _smallest_first(site.filters.abs().sum(1))


def l2(site: Statistics) -> Elimination:
    """The channel with the shortest filter goes first.

    Source: He, Kang, Dong, Fu & Yang, "Soft filter pruning", IJCAI 2018.
    """
    return _smallest_first(site.filters.norm(dim=1))


def fpgm(site: Statistics) -> Elimination:
    """The filter nearest to all others goes first, for they can do its work.

    Source: He, Liu, Wang, Hu & Yang, "Filter pruning via geometric median", CVPR 2019.
    """
    # Σ_i ‖f_j − f_i‖ is least for the filter nearest to the geometric median
    return _smallest_first(torch.cdist(site.filters, site.filters).sum(1))


def taylor(site: Statistics) -> Elimination:
    """The channel whose removal changes the loss least, to first order, goes first.

    Source: Molchanov, Tyree, Karras, Aila & Kautz, "Pruning convolutional neural networks for
    resource efficient inference", ICLR 2017. Our choice: the loss needs no labels, it is the
    cross-entropy to the network's own likeliest classes.
    """
    # mean over images of |Σ over positions of x·∂L/∂x|
    return _smallest_first(
        sum((x * g).sum(2).abs().sum(0) for x, g in site.inputs_with_gradients())
    )


def activation(site: Statistics) -> Elimination:
    """The channel that says least, in mean absolute value, goes first.

    Source: as a criterion in Molchanov et al., ICLR 2017.
    """
    return _smallest_first(sum(x.double().abs().mean(2).sum(0) for x in site.inputs()))


def apoz(site: Statistics) -> Elimination:
    """The channel that is silent most often goes first (average percentage of zeros).

    Source: Hu, Peng, Tai & Tang, "Network trimming", 2016.
    """
    return _smallest_first(sum((x != 0).double().mean(2).sum(0) for x in site.inputs()))


def _shares(site: Statistics) -> tuple[Tensor, Tensor]:
    """Moments of what each channel adds to Y, Z_c = X_c W_c: (n, n) ⟨Z_c, Z_e⟩, (n,) ⟨Z_c, Y⟩."""
    inner, with_y = 0.0, 0.0
    for consumer in site.consumers:
        n, k, problem = site.channels, consumer.block_size, consumer.problem
        G, W = problem.gram.view(n, k, n, k), consumer.weights.reshape(n, k, -1)
        inner = inner + torch.einsum("ckeq,cko,eqo->ce", G, W, W)
        with_y = with_y + (consumer.weights * problem.cross).reshape(n, -1).sum(1)
    return inner, with_y


def thinet(site: Statistics) -> Elimination:
    """Greedily, the channel that keeps ‖Σ of what has gone‖² smallest goes next.

    Source: Luo, Wu & Lin, "ThiNet", ICCV 2017. Changed: all samples count, by their centred
    moments, instead of some drawn rows.
    """
    inner, _ = _shares(site)
    cost = inner.diagonal().clone()  # (n,) ‖Σ gone + Z_c‖², less what has gone already
    order, whole = [], cost.sum()
    for _ in range(site.channels):
        order.append(int(first_smallest(cost, whole)))
        cost += 2 * inner[order[-1]]
        cost[order[-1]] = torch.inf
    return Elimination(torch.tensor(order))


def lasso(site: Statistics) -> Elimination:
    """The channel whose share comes in last on the path of the Lasso goes first.

    Source: He, Zhang & Sun, "Channel pruning for accelerating very deep neural networks", ICCV
    2017: min ‖Y − Σ β_c Z_c‖² + α‖β‖₁. Changed: the whole path (least angle regression, by
    scikit-learn) from moments, instead of tuning α for one ratio.

    Raises
    ------
    ImportError
        If scikit-learn is not installed: only this method needs it.
    """
    try:
        from sklearn.linear_model import lars_path_gram
    except ImportError as error:
        cure = "pip install scikit-learn, or take another method"
        raise ImportError(f"method 'lasso' needs scikit-learn ({error}): {cure}") from error
    inner, with_y = _shares(site)
    size = inner.diagonal().max().clamp(min=1e-300)
    _, _, beta = lars_path_gram(
        Xy=(with_y / size).cpu().numpy(),
        Gram=(inner / size).cpu().numpy(),
        n_samples=1,  # it only scales the strengths α
        method="lasso",
    )  # (n, steps)
    active = torch.from_numpy(beta) != 0
    # the strength α at which β_c first leaves zero, as a step; never: beyond the last one
    entered = torch.where(active.any(1), active.int().argmax(1), active.shape[1])
    return Elimination(entered.argsort(descending=True, stable=True))


def forward(site: Statistics) -> Elimination:
    """Forward selection: the channel that lowers the refitted error most is kept next.

    Source: El Halabi, Srinivas & Lacoste-Julien, "Data-efficient structured pruning via submodular
    optimization", NeurIPS 2022 (their greedy with reweighting). It asks from the empty set up what
    REAP asks from the full set down.
    """
    layers = [Unexplained(c.problem, site.channels, c.block_size) for c in site.consumers]
    whole = sum(consumer.problem.energy.sum() for consumer in site.consumers)
    kept, left = [], list(range(site.channels))
    while left:
        gain = sum(layer.gain(left) for layer in layers)
        kept.append(left.pop(int(first_smallest(-gain, whole))))
        for layer in layers:
            layer.keep(kept[-1])
    return Elimination(torch.tensor(kept[::-1]))


def _folded(site: Statistics) -> Tensor:
    """What the filters and the norm behind them do, less the offset: (channels, inputs·kernel)."""
    return site.filters * site.filter_scale[:, None]


def _spread(site: Statistics, kept: Tensor, coefficients: Tensor) -> list[Weights]:
    """W and b when x_j ≈ Σ_i coefficients_ij·x_i over the kept i, a scalar per channel pair."""
    found = []
    for consumer in site.consumers:
        n, W = site.channels, consumer.weights.reshape(site.channels, -1)
        gone = torch.ones(n, dtype=torch.bool, device=W.device).index_fill(0, kept, False)
        new = torch.zeros_like(W)
        new[kept] = W[kept] + coefficients[kept][:, gone] @ W[gone]  # W_i ← W_i + Σ_j a_ij W_j
        found.append((new.view_as(consumer.weights), consumer.bias))
    return found


def merging(site: Statistics, *, threshold: float = 0.1) -> Elimination:
    """Channels go as in `l1`; each hands its work to the kept filter most like its own.

    Source: Kim, Kim, Park & Seo, "Neuron merging: compensating for pruned neurons", NeurIPS 2020.
    Changed: likeness is the cosine of filters scaled by their batch norm, without the term for its
    offset; below ``threshold`` nothing is handed over.
    """
    F = _folded(site)
    lengths = F.norm(dim=1).clamp(min=1e-300)
    cosine = (F @ F.T) / torch.outer(lengths, lengths)  # (n, n)

    def update(kept: Tensor) -> list[Weights]:
        kept = kept.to(F.device)
        best = kept[first_smallest(-cosine[kept])]  # (n,) who takes over
        every = torch.arange(len(F), device=F.device)
        A = torch.zeros_like(cosine)
        # a = ‖f_j‖ / ‖f_i‖
        A[best, every] = lengths / lengths[best] * (cosine[best, every] >= threshold)
        return _spread(site, kept, A)

    return Elimination(l1(site).order, update=update)


def lbyl(site: Statistics, *, strength: float = 0.1) -> Elimination:
    """Channels go as in `l2`; each is rebuilt from all kept filters by ridge regression, no data.

    In the manner of Lee, Kim & Choi, "Training-free restoration of pruned neural networks", 2025
    (arXiv 2502.08474). Changed: filters are scaled by their batch norm and carry its offset as one
    more weight, instead of separate terms.
    """
    F = torch.cat([_folded(site), site.filter_shift[:, None]], 1)
    K = F @ F.T  # (n, n)

    def update(kept: Tensor) -> list[Weights]:
        kept = kept.to(K.device)
        eye = torch.eye(len(kept), dtype=K.dtype, device=K.device)
        damping = strength * K.diagonal().mean().clamp(min=1e-300)
        A = torch.zeros_like(K)
        # min ‖f_j − Σ_i a_ij f_i‖² + λ‖a_j‖²
        A[kept] = torch.linalg.solve(K[kept][:, kept] + damping * eye, K[kept])
        return _spread(site, kept, A)

    return Elimination(l2(site).order, update=update)
