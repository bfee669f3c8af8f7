"""What was pruned, what was left alone and why, and what it all came to."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape

__all__ = ["Report", "Row", "text_table"]


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
    rank : effective rank of X, what the consumer hears; None where it was not needed
    reason : None, or why the site was left alone
    """

    name: str
    channels_before: int
    channels_after: int
    kept: tuple[int, ...]
    error: float | None
    rank: int | None
    reason: str | None


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
        return asdict(self)

    @property
    def summary(self) -> str:
        """The totals in one line."""
        return (
            f"method {self.method}, repair {self.repair}: "
            f"MACs {self.macs_before:,} → {self.macs_after:,} "
            f"({self.macs_after / self.macs_before:.2f} kept), "
            f"parameters {self.params_before:,} → {self.params_after:,} "
            f"({self.params_after / self.params_before:.2f} kept)"
        )

    def _cells(self) -> list[tuple[str, str, str]]:
        cells = []
        for row in self.rows:
            widths = f"{row.channels_before} → {row.channels_after}"
            if row.reason is not None:
                cells.append((row.name, str(row.channels_before), f"left alone: {row.reason}"))
            else:
                error = "" if row.error is None else f"relative error {row.error:.3f}"
                cells.append((row.name, widths, error))
        return cells

    def __str__(self) -> str:
        cells = [("site", "channels", ""), *self._cells()]
        return f"{text_table(cells, '<><')}\n{self.summary}"

    def _repr_html_(self) -> str:
        def line(tag: str, cells: tuple[str, ...]) -> str:
            inner = (f'<{tag} style="text-align:left">{escape(c)}</{tag}>' for c in cells)
            return f"<tr>{''.join(inner)}</tr>"

        rows = "".join(line("td", cells) for cells in self._cells())
        head = line("th", ("site", "channels", ""))
        return f"<table>{head}{rows}</table><p>{escape(self.summary)}</p>"


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
