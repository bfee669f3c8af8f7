"""Figures of the notebook on biorthogonal least squares: dual vectors, and what removal does.

Like `prunekit.classroom.figures`: a function takes numbers and returns a matplotlib Figure.
Vectors of the plane are columns: X (2, n) holds x_0, x_1, …
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from prunekit.classroom.figures.style import COLOURS, GREY, headline, new

__all__ = ["best_ratio", "dual_without", "duals", "film", "guess", "guesses"]

VECTOR, DUAL, REST = COLOURS[0], COLOURS[1], COLOURS[3]


def duals(vectors: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Vectors of the plane and their duals, a titled panel for each (X, X̃), both (2, 2).

    A corner marks that a dual is perpendicular to the other vector.
    """
    panels = list(vectors.values())
    box = _box(np.concatenate([np.hstack(pair) for pair in panels], 1), 0.14)
    figure, axes = _planes(len(panels), box, width=7 if len(panels) > 1 else 4)
    for axis, (title, (X, D)) in zip(axes, vectors.items(), strict=True):
        for j in range(2):
            _arrow(axis, X[:, j], f"$x_{j}$", VECTOR)
            _arrow(axis, D[:, j], rf"$\tilde{{x}}_{j}$", DUAL, dashed=True)
            _corner(axis, X[:, 1 - j], D[:, j], 0.03 * np.ptp(box[1]))
        headline(axis, title)
    return figure


def guess(x: np.ndarray, other: np.ndarray, guessed: np.ndarray, dual: np.ndarray) -> Figure:
    """x_0, what x_1 says for it, what is left of it, and the dual that points there; all (2,)."""
    figure, (axis,) = _planes(1, _box(np.stack([x, other, guessed, dual], 1), 0.25), width=4.6)
    _arrow(axis, x, "$x_0$", VECTOR)
    _arrow(axis, other, "$x_1$", VECTOR)
    _arrow(axis, dual, r"$\tilde{x}_0$", DUAL, dashed=True)
    _arrow(axis, x, "residual", REST, start=guessed, middle=True)
    axis.plot(*guessed, "s", color=REST, ms=7, zorder=4)
    axis.annotate("guess", guessed, (-8, 10), textcoords="offset points", color=REST, ha="right")
    return figure


def dual_without(x: np.ndarray, dual: np.ndarray, gone: np.ndarray, left: np.ndarray) -> Figure:
    """The dual of x_0 (2,) before and after x_1 went: it loses its part along x_1's dual."""
    figure, (axis,) = _planes(1, _box(np.stack([x, dual, gone, left], 1), 0.2), width=5.4)
    _arrow(axis, x, "$x_0$", VECTOR)
    _arrow(axis, gone, r"$\tilde{x}_1$ goes", GREY, dashed=True)
    _arrow(axis, dual, r"$\tilde{x}_0$ was", DUAL, dashed=True)
    _arrow(axis, left, r"$\tilde{x}_0$ becomes", DUAL, above=True)
    axis.plot(*np.stack([dual, left], 1), ":", color="black", marker="", lw=1.5)
    return figure


def film(scores: np.ndarray, order: Sequence[int]) -> Figure:
    """ΔE of every neuron at every step (steps, n), first to go at the left; white: gone."""
    figure, axis = new(7, 3.6)
    with np.errstate(divide="ignore"):
        drawn = np.log10(scores[:, list(order)])
    drawn = np.where(np.isfinite(drawn), drawn, np.nan)
    picture = axis.imshow(drawn, cmap="cividis", aspect="auto", interpolation="nearest")
    axis.set(xlabel="neuron, in the order of leaving", ylabel="removals so far")
    bar = figure.colorbar(picture, ax=axis)
    bar.set_label("cost of removal ΔE")
    bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    bar.ax.yaxis.set_major_formatter(lambda power, _: f"$10^{{{power:.0f}}}$")
    return figure


def guesses(panels: Mapping[str, tuple[np.ndarray, np.ndarray, str]]) -> Figure:
    """A titled panel for each (what a neuron said, what the others say for it, a note)."""
    figure, axes = new(7, 3.0, 1, len(panels), squeeze=False)
    for axis, (title, (said, guessed, note)) in zip(axes[0], panels.items(), strict=True):
        ends = [min(said.min(), guessed.min()), max(said.max(), guessed.max())]
        axis.plot(ends, ends, color=GREY, marker="", lw=1)
        axis.plot(said, guessed, "o", color=COLOURS[0], ms=3, alpha=0.5, mew=0)
        headline(axis, title)
        axis.text(0.04, 0.98, note, transform=axis.transAxes, va="top", fontsize=8)
        axis.set_xlabel("what it said")
    axes[0, 0].set_ylabel("what the others say")
    return figure


def best_ratio(left: Sequence[int], ratios: Mapping[str, Sequence[float]]) -> Figure:
    """Error of each way over that of the best set, by channels left; 1 is the best there is."""
    figure, axis = new(7, 2.6)
    for name, values in ratios.items():
        axis.plot(left, values, label=name)
    axis.axhline(1, color="black", lw=1, ls=":", marker="", zorder=0)
    axis.set(xlabel="neurons left", ylabel="error / least error")
    axis.invert_xaxis()
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(loc="upper left", frameon=False)
    return figure


# The plane --------------------------------------------------------------------------------------


def _box(points: np.ndarray, margin: float) -> np.ndarray:
    """Limits ((left, right), (bottom, top)) around the origin and points (2, n)."""
    points = np.hstack([np.zeros((2, 1)), points])
    low, high = points.min(1), points.max(1)
    room = margin * (high - low).max()
    return np.stack([low - room, high + room], 1)


def _planes(count: int, box: np.ndarray, width: float = 7) -> tuple[Figure, list[Axes]]:
    """Panels of the plane, all with the same scale in both directions."""
    wide, high = np.ptp(box, 1)
    figure, axes = new(width, 0.4 + width / count * high / wide, 1, count, squeeze=False)
    for axis in axes[0]:
        axis.set(xlim=box[0], ylim=box[1], xticks=[], yticks=[], aspect="equal")
        axis.spines[:].set_visible(False)
        axis.axhline(0, color=GREY, lw=0.5, marker="", zorder=0)
        axis.axvline(0, color=GREY, lw=0.5, marker="", zorder=0)
    return figure, list(axes[0])


def _arrow(
    axis: Axes,
    end: np.ndarray,
    label: str,
    colour: str,
    *,
    start: Sequence[float] = (0.0, 0.0),
    dashed: bool = False,
    middle: bool = False,
    above: bool = False,
) -> None:
    """An arrow with its name behind the head, or beside its middle."""
    style = {"arrowstyle": "-|>", "color": colour, "lw": 2, "shrinkA": 0, "shrinkB": 0}
    style["linestyle"] = (0, (4, 2)) if dashed else "-"
    axis.annotate("", end, start, arrowprops=style, zorder=3)
    start = np.asarray(start)
    along = (end - start) / np.linalg.norm(end - start)
    place, offset = (end, 11 * along) if not middle else ((start + end) / 2, np.array([26, 10]))
    if above:
        offset = np.array([0, 11])
    axis.annotate(
        label, place, offset, textcoords="offset points", color=colour, ha="center", va="center"
    )


def _corner(axis: Axes, one: np.ndarray, other: np.ndarray, size: float) -> None:
    """The mark of a right angle between two vectors at the origin."""
    a, b = (size * v / np.linalg.norm(v) for v in (one, other))
    axis.plot(*np.stack([a, a + b, b], 1), color="black", marker="", lw=1)
