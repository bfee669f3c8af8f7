"""Figures of the notebook on PRO: error curves of layers, and what was chosen from them.

Like `prunekit.classroom.figures`: a function takes numbers and returns a matplotlib Figure.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from prunekit.classroom.figures.style import COLOURS, GREY, MARKERS, headline, new

__all__ = ["against_uniform", "curves", "pairs", "widths"]

Curve = Mapping[int, float]  # channels that stay → D


def curves(
    measured: Mapping[str, Curve],
    channels: Mapping[str, int],
    chosen: Mapping[str, int] | None = None,
    uniform: Mapping[str, int] | None = None,
) -> Figure:
    """D of each layer pruned alone; a ring marks what was chosen, a bar a uniform ratio.

    ``measured`` holds, by layer, {channels that stay: D}; ``channels`` how many there were.
    """
    figure, axis = new(7, 3.6)
    ends = []
    styles = zip(COLOURS * 2, MARKERS * 2, strict=True)
    for (name, curve), (colour, marker) in zip(measured.items(), styles, strict=False):
        points = sorted((1 - keep / channels[name], error) for keep, error in curve.items())
        removed, errors = zip(*[point for point in points if point[1] > 0], strict=True)
        axis.plot(removed, errors, color=colour, marker=marker, label=name, ms=4, lw=1.2)
        ends.append((errors[-1], name, colour, removed[-1]))
        if chosen and curve.get(chosen[name], 0) > 0:
            at = (1 - chosen[name] / channels[name], curve[chosen[name]])
            axis.plot(*at, "o", mfc="none", mec=colour, mew=2, ms=13, color=colour, zorder=4)
        if uniform:
            # drawn on the curve itself, between two measured widths if need be
            ratio = 1 - uniform[name] / channels[name]
            height = np.exp(np.interp(ratio, removed, np.log(errors)))
            axis.plot(ratio, height, "|", color="black", ms=13, mew=2, zorder=5)
    axis.set(yscale="log", xlabel="channels removed from this layer alone", ylabel="D")
    axis.xaxis.set_major_formatter(PercentFormatter(1))
    low, high = axis.get_ylim()
    last = np.inf
    for error, name, colour, removed in sorted(ends, reverse=True):
        place = min(np.log10(error), last - 0.06 * np.log10(high / low))  # no two names overlap
        axis.text(1.01, 10**place, name, color=colour, va="center", fontsize=9)
        axis.plot([removed, 1.0], [error, 10**place], color=colour, marker="", lw=0.5)
        last = place
    axis.set_xlim(0, 1)
    return figure


def pairs(
    errors: np.ndarray,
    inside: np.ndarray,
    widths: tuple[Sequence[int], Sequence[int]],
    path: Sequence[tuple[int, int]],
    best: tuple[int, int],
    names: tuple[str, str],
) -> Figure:
    """D of every pair of widths (first, second); hatched: over budget; a path, and the best.

    ``widths`` go down; ``inside`` (first, second) tells who holds the budget, and a wider layer
    never costs less; ``path`` and ``best`` are widths.
    """
    figure, axis = new(5.6, 4.0)
    first, second = (list(values) for values in widths)
    drawn = np.log10(np.where(errors > 0, errors, np.nan)).T  # (second, first)
    picture = axis.imshow(drawn, cmap="cividis", aspect="auto", interpolation="nearest")
    # of each first width, the largest second widths are over budget
    over = np.append((~inside).sum(1), 0) - 0.5
    edges = np.arange(len(first) + 1) - 0.5
    axis.fill_between(edges, -0.5, over, step="post", fc="none", ec="black", hatch="///", lw=1)
    at = [(first.index(a), second.index(b)) for a, b in path]
    axis.plot(*zip(*at, strict=True), color="white", marker="o", ms=4, mec="black", lw=2)
    place = (first.index(best[0]), second.index(best[1]))
    axis.plot(*place, "*", color=COLOURS[1], ms=17, mec="white", zorder=5)
    for name, values, which in ((names[0], first, axis.xaxis), (names[1], second, axis.yaxis)):
        shown = range(0, len(values), max(1, len(values) // 8))
        which.set_ticks(list(shown), [str(values[i]) for i in shown])
        which.set_label_text(f"neurons that stay in {name}")
    bar = figure.colorbar(picture, ax=axis)
    bar.set_label("D")
    bar.ax.yaxis.set_major_formatter(lambda power, _: f"{10**power:.3g}")
    return figure


def widths(channels: Mapping[str, int], choices: Mapping[str, Mapping[str, int]]) -> Figure:
    """Channels before (outline), and what each choice keeps (a marker per choice)."""
    figure, axis = new(7, 0.9 + 0.42 * len(channels))
    places = np.arange(len(channels))
    axis.barh(places, list(channels.values()), 0.7, color="none", edgecolor=GREY)
    for i, (label, chosen) in enumerate(choices.items()):
        height = 0.7 / len(choices)
        rows = places + (i - (len(choices) - 1) / 2) * height
        kept = [chosen[name] for name in channels]
        colour = COLOURS[1] if i == 0 else COLOURS[0]
        axis.barh(rows, kept, height, color=colour, label=label, hatch="//" if i == 0 else "")
        for row, count in zip(rows, kept, strict=True):
            axis.text(count, row, f" {count}", va="center", fontsize=8)
    axis.set(yticks=places, yticklabels=list(channels), xlabel="channels that stay, of all")
    axis.invert_yaxis()
    figure.legend(loc="outside upper center", ncols=len(choices), frameon=False)
    return figure


def against_uniform(
    accuracies: Mapping[str, tuple[float, float]],
    gains: Mapping[str, tuple[float, float]],
    intact: float,
) -> Figure:
    """Accuracies (uniform, PRO) of each case, and the gain with ± 2 standard errors."""
    figure, (left, right) = new(7, 1.3 + 0.42 * len(accuracies), 1, 2, sharey=True)
    places = np.arange(len(accuracies))
    for values, colour, marker, label in zip(
        zip(*accuracies.values(), strict=True),
        (COLOURS[1], COLOURS[0]),
        "so",
        ("uniform", "PRO"),
        strict=True,
    ):
        left.plot(values, places, color=colour, marker=marker, ls="", ms=8, label=label)
    left.axvline(intact, color=GREY, marker="", ls=":")
    left.text(intact, -0.55, "intact", color=GREY, ha="center", va="bottom", fontsize=8)
    left.set(yticks=places, yticklabels=list(accuracies), xlabel="accuracy, %")
    left.set(ylim=(len(places) - 0.5, -0.5), xlim=(0, 100))
    left.legend(frameon=False, loc="best")
    values, errors = zip(*gains.values(), strict=True)
    right.errorbar(values, places, xerr=2 * np.array(errors), fmt="o", color=COLOURS[0], capsize=4)
    right.axvline(0, color="black", lw=1, marker="")
    right.set_xlabel("gain of PRO, points")
    headline(left, " ")
    return figure
