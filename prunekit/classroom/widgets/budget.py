"""The budget: PRO's choice of widths, and what it predicts, for every budget at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from prunekit import pro
from prunekit.classroom.data import ImageSet
from prunekit.classroom.training import accuracy
from prunekit.network.finding import find_sites
from prunekit.network.widths import macs_cost
from prunekit.pipeline.pruning import prune
from prunekit.pipeline.ratios import Ratios

__all__ = ["Budget", "Chosen", "measure"]


@dataclass(frozen=True)
class Chosen:
    """PRO's widths for one budget.

    Attributes
    ----------
    target, kept : fraction of the MACs allowed, and really kept
    widths, channels : {layer: channels that stay}, and how many there were
    curves : {layer: {channels that stay: D of this layer alone}}
    error : the sum of D over layers, PRO's guess of the whole
    predicted : accuracy in percent, read off the *other* measured budgets; None beyond them
    measured : {fraction of MACs: accuracy in percent}, where it was measured
    """

    target: float
    kept: float
    widths: Mapping[str, int]
    channels: Mapping[str, int]
    curves: Mapping[str, Mapping[int, float]]
    error: float
    predicted: float | None
    measured: Mapping[float, float]

    @property
    def sentence(self) -> str:
        gone = ", ".join(
            f"{name} {1 - keep / self.channels[name]:.0%}" for name, keep in self.widths.items()
        )
        words = [f"With {self.target:.0%} of the MACs PRO removes {gone}."]
        if self.predicted is not None:
            words.append(f"Predicted accuracy: {self.predicted:.0f}%.")
        if self.target in self.measured:
            words.append(f"Measured: {self.measured[self.target]:.0f}%.")
        return " ".join(words)


@dataclass(frozen=True)
class Budget:
    """The choice for every budget of a grid, computed once."""

    targets: tuple[float, ...]
    choices: tuple[tuple[dict[str, int], float, float], ...]  # widths, MACs kept, D
    channels: dict[str, int]
    curves: dict[str, dict[int, float]]
    measured: dict[float, float]

    @classmethod
    def from_ratios(
        cls,
        ratios: Ratios,
        model: nn.Module,
        example_inputs: Tensor,
        measured: Mapping[float, float],
        targets: Sequence[float] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> "Budget":
        """Of what `prunekit.optimize_ratios` measured layer by layer, ``form="curves"``.

        ``targets`` are fractions of MACs, by default those from 10 % to 100 %, in steps of 2, that
        can be reached;
        ``names`` are what to call sites.
        """
        sites = [s for s in find_sites(model, example_inputs) if s.name in ratios.curves]
        curves = {
            name: {ratios.channels[name]: 0.0} | dict(curve)
            for name, curve in ratios.curves.items()
        }
        levels = {name: sorted(curve, reverse=True) for name, curve in curves.items()}
        of_sites = macs_cost(model, example_inputs, sites)

        def cost(widths: pro.Widths) -> float:
            return of_sites({site: widths[site.name] for site in sites})

        full = cost({name: keeps[0] for name, keeps in levels.items()})
        least = cost({name: keeps[-1] for name, keeps in levels.items()}) / full
        if targets is None:
            targets = [percent / 100 for percent in range(10, 101, 2) if percent / 100 >= least]

        def error(widths: pro.Widths) -> float:
            return sum(curves[name][keep] for name, keep in widths.items())

        called = {name: (names or {}).get(name, name) for name in curves}
        choices = []
        for target in targets:
            widths, _ = pro.greedy(levels, error, cost, budget=target * full)
            widths = pro.exchange(widths, levels, error, cost, target * full)
            found = {called[name]: keep for name, keep in widths.items()}
            choices.append((found, cost(widths) / full, error(widths)))
        channels = {called[name]: ratios.channels[name] for name in curves}
        curves = {called[name]: curve for name, curve in curves.items()}
        return cls(tuple(targets), tuple(choices), channels, curves, dict(measured))

    def at(self, target: float) -> Chosen:
        """The choice for the budget nearest to ``target``, a fraction of MACs."""
        place = int(np.abs(np.array(self.targets) - target).argmin())
        widths, kept, error = self.choices[place]
        target = self.targets[place]
        return Chosen(
            target,
            kept,
            widths,
            self.channels,
            self.curves,
            error,
            self._predicted(target, error),
            self.measured,
        )

    def _predicted(self, target: float, error: float) -> float | None:
        """Accuracy between the nearest measured points, in √D; the point itself is left out."""
        known = {}
        for place, (_, _, other) in zip(self.targets, self.choices, strict=True):
            if place in self.measured and place != target:
                known[other**0.5] = self.measured[place]
        if not known or not min(known) <= error**0.5 <= max(known):
            return None
        roots = sorted(known)
        return float(np.interp(error**0.5, roots, [known[root] for root in roots]))


def measure(
    ratios: Ratios,
    model: nn.Module,
    images: Tensor,
    test: ImageSet,
    targets: Sequence[float],
    **options: object,
) -> dict[float, float]:
    """Accuracy in percent of networks that are really pruned to PRO's widths for ``targets``."""
    chosen = Budget.from_ratios(ratios, model, images[:1], {}, targets)
    found = {1.0: accuracy(model, test)}
    for target, (widths, _, _) in zip(targets, chosen.choices, strict=True):
        share = {name: 1 - keep / ratios.channels[name] for name, keep in widths.items()}
        result = prune(model, images[:1], images, pruning_ratio=share, progress=False, **options)
        found[target] = accuracy(result.model, test)
    return found
