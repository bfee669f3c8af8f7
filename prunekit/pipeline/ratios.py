"""What PRO chose, and what it chose from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prunekit.network.sites import Site
from prunekit.pro import Decision
from prunekit.results.frames import frame
from prunekit.results.report import text_table

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Ratios", "Row"]


@dataclass(frozen=True)
class Row:
    """One site: its channels, the ratio chosen, and D with this site alone pruned to it.

    ``error_alone`` is None where it was not measured.
    """

    name: str
    channels_before: int
    channels_after: int
    pruning_ratio: float
    error_alone: float | None


class Ratios(dict[str, float]):
    """{site name: pruning ratio}, ready for `prunekit.prune`, and what they were chosen from.

    Attributes
    ----------
    widths : {site name: channels that stay}
    curves : {site name: {channels that stay: D with this site alone pruned}}, as far as measured
    trace : the decisions, in order (`prunekit.pro.Decision`, whose ``layer`` is a name)
    error : D of the chosen widths together, measured on one-shot weights; `prunekit.prune` goes
        front to back and usually does better
    cost, full_cost : of the chosen widths and of the intact network, in the budget's unit
    unit : "MACs", "parameters", "seconds"
    """

    def __init__(
        self,
        widths: Mapping[Site, int],
        curves: Mapping[str, Mapping[int, float]],
        trace: Sequence[Decision],
        error: float,
        cost: float,
        full_cost: float,
        unit: str,
    ) -> None:
        super().__init__({s.name: 1 - keep / s.channels for s, keep in widths.items()})
        self.widths = {site.name: keep for site, keep in widths.items()}
        self.channels = {site.name: site.channels for site in widths}
        self.curves, self.trace = dict(curves), tuple(trace)
        self.error, self.cost, self.full_cost, self.unit = error, cost, full_cost, unit

    @property
    def rows(self) -> list[Row]:
        """A row per site, in the order of the forward pass."""
        alone = {name: self.curves.get(name, {}).get(keep) for name, keep in self.widths.items()}
        return [Row(n, self.channels[n], self.widths[n], r, alone[n]) for n, r in self.items()]

    def to_dataframe(self) -> "DataFrame":
        """A row per site, a column per attribute of `Row`; what was not measured is a gap."""
        return frame(self.rows, Row)

    def __str__(self) -> str:
        rows = [("site", "channels", "ratio", "D alone")]
        for row in self.rows:
            widths = f"{row.channels_before} → {row.channels_after}"
            alone = "" if row.error_alone is None else f"{row.error_alone:.3g}"
            rows.append((row.name, widths, f"{row.pruning_ratio:.2f}", alone))
        kept = f"{self.cost / self.full_cost:.3f} of the {self.unit} kept"
        return f"{text_table(rows)}\n{kept}, D together {self.error:.3g}"
