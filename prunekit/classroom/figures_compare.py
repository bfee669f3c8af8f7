"""Figures of comparisons: a leaderboard, and one image before and after pruning.

Like `prunekit.classroom.figures`: a function takes numbers and returns a matplotlib Figure.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from prunekit.classroom.style import COLOURS, GREY, MARKERS, new

__all__ = ["before_after", "draws", "grid", "leaderboard"]


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


def before_after(
    image: np.ndarray,
    maps: Mapping[str, np.ndarray],
    likely: Mapping[str, np.ndarray],
    classes: Sequence[str],
    label: int,
    channels: Sequence[int],
) -> Figure:
    """One image in several networks: what a layer says, how far from the first, what they see.

    Parameters
    ----------
    image : pixels (height, width) or (height, width, 3), in [0, 1] or uint8
    maps : by network, the original first: what the drawn channels say (channels, height, width)
    likely : by network, the probability of each class (classes,)
    classes, label : names, and the right one
    channels : their numbers, for the titles
    """
    names, count = list(maps), len(channels)
    figure, axes = new(
        *(0.92 * 2 * count + 1.8, 1.0 * len(names) + 0.4),
        *(len(names), 2 * count + 1),
        width_ratios=[1] * 2 * count + [1.6],
        squeeze=False,
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)
    first = maps[names[0]]
    tops = [max(said[j].max() for said in maps.values()) for j in range(count)]
    for row, name in zip(axes, names, strict=True):
        for j, (left, right) in enumerate(zip(row[:count], row[count:-1], strict=True)):
            left.imshow(maps[name][j], cmap="cividis", vmin=0, vmax=tops[j])
            if name != names[0]:
                right.imshow(abs(maps[name][j] - first[j]), cmap="cividis", vmin=0, vmax=tops[j])
        _bars(row[-1], likely[name], classes, label)
        row[0].set_ylabel(name)
    for j, channel in enumerate(channels):
        axes[0, j].set_title(f"channel {channel}", loc="left", fontsize=8)
        if len(names) > 1:
            axes[1, count + j].set_title(f"difference {channel}", loc="left", fontsize=8)
    axes[0, count].imshow(image, cmap="gray_r", interpolation="nearest")
    axes[0, count].set_title("the image", loc="left", fontsize=8)
    for axis in axes[:, :-1].flat:
        axis.set(xticks=[], yticks=[], frame_on=False)
    return figure


def _bars(axis, likely: np.ndarray, classes: Sequence[str], label: int) -> None:
    """The three likeliest classes, the right one in blue and marked."""
    for i, best in enumerate(np.argsort(-likely, kind="stable")[:3]):
        colour = COLOURS[0] if best == label else COLOURS[5]
        axis.barh(i, likely[best], color=colour, alpha=0.6)
        mark = " ✓" if best == label else ""
        axis.text(0.03, i, f"{classes[best]}{mark}", va="center", fontsize=8)
    axis.set(xlim=(0, 1), ylim=(2.6, -0.6), xticks=[], yticks=[])
