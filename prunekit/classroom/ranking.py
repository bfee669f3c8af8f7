"""What a comparison found: a row per method and budget, ranked, with the noise taken seriously.

Two methods are told apart image by image: only images on which they disagree can speak for one of
them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html import escape
from textwrap import wrap

import torch
from matplotlib.figure import Figure
from pandas import DataFrame
from torch import Tensor

from prunekit.classroom.figures import compare as figures_compare
from prunekit.results.frames import frame
from prunekit.results.report import WIDTH, text_table

__all__ = ["Leaderboard", "Row", "paired_difference", "ranked"]

MARK = "•"  # the best, or a tie with it


@dataclass(frozen=True)
class Row:
    """One method at one budget; where it failed, ``error`` says why and the numbers are None.

    Attributes
    ----------
    method, repair : its label, and how the weights that stay were repaired
    budget, kept, macs : fraction of MACs that may stay, and that stay, and their number
    accuracy : of the test images, in percent
    behind, standard_error : points behind the best of this budget over the same images
    tie : the best itself, or behind by at most 2 standard errors
    seconds : that pruning took
    error : None, or what was raised
    """

    method: str
    repair: str
    budget: float
    kept: float | None = None
    macs: int | None = None
    accuracy: float | None = None
    behind: float | None = None
    standard_error: float | None = None
    tie: bool = False
    seconds: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class Leaderboard:
    """What `leaderboard.compare` found: print it, or let a notebook show it; best mean first.

    Attributes
    ----------
    rows : a `Row` per method and budget, methods from best to worst; failed ones last
    accuracy, macs : of the network as it was given: percent, and multiply-accumulates
    images : how many test images
    right : {(method, budget): which of them are named correctly, bool (images,)}
    """

    rows: tuple[Row, ...]
    accuracy: float
    macs: int
    images: int
    right: Mapping[tuple[str, float], Tensor] = field(repr=False, compare=False)

    @property
    def methods(self) -> list[str]:
        """Labels, best first."""
        return list(dict.fromkeys(row.method for row in self.rows))

    @property
    def budgets(self) -> list[float]:
        """Fractions of MACs, as they were asked for."""
        return list(dict.fromkeys(row.budget for row in self.rows))

    def of(self, method: str) -> list[Row]:
        """The rows of one method, a budget each."""
        found = [row for row in self.rows if row.method == method]
        if not found:
            raise ValueError(f"method must be one of {', '.join(self.methods)}, got {method!r}")
        return found

    def means(self) -> dict[str, float]:
        """Mean accuracy over the budgets, of the methods that failed at none."""
        by_method = {name: [row.accuracy for row in self.of(name)] for name in self.methods}
        return {k: sum(v) / len(v) for k, v in by_method.items() if None not in v}

    def against(self, reference: str, budget: float) -> dict[str, tuple[float, float]]:
        """Points ahead of ``reference`` and their standard error, as `figures.changes` draws."""
        if (reference, budget) not in self.right:
            known = ", ".join(f"({name!r}, {at:g})" for name, at in self.right)
            raise ValueError(
                f"reference and budget must be one of {known}, got ({reference!r}, {budget!r})"
            )
        answers = {name: right for (name, at), right in self.right.items() if at == budget}
        base = answers.pop(reference)
        return {name: paired_difference(right, base) for name, right in answers.items()}

    def figure(self) -> Figure:
        """A line per method, a marker per budget, full where it ties with the best."""
        points = {
            name: [(row.accuracy, row.tie) if row.error is None else None for row in self.of(name)]
            for name in self.methods
        }
        return figures_compare.leaderboard(points, self.budgets, self.accuracy)

    def to_dataframe(self) -> DataFrame:
        """A row per method and budget, a column per attribute of `Row`; what failed has gaps."""
        return frame(self.rows, Row)

    @property
    def note(self) -> str:
        """How to read the table."""
        return (
            f"Accuracy in % of {self.images:,} test images (and the fraction of MACs kept). "
            f"{MARK} the best of its column, or behind it by at most 2 standard errors of the "
            "paired difference."
        )

    def _cells(self) -> list[list[str]]:
        means = self.means()
        budgets = [f"{budget:g} of the MACs" for budget in self.budgets]
        blank = [""] * (len(budgets) - 1)
        whole = ["intact", "", f"{self.accuracy:.1f} (1.000)  ", *blank, "", ""]
        lines = [["method", "repair", *budgets, "mean", "seconds"], whole]
        ties = self._mean_ties()
        for name in self.methods:
            rows = self.of(name)
            marks = MARK if name in ties else " "
            mean = f"{means[name]:.1f} {marks}" if name in means else "–  "
            seconds = sum(row.seconds or 0 for row in rows)
            numbers = [*map(_cell, rows), mean, f"{seconds:.1f}"]
            lines.append([name, rows[0].repair, *numbers])
        return lines

    def _mean_ties(self) -> set[str]:
        """Methods whose mean over the budgets is the best, or a tie with it."""
        mean = {
            name: torch.stack([self.right[name, at].double() for at in self.budgets]).mean(0)
            for name in self.means()
        }
        best = next(iter(mean), None)  # rows come best first
        return {name for name in mean if _is_tie(*paired_difference(mean[best], mean[name]))}

    def _failures(self) -> list[str]:
        """What was raised, once for all budgets where it was the same."""
        where: dict[tuple[str, str], list[str]] = {}
        for row in self.rows:
            if row.error is not None:
                where.setdefault((row.method, row.error), []).append(f"{row.budget:g}")
        return [f"{name} at {', '.join(at)}: {error:.300}" for (name, error), at in where.items()]

    def __repr__(self) -> str:
        size = f"{len(self.methods)} methods at {len(self.budgets)} budget(s)"
        return f"Leaderboard({size}, {self.images:,} test images, first {self.methods[0]})"

    def __str__(self) -> str:
        table = text_table(self._cells(), "<<" + ">" * (len(self.budgets) + 2))
        lines = [part for text in (self.note, *self._failures()) for part in wrap(text, WIDTH)]
        return "\n".join([table, *lines])

    def _repr_html_(self) -> str:
        """A table that takes its colours from the page, light or dark."""
        head, *lines = self._cells()
        rows = "".join(_html_row(cells, "td") for cells in lines)
        notes = "".join(f"<p>{escape(line)}</p>" for line in [self.note, *self._failures()])
        return f"<table><thead>{_html_row(head, 'th')}</thead><tbody>{rows}</tbody></table>{notes}"


def _cell(row: Row) -> str:
    if row.error is not None:
        return "failed  "
    return f"{row.accuracy:.1f} ({row.kept:.3f}) {MARK if row.tie else ' '}"


def _html_row(cells: list[str], tag: str) -> str:
    inner = (f'<{tag} style="text-align:left">{escape(cell)}</{tag}>' for cell in cells)
    return f"<tr>{''.join(inner)}</tr>"


def paired_difference(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Points by which ``a`` is ahead of ``b``, (images,) right or wrong, and the standard error.

    Image by image, for the same images are easy or hard for both: the standard error of the
    difference is smaller than that of either accuracy.
    """
    d = 100 * (a.double() - b.double())  # (images,)
    # SE = std(d) / √N
    return d.mean().item(), (d.std() / len(d) ** 0.5).item()


def _is_tie(behind: float, error: float) -> bool:
    return behind <= 2 * error + 1e-9


def ranked(rows: list[Row], right: Mapping[tuple[str, float], Tensor]) -> tuple[Row, ...]:
    """Rows with what they are behind the best of their budget; best mean accuracy first."""
    best: dict[float, Row] = {}
    for row in rows:
        if row.error is None and row.accuracy > getattr(best.get(row.budget), "accuracy", -1):
            best[row.budget] = row
    judged, sums = [], {}
    for row in rows:
        # a method that failed somewhere comes after all that did not
        sums[row.method] = sums.get(row.method, 0) + (-1e9 if row.error else row.accuracy)
        if row.error is None:
            name, at = best[row.budget].method, row.budget
            behind, error = paired_difference(right[name, at], right[row.method, at])
            tie = _is_tie(behind, error)
            row = replace(row, behind=behind, standard_error=error, tie=tie)
        judged.append(row)
    return tuple(sorted(judged, key=lambda row: -sums[row.method]))
