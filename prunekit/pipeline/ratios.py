"""What PRO chose, and what it chose from."""

from collections.abc import Mapping, Sequence

from prunekit.network.sites import Site
from prunekit.pro import Decision
from prunekit.results.report import text_table

__all__ = ["Ratios"]


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

    def __str__(self) -> str:
        rows = [("site", "channels", "ratio", "D alone")]
        for name, ratio in self.items():
            alone = self.curves.get(name, {}).get(self.widths[name])
            widths = f"{self.channels[name]} → {self.widths[name]}"
            rows.append((name, widths, f"{ratio:.2f}", "" if alone is None else f"{alone:.3g}"))
        kept = f"{self.cost / self.full_cost:.3f} of the {self.unit} kept"
        return f"{text_table(rows)}\n{kept}, D together {self.error:.3g}"
