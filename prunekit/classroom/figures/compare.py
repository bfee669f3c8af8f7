"""Figures of comparisons: a leaderboard, a grid of choices and repairs, draws with their noise.

Like `prunekit.classroom.figures`: a function takes numbers and returns a matplotlib Figure.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from prunekit.classroom.figures.style import COLOURS, GREY, MARKERS, new

__all__ = ["draws", "grid", "leaderboard"]


def leaderboard(
    points: Mapping[str, Sequence[tuple[float, bool] | None]],
    budgets: Sequence[float],
    intact: float,
) -> Figure:
    """A line per method, a marker per budget: full where it ties with the best of that budget.

    ``points`` holds, by method, (accuracy in percent, tie) at each budget; None where it failed.
    """
    figure, axis = new(7, 1.1 + 0.27 * len(points))
    for column, budget in enumerate(budgets):
        colour, marker = COLOURS[column % len(COLOURS)], MARKERS[column % len(MARKERS)]
        found = [(i, line[column]) for i, line in enumerate(points.values()) if line[column]]
        for full in (True, False):
            chosen = [(accuracy, i) for i, (accuracy, tie) in found if tie == full]
            style = dict(color=colour, marker=marker, ls="", ms=7, mew=1.5)
            axis.plot(*np.array(chosen).reshape(-1, 2).T, mfc=colour if full else "none", **style)
        label = f"{budget:g} of the MACs"
        axis.plot([], [], color=colour, marker=marker, ls="", ms=7, label=label)
    for i, line in enumerate(points.values()):
        if None in line:
            axis.text(99, i, "failed", color=GREY, ha="right", va="center", fontsize=8)
    axis.axvline(intact, color=GREY, lw=1, ls=":", marker="")
    axis.text(intact, -0.7, "intact", color=GREY, ha="center", va="bottom", fontsize=8)
    axis.set(yticks=range(len(points)), yticklabels=list(points), xlim=(0, 100))
    axis.set(ylim=(len(points) - 0.4, -0.6), xlabel="accuracy on the same test images, %")
    axis.grid(axis="y", color=GREY, alpha=0.25, lw=0.8)
    axis.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=len(budgets), frameon=False)
    return figure


def grid(accuracies: np.ndarray, choices: Sequence[str], repairs: Sequence[str]) -> Figure:
    """Accuracy in percent (choices, repairs): a row per choice, the number in each cell."""
    figure, axis = new(7, 1.2 + 0.45 * len(choices))
    axis.imshow(accuracies, cmap="cividis", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(accuracies):
        colour = "black" if value > 50 else "white"
        axis.text(column, row, f"{value:.0f} %", color=colour, ha="center", va="center")
    axis.set(yticks=range(len(choices)), yticklabels=list(choices), ylabel="choice")
    axis.set(xticks=range(len(repairs)), xticklabels=list(repairs), xlabel="repair")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return figure


def draws(accuracies: Mapping[str, Sequence[float]], errors: Mapping[str, float]) -> Figure:
    """A row per method, a dot per draw, before the mean ± 2 standard errors of one accuracy."""
    figure, axis = new(7, 0.9 + 0.45 * len(accuracies))
    for i, (name, values) in enumerate(accuracies.items()):
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
        mean, wide = np.mean(values), 2 * errors[name]
        axis.barh(i, 2 * wide, 0.7, left=mean - wide, color=GREY, alpha=0.25)
        axis.plot(values, [i] * len(values), color=colour, marker=marker, ls="", ms=7, mfc="none")
    axis.use_sticky_edges = False
    axis.margins(x=0.04)
    axis.set(yticks=range(len(accuracies)), yticklabels=list(accuracies))
    axis.set(ylim=(len(accuracies) - 0.5, -0.5), xlabel="accuracy, %")
    return figure
