"""The widgets of the course: put the call on the last line of a cell, and move the sliders.

Each one answers `widgets.view.Interactive`: shown in a notebook it is controls, a picture and a
sentence; ``.twin()`` is a static figure of three settings with its sentence, and
``.states`` the numbers of these three. Everything is computed when it is made, not when it moves.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from prunekit.algebra.moments import Moments
from prunekit.classroom.data import ImageSet
from prunekit.classroom.figures import moving as draw
from prunekit.classroom.widgets.before_after import BeforeAfter
from prunekit.classroom.widgets.budget import Budget, measure
from prunekit.classroom.widgets.duals import plane
from prunekit.classroom.widgets.elimination import Film
from prunekit.classroom.widgets.neurons import Neurons
from prunekit.classroom.widgets.view import Choice, Interactive, Slider
from prunekit.pipeline.pruning import PruningResult
from prunekit.pipeline.ratios import Ratios

__all__ = [
    "before_and_after",
    "duals_in_the_plane",
    "elimination",
    "neurons_that_agree",
    "the_budget",
]

THRESHOLDS = (0.0001, 0.0002, 0.001, 0.005, 0.01, 0.05)


def neurons_that_agree(X: Tensor, W: Tensor) -> Interactive:
    """Two neurons side by side, and what a threshold would unify.

    Parameters
    ----------
    X : behaviours (samples, n)
    W : outgoing weights (n, outputs)
    """
    layer = Neurons.from_behaviors(X, W)
    n, (i, j), (p, q) = X.shape[1], layer.most_alike, layer.least_alike
    limits = [(f"{100 * share:g} %", share) for share in THRESHOLDS]
    return Interactive(
        layer.at,
        draw.neurons,
        {
            "i": Slider("neuron that speaks", 0, n - 1, i),
            "j": Slider("for neuron", 0, n - 1, j),
            "threshold": Choice("allowed at each union", limits, 0.001),
        },
        [{}, {"i": j, "j": i, "threshold": 0.0002}, {"i": p, "j": q, "threshold": 0.01}],
        "Left: a dot for each input, what one neuron says over what the other says, and the best "
        "line. Right: what each greedy union would lose, and the threshold as a line.",
    )


def duals_in_the_plane() -> Interactive:
    """Two or three vectors of the plane to turn and to stretch, with duals and residuals."""
    return Interactive(
        plane,
        draw.plane,
        {
            "angle": Slider("angle from x₀ to x₁, degrees", 0, 180, 60, step=2),
            "length_0": Slider("length of x₀", 0.5, 2.0, 2.0, step=0.1),
            "length_1": Slider("length of x₁", 0.5, 2.0, 2.0, step=0.1),
            "length_2": Slider("length of x₂ (0: none)", 0.0, 2.0, 0.0, step=0.1),
            "angle_2": Slider("angle from x₀ to x₂, degrees", 0, 180, 130, step=2),
        },
        [{"angle": 70}, {"angle": 20}, {"angle": 70, "length_2": 1.6}],
        "Left: the vectors as arrows from the origin, their duals dashed. Right: a bar for the "
        "energy of each vector, filled as far as the others cannot say it.",
    )


def elimination(
    moments: Moments,
    W: Tensor,
    block_size: int = 1,
    *,
    rival: Tensor | None = None,
    ridge: float = 1e-5,
) -> Interactive:
    """REAP on one layer, removal by removal.

    Parameters
    ----------
    moments : of consumer inputs X (samples, d) and outputs Y (samples, outputs)
    W : its weights (d, outputs)
    block_size : columns of X per channel, k² for a k×k kernel
    rival : (channels,) what L1 orders them by; by default the L1 norms of their rows of W
    ridge : as in `prunekit.eliminate`
    """
    film = Film.from_moments(moments, W, block_size, rival, ridge)
    last = len(film.order) - 1
    return Interactive(
        film.at,
        draw.elimination,
        {"step": Slider("removals", 0, last, 0, play=True)},
        [{"step": 0}, {"step": (last + 1) // 2}, {"step": (last + 1) * 7 // 8}],
        "Left: the cost of removing each channel; a triangle down goes next, triangles up cover "
        "for it most. Right: error by channels left, for REAP and for L1's order, above the bound "
        "of the SVD that no set of channels can beat.",
    )


def before_and_after(
    original: nn.Module,
    pruned: Mapping[str, Mapping[float, PruningResult]],
    images: ImageSet,
    layer: str,
    site: str | None = None,
) -> Interactive:
    """An image through the original and through a pruned network.

    Parameters
    ----------
    pruned : by repair and by the fraction of MACs kept: {"no repair": {0.5: pk.prune(…)}}
    images : a hundred or so; the first few are shown
    layer : whose feature maps are shown
    site : where channels of that layer went, the pruned site that they belong to. What stands for
        a channel that is gone is the best that the others can say for it
    """
    film = BeforeAfter.from_results(original, pruned, images, layer, site)
    kept = [(f"{share:.0%}", share) for share in film.kept]
    start = {"kept": film.kept[0], "repair": film.repairs[0], "channel": film.loudest}
    return Interactive(
        film.at,
        draw.before_after,
        {
            "image": Slider("image", 0, len(film.images) - 1, 0),
            "kept": Choice("MACs kept", kept, start["kept"]),
            "repair": Choice("repair", [(name, name) for name in film.repairs], start["repair"]),
            "channel": Slider("channel", 0, len(film.tops) - 1, start["channel"]),
        },
        [
            {},
            {"repair": film.repairs[-1]},
            {"repair": film.repairs[-1], "kept": film.kept[-1]},
        ],
        "The image, one channel's feature map in the original and in the pruned network, their "
        "difference, and what both answer.",
    )


def the_budget(
    ratios: Ratios,
    model: nn.Module,
    images: Tensor,
    test: ImageSet,
    measured: Sequence[float] = (0.2, 0.4, 0.6, 0.8),
    names: Mapping[str, str] | None = None,
) -> Interactive:
    """PRO's choice for every budget of MACs, and the accuracy that follows.

    Parameters
    ----------
    ratios : of `prunekit.optimize_ratios`, ``form="curves"``: what was measured layer by layer
    model, images : as they were given to it; images also repair
    test : images that accuracy is measured on
    measured : the fractions of MACs for which networks are really pruned and measured
    names : {site: what to call it}
    """
    found = measure(ratios, model, images, test, measured)
    board = Budget.from_ratios(ratios, model, images[:1], found, names=names)
    low, middle, high = (sorted(measured)[i] for i in (0, len(measured) // 2, -1))
    return Interactive(
        board.at,
        draw.budget,
        {"target": Slider("MACs allowed", board.targets[0], 1.0, middle, step=0.02)},
        [{"target": high}, {"target": middle}, {"target": low}],
        "Left: D of each layer alone against the part removed, with a ring at PRO's choice. "
        "Right: accuracy against MACs kept, measured as dots, predicted as a diamond.",
    )
