"""What several notebooks draw: images, costs, accuracies, widths, channels that go."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from prunekit.classroom.data import ImageSet
from prunekit.classroom.figures.style import COLOURS, GREY, headline, new, show
from prunekit.results.report import Report, shortened

__all__ = [
    "accuracy_against_macs",
    "accuracy_bars",
    "changes",
    "costs",
    "error_against_channels",
    "images",
    "new",
    "removal",
    "show",
    "stand_ins",
    "training_curve",
    "widths",
]


def images(data: ImageSet, per_class: int = 3) -> Figure:
    """The first images of every class, a column per class; pixels stay square and sharp."""
    count = len(data.classes)
    figure, axes = new(0.72 * count, 0.3 + 0.72 * per_class, per_class, count, squeeze=False)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.02, hspace=0.02)
    for label, column in enumerate(axes.T):
        picked = data.images[data.labels == label][:per_class]
        for axis, image in zip(column, picked, strict=True):
            pixels = image.permute(1, 2, 0).squeeze(-1).numpy()  # (height, width[, 3])
            axis.imshow(pixels, cmap="gray_r", interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        name = data.classes[label].replace(" ", "\n")
        column[0].set_title(name, loc="center", fontsize=8, fontweight="normal")
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
    axis.set(yticks=places, yticklabels=[shortened(row.name) for row in rows])
    axis.set(xlabel="channels: those that stay (filled), of all (outline)")
    axis.set_xlim(0, 1.18 * max(before))
    axis.xaxis.get_major_locator().set_params(integer=True)
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
    axis.set(yticks=places, yticklabels=list(accuracies), xlim=(0, 108))
    headline(axis, title, pad=16)
    axis.set_xlabel("accuracy on test images, %")
    axis.invert_yaxis()
    return figure


def training_curve(losses: Sequence[float]) -> Figure:
    """Mean training loss of each epoch, on a logarithmic scale."""
    figure, axis = new(7, 2.4)
    axis.plot(range(1, len(losses) + 1), losses)
    axis.set(yscale="log", xlabel="epoch", ylabel="training loss", xlim=(0.5, len(losses) + 0.5))
    axis.xaxis.get_major_locator().set_params(integer=True)
    return figure


def costs(macs: Mapping[str, int], params: Mapping[str, int]) -> Figure:
    """MACs and parameters of every layer, two panels with the same rows, first layer on top."""
    figure, axes = new(7, 0.8 + 0.18 * len(macs), 1, 2, sharey=True)
    places = np.arange(len(macs))
    panels = (("MACs, millions", macs, 1e6), ("parameters, thousands", params, 1e3))
    for axis, colour, (label, counts, unit) in zip(axes, COLOURS, panels, strict=False):
        values = [counts[name] / unit for name in macs]
        axis.barh(places, values, color=colour)
        for place, value in zip(places, values, strict=True):
            axis.text(value, place, f" {value:.1f}", va="center", fontsize=8)
        axis.set(xlabel=label, xlim=(0, 1.18 * max(values)))
    axes[0].set(yticks=places, yticklabels=list(macs))
    axes[0].tick_params(axis="y", labelsize=8)
    axes[0].invert_yaxis()
    return figure


def removal(producer: np.ndarray, consumer: np.ndarray, removed: Sequence[int]) -> Figure:
    """|weights| of two layers (n, inputs) and (outputs, n); what goes with ``removed`` is hatched.

    The producer loses a row for each removed neuron, the consumer a column.
    """
    shapes = (producer.shape, consumer.shape)
    figure, axes = new(7, 2.6, 1, 2, width_ratios=[columns for _, columns in shapes])
    top = max(abs(producer).max(), abs(consumer).max())
    for axis, weights in zip(axes, (producer, consumer), strict=True):
        axis.imshow(abs(weights), cmap="cividis", vmin=0, vmax=top)
        axis.set(xticks=range(weights.shape[1]), yticks=range(weights.shape[0]))
        axis.set_ylim(max(rows for rows, _ in shapes) - 0.5, -0.5)  # squares of one size
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    for j in removed:
        for axis, corner, width, height in (
            (axes[0], (-0.5, j - 0.5), producer.shape[1], 1),
            (axes[1], (j - 0.5, -0.5), 1, consumer.shape[0]),
        ):
            axis.add_patch(
                Rectangle(corner, width, height, fc="white", ec=COLOURS[1], lw=2, hatch="///")
            )
    for axis, title, across, down in (
        (axes[0], "producer: loses rows", "its inputs", "neurons"),
        (axes[1], "consumer: loses columns", "neurons", "its outputs"),
    ):
        headline(axis, title)
        axis.set(xlabel=across, ylabel=down)
    return figure


def accuracy_against_macs(
    curves: Mapping[str, Sequence[tuple[float, float]]], chance: float
) -> Figure:
    """A line per method through its (percent of MACs kept, accuracy in percent), and chance."""
    figure, axis = new(7, 3.2)
    for name, points in curves.items():
        kept, accuracies = zip(*sorted(points), strict=True)
        axis.plot(kept, accuracies, label=name, clip_on=False)
    axis.axhline(chance, color="black", lw=1, ls=":", marker="")
    axis.text(100, chance, "chance", ha="right", va="bottom", fontsize=8)
    axis.set(xlim=(0, 100), ylim=(0, 100), xlabel="MACs kept, %", ylabel="accuracy, %")
    axis.legend(frameon=False)
    return figure


def stand_ins(said: np.ndarray, guessed: np.ndarray, errors: Sequence[float]) -> Figure:
    """What each neuron said, and what the others say for it, (samples, n); bars fill the gap."""
    figure, axes = new(7, 2.8, 1, said.shape[1], sharey=True)
    samples = np.arange(len(said))
    for j, axis in enumerate(axes):
        axis.vlines(samples, said[:, j], guessed[:, j], color=COLOURS[5], lw=4)
        axis.plot(samples, said[:, j], color=COLOURS[0], label="what it said")
        axis.plot(samples, guessed[:, j], "s", color=COLOURS[1], label="what the others say for it")
        headline(axis, f"neuron {j}: ΔE = {errors[j]:.2f}")
        axis.set(xticks=samples, xlabel="sample")
    axes[0].set_ylabel("behaviour")
    entries = axes[0].get_legend_handles_labels()
    figure.legend(*entries, loc="outside lower center", ncols=2, frameon=False)
    return figure


def error_against_channels(
    curves: Mapping[str, tuple[Sequence[int], Sequence[float]]], log: bool = False
) -> Figure:
    """A line per method through its (channels left, error), pruned from left to right."""
    figure, axis = new(7, 3.2)
    for name, (left, errors) in curves.items():
        axis.plot(left, errors, label=name)
    axis.set(xlabel="channels left", ylabel="error, part of all", yscale="log" if log else "linear")
    axis.invert_xaxis()
    axis.legend(frameon=False)
    return figure


def changes(differences: Mapping[str, tuple[float, float]], reference: str) -> Figure:
    """How far each variant lies from ``reference``: (points, standard error), ± 2 of it."""
    figure, axis = new(7, 1.0 + 0.34 * len(differences))
    values, errors = zip(*differences.values(), strict=True)
    places = np.arange(len(differences))
    axis.errorbar(values, places, xerr=2 * np.array(errors), fmt="o", color=COLOURS[1], capsize=4)
    axis.axvline(0, color=COLOURS[0], lw=2, marker="")
    axis.text(0, -0.75, reference, color=COLOURS[0], ha="center", va="bottom")
    axis.set(yticks=places, yticklabels=list(differences), ylim=(len(places) - 0.5, -0.6))
    axis.set_xlabel("accuracy against it, percentage points")
    return figure
