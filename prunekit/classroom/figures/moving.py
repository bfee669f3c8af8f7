"""Figures of the widgets: one state with its panels side by side, or several as columns.

Like `prunekit.classroom.figures`: numbers come in, a matplotlib Figure goes out. A state is what
the logic of a widget answers (`widget_neurons.Pair`, `widget_duals.Plane`, …). A single state is
drawn without a layout engine and with few ticks, for a slider is waiting.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from prunekit.classroom.figures.style import COLOURS, GREY, MARKERS, new
from prunekit.classroom.widgets.before_after import Seen
from prunekit.classroom.widgets.budget import Chosen
from prunekit.classroom.widgets.duals import Plane
from prunekit.classroom.widgets.elimination import Eliminated
from prunekit.classroom.widgets.neurons import Pair

__all__ = ["before_after", "budget", "elimination", "neurons", "plane"]

REACH = 2.5  # half the width of the plane that is shown


def neurons(pairs: Sequence[Pair]) -> Figure:
    """What j says over what i says, with the line a·x_i + c; losses by merge, and the threshold."""
    figure, rows = _panels(pairs, 2.7, (1, 1.25), wspace=0.42, left=0.09)
    for (dots, merges), pair in zip(rows, pairs, strict=True):
        top = pair.said.max(0)
        dots.plot(*pair.said.T, "o", ms=3, mew=0, color=COLOURS[0])
        ends = np.array([0, top[0]])
        dots.plot(ends, pair.scale * ends + pair.shift, color=COLOURS[1], lw=2, marker="")
        dots.set(xlabel=f"neuron {pair.i} says", ylabel=f"neuron {pair.j} says")
        dots.set(ylim=(-0.05 * top[1] - 1e-9, 1.05 * top[1] + 1e-9))
        _title(dots, f"{pair.angle:.0f}° apart: {pair.error:.2%} lost")
        at = np.arange(1, len(pair.merge_errors) + 1)
        shares = pair.merge_errors.clip(1e-6)
        merges.plot(at, shares, "o", ms=3, mew=0, color=GREY)
        merges.plot(at[: pair.unified], shares[: pair.unified], "o", ms=3, mew=0, color=COLOURS[0])
        merges.axhline(pair.threshold, color=COLOURS[1], lw=1.5, marker="")
        merges.set(xlabel="union number", ylabel="lost by each")
        _percents(merges, shares.min() / 2, 0.2)
        _title(merges, f"{pair.unified} within {100 * pair.threshold:g}%")
    _tidy([row[1:] for row in rows])
    return figure


def plane(planes: Sequence[Plane]) -> Figure:
    """Vectors and duals, dashed and cut at the border; what the others cannot say of each."""
    figure, rows = _panels(planes, 2.9, (1, 1), left=0.02, wspace=0.15, top=0.9)
    for (field, bars), state in zip(rows, planes, strict=True):
        for j, x in enumerate(state.X.T):
            _arrow(field, x, f"$x_{j}$", COLOURS[0])
        for j, dual in enumerate(state.duals.T if state.duals is not None else ()):
            _arrow(field, dual, rf"$\tilde{{x}}_{j}$", COLOURS[1], style="--")
        field.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal", xticks=[], yticks=[])
        field.axhline(0, color=GREY, lw=0.5, marker="", zorder=0)
        field.axvline(0, color=GREY, lw=0.5, marker="", zorder=0)
        field.spines[:].set_visible(False)
        places = np.arange(len(state.energies))
        bars.barh(places, state.energies, 0.6, color="none", edgecolor=GREY)
        bars.barh(places, state.residuals, 0.6, color=COLOURS[3])
        for j, (energy, rest) in enumerate(zip(state.energies, state.residuals, strict=True)):
            bars.text(energy, j, f" {rest / energy:.0%}", va="center")
        bars.set(xlim=(0, 5), ylim=(2.5, -0.5), xticks=[0, 2, 4], xlabel="energy; filled: lost")
        bars.set_yticks(places, [f"$x_{j}$" for j in places])
        long = [] if state.duals is None else np.linalg.norm(state.duals, axis=0)
        words = " and ".join(f"{length:.2f}" for length in long)
        _title(field, f"duals {words} long" if words else "no duals")
        _title(bars, "one left out" if len(planes) == 1 else "")
    return figure


def elimination(states: Sequence[Eliminated]) -> Figure:
    """Scores of the channels with who goes and who covers; errors of the path and its rivals."""
    figure, rows = _panels(states, 2.8, (1.2, 1), left=0.15, wspace=0.4)
    for (costs, curve), state in zip(rows, states, strict=True):
        scores, covers = state.scores.clip(state.lowest), list(state.covers)
        costs.plot(np.arange(len(scores)), scores, "o", ms=4, mew=0, color=GREY)
        costs.plot(covers, scores[covers], "^", ms=8, mew=0, color=COLOURS[2])
        costs.plot(state.next, scores[state.next], "v", ms=9, mew=0, color=COLOURS[1])
        costs.set(xlabel="channel", ylabel="cost of removal ΔE", xlim=(-1, len(scores)))
        _percents(costs, state.lowest / 2, 2.0)
        covered = " ".join(map(str, covers)) if len(states) == 1 else ""
        _title(costs, f"{state.next} goes" + (f", covered by {covered}" if covered else ""))
        lines = ((state.rival, "L1's order", 1), (state.reap, "REAP", 0), (state.bound, "bound", 6))
        for errors, name, colour in lines:
            style = ":" if name == "bound" else "-"
            curve.plot(state.lefts, errors, style, color=COLOURS[colour], marker="", label=name)
        for errors, colour in ((state.rival, 1), (state.reap, 0)):
            at = len(state.lefts) - state.left
            curve.plot(state.left, errors[at], MARKERS[colour], color=COLOURS[colour], ms=7)
        curve.set(xlabel="channels left", ylabel="lost so far", ylim=(0, 1), yticks=[0, 0.5, 1])
        curve.set_yticks([0, 0.5, 1], ["0%", "50%", "100%"])
        curve.set_xlim(1.04 * len(state.lefts), 0)
        _title(curve, f"{state.left} left: {state.errors['reap']:.1%} lost")
    rows[0][1].legend(loc="upper left", frameon=False, fontsize=8)
    _tidy(rows)
    return figure


def before_after(states: Sequence[Seen]) -> Figure:
    """The image, a channel's map in both networks, the difference, both answers; a row each."""
    width, height = 6.1 if len(states) == 1 else 7, 0.5 + 1.35 * len(states)
    ratios = (1, 1, 1, 1, 1.5)
    figure, rows = new(width, height, len(states), 5, squeeze=False, width_ratios=ratios)
    if len(states) == 1:
        figure.set_layout_engine(None)
        figure.subplots_adjust(left=0.01, right=0.98, bottom=0.13, top=0.87, wspace=0.08)
    for row, state in zip(rows, states, strict=True):
        tone = "gray_r" if state.image.ndim == 2 else "cividis"  # colours have no map
        maps = (state.before, state.after, abs(state.after - state.before))
        row[0].imshow(state.image, cmap=tone, interpolation="nearest")
        for axis, said in zip(row[1:4], maps, strict=True):
            axis.imshow(said, cmap="cividis", vmin=0, vmax=state.top, interpolation="nearest")
        for axis in row:
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        _answers(row[4], state)
        row[0].set_xlabel(f"{state.kept:.0%}, {state.repair}", fontsize=8)
    titles = {"image": 6, "original": 0, "pruned": 1, "difference": 6}
    for axis, (title, colour) in zip(rows[0], titles.items(), strict=False):
        axis.set_title(title, loc="center", fontsize=9, y=1.05, pad=0, color=COLOURS[colour])
    return figure


def budget(states: Sequence[Chosen]) -> Figure:
    """D of each layer alone with PRO's choice as rings; accuracy, measured and predicted."""
    figure, rows = _panels(states, 2.9, (1.25, 1), left=0.12, wspace=0.4)
    for (curves, answers), state in zip(rows, states, strict=True):
        styles = zip(COLOURS * 3, MARKERS * 3, strict=True)
        least = min(D for curve in state.curves.values() for D in curve.values() if D)
        for (name, curve), (colour, marker) in zip(state.curves.items(), styles, strict=False):
            found = sorted((1 - keep / state.channels[name], D) for keep, D in curve.items() if D)
            curves.plot(*zip(*found, strict=True), color=colour, marker=marker, ms=3, lw=1)
            keep = state.widths[name]
            at = (1 - keep / state.channels[name], curve[keep] or least)
            curves.plot(*at, marker, mfc="none", mec=colour, color=colour, mew=2, ms=10, label=name)
        curves.set(xlabel="channels removed", ylabel="D of the layer alone", xlim=(-0.08, 1.04))
        curves.set_xticks([0, 0.5, 1], ["0%", "50%", "100%"])
        _powers(curves, least / 4, 4 * max(D for c in state.curves.values() for D in c.values()))
        _title(curves, f"{state.target:.0%} of the MACs")
        answers.plot(*zip(*sorted(state.measured.items()), strict=True), "o-", color=GREY, lw=1)
        answers.axvline(state.target, color=COLOURS[1], lw=1, marker="")
        if state.predicted is not None:
            answers.plot(state.target, state.predicted, "D", color=COLOURS[1], ms=7)
        answers.set(xlim=(0, 1.04), ylim=(0, 100), xlabel="MACs kept", ylabel="accuracy, %")
        answers.set_xticks([0, 0.5, 1], ["0%", "50%", "100%"])
        answers.set_yticks([0, 50, 100])
    rows[0][0].legend(loc="lower right", frameon=False, fontsize=8)
    _tidy(rows)
    return figure


# Panels -----------------------------------------------------------------------------------------


def _panels(states: Sequence, height: float, ratios: Sequence[float] = (1, 1), **margins: float):
    """A figure, and a row of axes for each state, an axis for each panel."""
    if len(states) > 1:
        figure, axes = new(7, 2.2 * len(ratios), len(ratios), len(states), squeeze=False)
        return figure, axes.T
    figure, axes = new(6.1, height, 1, len(ratios), width_ratios=ratios, squeeze=False)
    figure.set_layout_engine(None)
    figure.subplots_adjust(**{"left": 0.1, "right": 0.97, "bottom": 0.2, "top": 0.88} | margins)
    return figure, axes


def _title(axis: Axes, text: str) -> None:
    """A headline at a fixed height: to look for room takes as long as to draw an axis."""
    axis.set_title(text, loc="left", fontsize=10, fontweight="bold", y=1.03, pad=0)


def _tidy(rows: Sequence[Sequence[Axes]]) -> None:
    """Columns have the same scales: only the first one needs their names and numbers."""
    for row in rows[1:]:
        for axis in row:
            axis.set_ylabel("")
            axis.tick_params(labelleft=False)


def _powers(axis: Axes, low: float, high: float) -> None:
    """A logarithmic scale with at most four ticks, at powers of ten."""
    axis.set(yscale="log", ylim=(low, high))
    powers = np.arange(np.ceil(np.log10(low)), np.floor(np.log10(high)) + 1)
    axis.yaxis.set_major_locator(FixedLocator(10 ** powers[:: len(powers) // 4 + 1]))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")  # powers in TeX take 20 ms


def _percents(axis: Axes, low: float, high: float) -> None:
    """The same for parts of a whole."""
    _powers(axis, low, high)
    axis.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")


def _arrow(axis: Axes, end: np.ndarray, label: str, colour: str, style: str = "-") -> None:
    """An arrow from the origin, with its name behind the head; one too long ends at the border."""
    size = np.abs(end).max()
    inside = size <= REACH - 0.3
    tip = end if inside else end * (REACH - 0.3) / size
    axis.plot(*np.stack([[0, 0], tip], 1), style, color=colour, lw=2, marker="", zorder=3)
    if inside:
        turn = np.degrees(np.arctan2(tip[1], tip[0])) - 90
        axis.plot(*tip, marker=(3, 0, turn), color=colour, ms=9, mew=0, zorder=3)
    away = 13 * tip / max(np.linalg.norm(tip), 1e-9)
    options = dict(textcoords="offset points", ha="center", va="center", annotation_clip=False)
    axis.annotate(label, tip, away, color=colour, **options)


def _answers(axis: Axes, state: Seen) -> None:
    """Probabilities of the three likeliest classes, in the original and in the pruned network."""
    likely = np.argsort(-np.maximum(state.before_odds, state.after_odds), kind="stable")[:3]
    for shift, odds, colour in ((-0.12, state.before_odds, 0), (0.12, state.after_odds, 1)):
        axis.barh(np.arange(3) + shift, odds[likely], 0.24, color=COLOURS[colour])
    for place, name in enumerate(likely):
        mark = " (true)" if name == state.label else ""
        axis.text(0.02, place - 0.4, state.classes[name] + mark, fontsize=8, va="center")
    axis.set(xlim=(0, 1), ylim=(2.5, -0.6))
