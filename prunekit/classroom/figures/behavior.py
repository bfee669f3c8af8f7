"""Figures of Neuro-Coding and Neuro-Unification: what neurons say, how alike, who takes over.

As in `prunekit.classroom.figures`: numbers come in, a matplotlib Figure goes out, nothing is
computed here but where to draw.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prunekit.classroom.figures.style import COLOURS, GREY, headline, new

__all__ = [
    "behavior_map",
    "distributions",
    "feature_maps",
    "pair_errors",
    "pairs",
    "portraits",
    "similarity_maps",
    "take_overs",
]


def _bare(axis: Axes) -> None:
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def portraits(
    images: np.ndarray, said: np.ndarray, neurons: Sequence[int], step: int = 1, columns: int = 10
) -> Figure:
    """A row per neuron: its loudest images (count, height, width), loudest first.

    Every ``step``-th is shown; above it stands what the neuron said, said[image, neuron].
    """
    figure, axes = new(7, 0.2 + 0.88 * len(neurons), len(neurons), columns, squeeze=False)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.01, wspace=0.02, hspace=0.02)
    for j, row in zip(neurons, axes, strict=True):
        picked = (-said[:, j]).argsort(kind="stable")[: step * columns : step]
        for axis, image in zip(row, picked, strict=True):
            axis.imshow(images[image], cmap="gray_r", interpolation="nearest")
            axis.set_title(f"{said[image, j]:.1f}", loc="center", fontsize=8, fontweight="normal")
            _bare(axis)
        row[0].set_ylabel(f"neuron {j}")
    return figure


def behavior_map(said: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Figure:
    """X (samples, n) as a picture, a row per neuron; samples are put in the order of classes."""
    order = labels.argsort(kind="stable")
    figure, axis = new(7, 3.4)
    drawn = axis.imshow(said[order].T, cmap="cividis", aspect="auto", interpolation="nearest")
    starts = np.searchsorted(labels[order], np.arange(len(classes) + 1))
    for start in starts[1:-1]:
        axis.axvline(start - 0.5, color="white", lw=1, marker="")
    axis.set_xticks((starts[:-1] + starts[1:] - 1) / 2, classes)
    axis.tick_params(length=0)
    axis.set(xlabel="images, class by class", ylabel="neurons")
    axis.spines[:].set_visible(False)
    figure.colorbar(drawn, ax=axis, label="what was said", pad=0.02)
    return figure


def pairs(
    said: np.ndarray, chosen: Sequence[tuple[int, int]], slopes: Sequence[float], titles: Sequence
) -> Figure:
    """A panel per pair (i, j): x_j over x_i, a dot per sample, and the line a·x_i."""
    figure, axes = new(7, 2.7, 1, len(chosen), squeeze=False)
    size = 2.5 if len(said) > 50 else 7
    for axis, (i, j), slope, title in zip(axes[0], chosen, slopes, titles, strict=True):
        axis.plot(said[:, i], said[:, j], "o", ms=size, mew=0, color=COLOURS[0], clip_on=False)
        end = np.array([0, said[:, i].max()])
        axis.plot(end, slope * end, color=COLOURS[1], lw=2, marker="")
        headline(axis, title)
        axis.set(xlabel=f"what neuron {i} says", ylabel=f"what neuron {j} says")
    return figure


def similarity_maps(maps: Mapping[str, np.ndarray], label: str) -> Figure:
    """Square maps (n, n) side by side, on one scale that ends at 1, titles above."""
    figure, axes = new(7, 7 / len(maps) + 0.2, 1, len(maps), squeeze=False)
    least = min(0.0, *(values.min() for values in maps.values()))
    for axis, (title, values) in zip(axes[0], maps.items(), strict=True):
        drawn = axis.imshow(values, cmap="cividis", vmin=least, vmax=1, interpolation="nearest")
        headline(axis, title)
        axis.set(xlabel="neurons", xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    axes[0, 0].set_ylabel("neurons")
    figure.colorbar(drawn, ax=axes[0], label=label, shrink=0.7, pad=0.02)
    return figure


def distributions(panels: Mapping[str, Mapping[str, np.ndarray]], xlabel: str) -> Figure:
    """A panel per entry; in it the histogram of each set of numbers, and its mean as a line."""
    figure, axes = new(7, 2.6, 1, len(panels), squeeze=False, sharex=True)
    edges = np.linspace(-1, 1, 41)
    for axis, (title, sets) in zip(axes[0], panels.items(), strict=True):
        for (name, values), colour, style in zip(
            sets.items(), (COLOURS[1], COLOURS[0]), ("-", "--"), strict=False
        ):
            axis.hist(values, edges, histtype="stepfilled", fc=colour, alpha=0.25)
            counts, *_ = axis.hist(values, edges, histtype="step", color=colour, lw=1.5, ls=style)
            axis.vlines(values.mean(), 0, counts.max(), color=colour, lw=1, ls=":")
            peak = (edges[counts.argmax()] + edges[counts.argmax() + 1]) / 2
            left = values.mean() == min(v.mean() for v in sets.values())
            align = "right" if left else "left"
            axis.text(peak, 1.02 * counts.max(), name, color=colour, ha=align, va="bottom")
            top = max(axis.get_ylim()[1], 1.2 * counts.max())
            axis.set_ylim(0, top)
        headline(axis, title)
        axis.set(xlabel=xlabel, xlim=(-1, 1), yticks=[])
        axis.spines["left"].set_visible(False)
    axes[0, 0].set_ylabel("pairs of neurons")
    return figure


def feature_maps(images: np.ndarray, maps: np.ndarray, channels: Sequence[int]) -> Figure:
    """A row per image (height, width, 3), then what each channel says where: (count, n, h, w)."""
    figure, axes = new(7, 0.3 + 1.0 * len(images), len(images), len(channels) + 1, squeeze=False)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)
    for row, image, answer in zip(axes, images, maps, strict=True):
        row[0].imshow(image, interpolation="nearest")
        for axis, channel in zip(row[1:], channels, strict=True):
            axis.imshow(answer[channel], cmap="cividis", vmin=0, vmax=maps[:, channel].max())
        for axis in row:
            _bare(axis)
    for axis, title in zip(axes[0], ("image", *(f"channel {c}" for c in channels)), strict=True):
        axis.set_title(title, loc="center", fontsize=9, fontweight="normal")
    return figure


def pair_errors(errors: np.ndarray) -> Figure:
    """E (n, n): the error when i speaks for j; the least is framed, the diagonal left out."""
    n = len(errors)
    figure, axis = new(4.2, 3.4)
    shown = np.where(np.eye(n, dtype=bool), np.nan, errors)
    drawn = axis.imshow(shown, cmap="cividis")
    middle = (np.nanmin(shown) + np.nanmax(shown)) / 2
    for i in range(n):
        for j in range(n):
            if i != j:
                colour = "white" if shown[i, j] < middle else "black"
                axis.text(j, i, f"{shown[i, j]:.2f}", ha="center", va="center", color=colour)
    i, j = np.unravel_index(np.nanargmin(shown), shown.shape)
    box = np.array([[-0.46, -0.46], [0.46, -0.46], [0.46, 0.46], [-0.46, 0.46], [-0.46, -0.46]])
    axis.plot(j + box[:, 0], i + box[:, 1], color=COLOURS[1], lw=3, marker="")
    axis.set(xticks=range(n), yticks=range(n), xlabel="neuron j goes", ylabel="neuron i speaks")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    figure.colorbar(drawn, ax=axis, label="error", pad=0.03)
    return figure


def take_overs(history: Sequence[tuple[int, int, float]]) -> Figure:
    """Lifelines of the neurons in ``history``, (gone, into, error) in order.

    A line ends where its neuron goes, and an arrow leads to the one that speaks for it from then
    on. Neurons that end in the same one lie together.
    """
    heirs = {gone: into for gone, into, _ in history}
    gone_at = {gone: step for step, (gone, _, _) in enumerate(history, 1)}

    def family(neuron: int) -> list[int]:
        """The neuron, and under it those it took over, the latest first."""
        own = sorted((g for g, i in heirs.items() if i == neuron), key=gone_at.get, reverse=True)
        return [neuron, *(member for one in own for member in family(one))]

    heads = [i for i in dict.fromkeys(i for _, i, _ in history) if i not in heirs]
    rows = [neuron for head in heads for neuron in family(head)]
    height = {neuron: -row for row, neuron in enumerate(rows)}
    end = len(history) + 1
    figure, axis = new(7, 0.7 + 0.19 * len(rows))
    for neuron in rows:
        stays = neuron not in heirs
        colour = COLOURS[0] if stays else GREY
        last = gone_at.get(neuron, end)
        axis.hlines(height[neuron], 0, last, color=colour, lw=2 if stays else 1.2)
        axis.text(-0.15, height[neuron], f"{neuron}", ha="right", va="center", fontsize=8)
    for step, (gone, into, _) in enumerate(history, 1):
        axis.annotate(
            "",
            (step, height[into]),
            (step, height[gone]),
            arrowprops=dict(arrowstyle="-|>", color=COLOURS[1], lw=1.5, shrinkA=0, shrinkB=0),
        )
    axis.set_ylim(0.3 - len(rows), 0.6)
    axis.set(xlim=(-0.2, end), xticks=range(1, end), yticks=[], xlabel="union number")
    axis.set_ylabel("neurons", labelpad=18)
    axis.spines["left"].set_visible(False)
    return figure
