"""PRO's search for widths on a network: with a progress bar, and until the budget really holds."""

from tqdm.auto import tqdm

from prunekit import pro
from prunekit.network.sites import Site
from prunekit.pipeline.budget import Budget
from prunekit.pipeline.interpolation import between, spread
from prunekit.pipeline.trial import Trial

__all__ = ["FORMS", "Search"]

FORMS = ("curves", "greedy")
TRIES = 5  # times to aim lower where the cost is measured and misses what was predicted

Found = tuple[dict[Site, int], list[pro.Decision]]


class Search:
    """Looks for widths.

    Parameters
    ----------
    trial : measures D
    levels : the widths that each site may take
    budget : predicts the cost
    points : widths of a site that curves are measured at, and drawn between; all by default
    """

    def __init__(
        self,
        trial: Trial,
        levels: dict[Site, list[int]],
        budget: Budget,
        progress: bool,
        points: int | None = None,
    ) -> None:
        self.trial, self.levels, self.budget, self.progress = trial, levels, budget, progress
        self.points = points

    def alone(self) -> pro.Error:
        """D of each site alone, measured with a bar, as a function of {site: keep}."""
        some = {s: spread(k, self.points or len(k)) for s, k in self.levels.items()}
        todo = [(site, keep) for site, keeps in some.items() for keep in keeps]
        found: dict[Site, dict[int, float]] = {site: {} for site in some}
        for site, keep in tqdm(todo, desc="PRO curves", unit="trial", disable=not self.progress):
            found[site][keep] = self.trial.error({site: keep})
        return between(found)

    def below(self, max_error: float, form: str) -> Found:
        """The least cost whose D is no more than ``max_error``."""
        if all(len(keeps) == 1 for keeps in self.levels.values()):
            raise ValueError(
                f"max_error={max_error} is met by no step, for there is none: no site has a width "
                "that saves anything; lower round_to, or step"
            )
        try:
            return getattr(self, f"_{form}")(0.0, max_error)
        except pro.Unreachable as error:
            raise ValueError(
                f"max_error={max_error} is met by no step: the smallest D of one is "
                f"{error.best:.3g}"
            ) from None

    def within_budget(self, form: str) -> Found:
        """The least D whose cost is within the budget.

        MACs and parameters are predicted exactly. Seconds do not quite add up: aim lower until the
        network is fast enough.
        """
        aim, limit = self.budget.limit, self.budget.limit
        for _ in range(TRIES):
            try:
                found = getattr(self, f"_{form}")(aim, float("inf"))
            except pro.Unreachable as error:
                raise ValueError(self._missed(aim, error.best)) from None
            spent = self.budget.measure(found[0])
            if spent <= limit:
                return found
            aim *= 0.98 * limit / spent
        raise ValueError(self._missed(limit, spent))

    def _missed(self, aim: float, best: float) -> str:
        return (
            f"{self.budget.argument}={self.budget.asked} cannot be reached: aiming at {aim:.3g} "
            f"{self.budget.unit}, the walk ended at {best:.3g}: give a larger budget"
        )

    def _curves(self, limit: float, max_error: float) -> Found:
        """Measure each site alone, then choose by the sum."""
        alone = self.alone()

        def error(widths: pro.Widths) -> float:
            return alone(widths) if len(widths) == 1 else self.trial.error(widths)

        return pro.curves(self.levels, error, self.budget.cost, budget=limit, max_error=max_error)

    def _greedy(self, limit: float, max_error: float) -> Found:
        """Measure the whole network at every step."""
        full = self.budget.cost({site: keeps[0] for site, keeps in self.levels.items()})
        total = round(100 * (1 - limit / full)) if limit else None
        with tqdm(total=total, desc="PRO greedy", unit="% saved", disable=not self.progress) as bar:

            def committed(decision: pro.Decision) -> None:
                saved = round(100 * (1 - decision.cost / full))
                bar.set_postfix_str(f"D = {decision.error:.3g}")
                bar.update(min(saved, total or saved) - bar.n)

            return pro.greedy(
                self.levels,
                self.trial.error,
                self.budget.cost,
                budget=limit,
                max_error=max_error,
                committed=committed,
            )
