"""Figures of the course: one style, each with the sentence that says what is to be seen.

A figure function takes numbers and returns a matplotlib Figure; `show` prints its sentence and then
the picture. Nothing here computes: what is drawn comes from the caller.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure

from prunekit.classroom.data import ImageSet
from prunekit.report import Report

__all__ = ["accuracy_bars", "images", "new", "show", "widths"]

# Okabe & Ito's palette without yellow: told apart by every eye, and in print
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#8C8C8C"
STYLE: dict[str, Any] = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 100,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLOURS, marker=MARKERS),
    "lines.markersize": 5,
    "legend.frameon": False,
    "image.cmap": "cividis",
}


def new(width: float = 7, height: float = 3, rows: int = 1, columns: int = 1, **kwargs: Any):
    """A figure in the house style and its axes; sizes in inches. Not registered with pyplot."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots(rows, columns, **kwargs)


def show(figure: Figure, alt: str) -> None:
    """Print the sentence that says what the figure shows, then the figure itself."""
    from IPython.display import display

    print(alt)
    with matplotlib.rc_context(STYLE):
        display(figure)


def images(data: ImageSet, per_class: int = 6) -> Figure:
    """The first images of every class, a row per class."""
    figure, axes = new(
        0.85 * per_class + 1.2, 0.75 * len(data.classes), len(data.classes), per_class
    )
    for label, row in enumerate(axes):
        picked = data.images[data.labels == label][:per_class]
        for axis, image in zip(row, picked, strict=True):
            axis.imshow(image.permute(1, 2, 0).squeeze(-1), cmap="gray_r")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        row[0].set_ylabel(data.classes[label], rotation=0, ha="right", va="center")
    return figure


def widths(report: Report) -> Figure:
    """Channels of every pruned site before (outline) and after (filled)."""
    rows = [row for row in report.rows if row.reason is None]
    figure, axis = new(7, 0.8 + 0.28 * len(rows))
    places = np.arange(len(rows))
    before = [row.channels_before for row in rows]
    after = [row.channels_after for row in rows]
    axis.barh(places, before, color="none", edgecolor=GREY)
    axis.barh(places, after, color=COLOURS[0])
    for place, row in zip(places, rows, strict=True):
        text = f" {row.channels_after} of {row.channels_before}"
        axis.text(row.channels_before, place, text, va="center")
    axis.set(yticks=places, yticklabels=[row.name for row in rows], xlabel="channels")
    axis.set_xlim(0, 1.15 * max(before))
    axis.invert_yaxis()
    return figure


def accuracy_bars(accuracies: Mapping[str, float], chance: float, title: str = "") -> Figure:
    """One bar per network, accuracy in percent written at its end, a line at chance."""
    figure, axis = new(7, 0.9 + 0.38 * len(accuracies))
    places = np.arange(len(accuracies))
    colours: Sequence[str] = [GREY, *[COLOURS[1]] * (len(accuracies) - 2), COLOURS[0]]
    axis.barh(places, list(accuracies.values()), color=colours)
    for place, value in zip(places, accuracies.values(), strict=True):
        axis.text(value, place, f" {value:.1f} %", va="center")
    axis.axvline(chance, color="black", lw=1, ls=":")
    axis.text(chance, -0.6, "chance", ha="center", va="bottom", fontsize=8)
    axis.set(yticks=places, yticklabels=list(accuracies), xlim=(0, 108), title=title)
    axis.set_xlabel("accuracy on test images, %")
    axis.invert_yaxis()
    return figure
