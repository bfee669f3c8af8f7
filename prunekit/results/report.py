"""What was pruned, what was left alone and why, and what it all came to."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING

from prunekit.results.frames import frame

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Report", "Row", "shortened", "text_table"]

HEAD = ("site", "channels", "relative error, or why it was left alone")
WIDTH = 99  # columns that the printed table may take
LONGEST = 40  # letters of a name in it


@dataclass(frozen=True)
class Row:
    """One site of the report.

    Attributes
    ----------
    name : of the site
    channels_before, channels_after : how many channels
    kept : ids of the channels that stayed, in the original numbering
    error : ‖Y − Ŷ‖² / ‖Y − mean(Y)‖² at the consumer on the calibration data; None
        where it was not measured (nothing pruned, or a method that never asked for data)
    rank : effective rank of X, the consumer inputs; None where it was not needed
    reason : None, or why the site was left alone
    columns : of X; an effective rank below says that some were combinations of others
    """

    name: str
    channels_before: int
    channels_after: int
    kept: tuple[int, ...]
    error: float | None
    rank: int | None
    reason: str | None
    columns: int | None = None

    @property
    def remark(self) -> str:
        """What came of the site, in words."""
        if self.reason is not None:
            return f"left alone: {self.reason}"
        if self.channels_after == self.channels_before:
            return "nothing removed"
        error = "not measured" if self.error is None else f"{self.error:.3f}"
        low = None not in (self.rank, self.columns) and self.rank < self.columns
        return f"{error}, effective rank {self.rank} of {self.columns}" if low else error


@dataclass(frozen=True)
class Report:
    """A row per site, and the totals. Prints as a table, and as HTML in a notebook.

    Attributes
    ----------
    rows : one per site, in the order of the forward pass
    method, repair : how channels were chosen, and how the rest was repaired
    macs_before, macs_after : multiply-accumulates at batch size 1
    params_before, params_after : parameters
    """

    rows: tuple[Row, ...]
    method: str
    repair: str
    macs_before: int
    macs_after: int
    params_before: int
    params_after: int

    def to_dict(self) -> dict:
        """Everything as plain dicts, lists and numbers, ready for JSON."""
        rows = [asdict(row) | {"kept": list(row.kept)} for row in self.rows]
        return asdict(self) | {"rows": rows}

    def to_dataframe(self) -> "DataFrame":
        """A row per site, a column per attribute of `Row`; what was not measured is a gap."""
        return frame(self.rows, Row)

    @property
    def summary(self) -> str:
        """The totals in one line."""
        macs = _change("MACs", self.macs_before, self.macs_after)
        params = _change("parameters", self.params_before, self.params_after)
        return f"method {self.method}, repair {self.repair}: {macs}, {params}"

    @property
    def brief(self) -> str:
        """A few words about it all."""
        pruned = sum(row.channels_after < row.channels_before for row in self.rows)
        macs = _change("MACs", self.macs_before, self.macs_after)
        return f"{self.method}: {pruned} of {len(self.rows)} sites pruned, {macs}"

    def __repr__(self) -> str:
        return f"Report({self.brief})"

    def __str__(self) -> str:
        names = [shortened(row.name) for row in self.rows]
        widths = [_widths(row) for row in self.rows]
        room = WIDTH - 4 - max(map(len, [HEAD[0], *names])) - max(map(len, [HEAD[1], *widths]))
        lines = [HEAD]
        for name, width, row in zip(names, widths, self.rows, strict=True):
            first, *others = wrap(row.remark, room)
            lines += [(name, width, first), *(("", "", f"  {other}") for other in others)]
        return "\n".join([text_table(lines, "<><"), *wrap(self.summary, WIDTH)])

    def _repr_html_(self) -> str:
        """A table that takes its colours from the page, light or dark."""
        head = "".join(f'<th style="text-align:left">{cell}</th>' for cell in HEAD)
        rows = "".join(map(_html_row, self.rows))
        return (
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
            f"<p>{escape(self.summary)}</p>"
        )


def _change(unit: str, before: int, after: int) -> str:
    """A total before and after; of nothing there is no share to be kept."""
    share = f"{after / before:.2f} kept" if before else f"the network has no {unit} that count"
    return f"{unit} {before:,} → {after:,} ({share})"


def _widths(row: Row) -> str:
    if row.channels_after == row.channels_before:
        return str(row.channels_before)
    return f"{row.channels_before} → {row.channels_after}"


def shortened(name: str) -> str:
    """A name of at most so many letters: of a long one its two ends, the last the longer."""
    return name if len(name) <= LONGEST else f"{name[:9]}…{name[len(name) - LONGEST + 10 :]}"


def _html_row(row: Row) -> str:
    """One site: its name, its widths with a bar of what is kept, and what came of it."""
    kept = 100 * row.channels_after / row.channels_before
    bar = (
        '<div style="width:8em;border:1px solid currentColor;opacity:0.6">'
        f'<div style="width:{kept:.0f}%;height:0.4em;background:currentColor"></div></div>'
    )
    cells = (
        f"<code>{escape(row.name)}</code>",
        escape(_widths(row)) + (bar if row.reason is None else ""),
        escape(row.remark),
    )
    fade = "" if row.reason is None else ' style="opacity:0.7"'
    inner = "".join(f'<td style="text-align:left">{cell}</td>' for cell in cells)
    return f"<tr{fade}>{inner}</tr>"


def text_table(rows: Sequence[Sequence[str]], align: str = "") -> str:
    """Rows of cells as aligned text, a line under the first row.

    ``align`` has a ``<`` or ``>`` per column; by default the first is left and the rest right.
    """
    columns = list(zip(*rows, strict=True))
    align = align or "<" + ">" * (len(columns) - 1)
    widths = [max(map(len, column)) for column in columns]
    lines = [
        "  ".join(f"{c:{a}{w}}" for c, a, w in zip(row, align, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "─" * max(map(len, lines)), *lines[1:]])
