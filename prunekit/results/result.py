"""What prune() gives back."""

from dataclasses import dataclass

from torch import nn

from prunekit.results.plans import Plan
from prunekit.results.report import Report

__all__ = ["PruningResult"]


@dataclass(frozen=True)
class PruningResult:
    """A pruned network, and how it came to be.

    Attributes
    ----------
    model : the new, smaller network, in the mode of the one given, without its hooks, and without
        DataParallel or ``torch.compile`` around it. Build an optimiser after this, not before: its
        parameters are new
    report : a row per site and the totals; print it
    plan : {site name: ids of the channels that stayed, in the original numbering}, of the sites
        that lost some, with all that `prunekit.save` and `prunekit.results.plans.replay` need
    """

    model: nn.Module
    report: Report
    plan: Plan

    def __repr__(self) -> str:
        return f"PruningResult({self.report.brief})"
