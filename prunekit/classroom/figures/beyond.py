"""Figures of the last notebooks: answers that changed, classes that suffer, images that it takes.

Like `prunekit.classroom.figures`: a function takes numbers and returns a matplotlib Figure.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from prunekit.classroom.figures.style import COLOURS, GREY, MARKERS, headline, new

__all__ = ["against_images", "answers", "by_class", "guesses"]


def answers(rows: Mapping[str, Sequence[tuple[np.ndarray, str, str]]]) -> Figure:
    """A row of pictures per entry, each (height, width, 3) with its answer before and after."""
    columns = max(len(row) for row in rows.values())
    figure, axes = new(0.3 + 0.84 * columns, 1.25 * len(rows), len(rows), columns, squeeze=False)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.03, wspace=0.02, hspace=0.02)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for line, (title, row) in zip(axes, rows.items(), strict=True):
        line[0].set_ylabel(title, fontsize=8)
        for axis, (image, before, after) in zip(line, row, strict=False):
            axis.imshow(image, interpolation="nearest")
            axis.set_xlabel(f"{before}\n→ {after}", fontsize=7, labelpad=2)
    return figure


def by_class(before: Mapping[str, float], after: Mapping[str, float]) -> Figure:
    """Accuracy of each class in percent, before (dot) and after (square); the worst loss on top."""
    names = sorted(before, key=lambda name: after[name] - before[name])
    figure, axis = new(7, 1.1 + 0.27 * len(names))
    places = np.arange(len(names))
    old, new_ = (np.array([values[name] for name in names]) for values in (before, after))
    axis.hlines(places, old, new_, color=GREY, lw=2)
    for values, colour, marker, label in (
        (old, GREY, "o", "intact"),
        (new_, COLOURS[1], "s", "pruned"),
    ):
        axis.plot(values, places, color=colour, marker=marker, ls="", ms=7, label=label)
    for place, a, b in zip(places, old, new_, strict=True):
        side = 1 if b < a else -1  # beside the mark of the pruned network, away from the other
        text = f"{b - a:+.0f}".replace("-", "−")
        align = "right" if side > 0 else "left"
        axis.text(b - 1.2 * side, place, text, ha=align, va="center", fontsize=8)
    axis.set(yticks=places, yticklabels=names, xlabel="right answers of this class, %")
    axis.set(xlim=(min(*old, *new_) - 6, 102), ylim=(len(names) - 0.4, -0.6))
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def against_images(
    curves: Mapping[str, Mapping[int, tuple[float, float]]],
    ylabel: str,
    reference: tuple[str, float] | None = None,
    log: bool = False,
) -> Figure:
    """A line per entry through {number of images: (value, standard error)}, ± 2 of it.

    ``reference`` is a name and a height for a dotted line; ``log`` makes the heights logarithmic.
    """
    figure, axis = new(7, 3.2)
    for (name, line), colour, marker in zip(curves.items(), COLOURS, MARKERS, strict=False):
        counts = sorted(line)
        values, errors = np.array([line[count] for count in counts]).T
        style = dict(color=colour, marker=marker, capsize=4)
        axis.errorbar(counts, values, yerr=2 * errors if errors.any() else None, **style)
        rises = values[-1] > values[0]  # its name begins at its first point, on the free side
        style = dict(textcoords="offset points", color=colour, va="top" if rises else "bottom")
        axis.annotate(name, (counts[0], values[0]), (9, -2 if rises else 2), **style)
    ticks = sorted({count for line in curves.values() for count in line})
    if reference:
        axis.axhline(reference[1], color=GREY, lw=1, ls=":", marker="")
        axis.text(ticks[0], reference[1], reference[0], color=GREY, va="bottom", fontsize=8)
    axis.set(xscale="log", yscale="log" if log else "linear", ylabel=ylabel)
    axis.set_xticks(ticks, [str(count) for count in ticks])
    axis.set_xticks([], minor=True)
    axis.set(xlabel="images that the weights were fitted to", xlim=(ticks[0] / 1.15, None))
    axis.margins(y=0.12)  # room for a name below the lowest point
    return figure


def guesses(panels: Mapping[str, tuple[np.ndarray, np.ndarray]], ylabel: str) -> Figure:
    """A panel per entry: what a neuron said over the best linear guess; on the line both agree."""
    figure, axes = new(7, 3.0, 1, len(panels), squeeze=False)
    for axis, (title, (guess, said)) in zip(axes[0], panels.items(), strict=True):
        axis.plot(guess, said, "o", ms=2.5, mew=0, color=COLOURS[0])
        ends = np.array([min(guess.min(), said.min()), max(guess.max(), said.max())])
        axis.plot(ends, ends, color=COLOURS[1], lw=2, marker="")
        headline(axis, title)
        axis.set_xlabel("best linear guess")
    axes[0, 0].set_ylabel(ylabel)
    return figure
