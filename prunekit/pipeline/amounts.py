"""How many channels stay at each site, from ratios; and what is refused."""

from collections.abc import Mapping, Sequence

from prunekit.algebra.arguments import number, optional, whole
from prunekit.network.sites import Site, matching

__all__ = [
    "Ratio",
    "check_amount",
    "check_ratio",
    "check_round_to",
    "keep_counts",
    "prunable_sites",
    "widths_of",
]

Ratio = float | Mapping[str, float]


def prunable_sites(sites: Sequence[Site]) -> list[Site]:
    """The sites without a reason against them; none at all is an error that lists the reasons."""
    prunable = [site for site in sites if site.reason is None]
    if not prunable:
        reasons = "\n".join(f"  {site.name}: {site.reason}" for site in sites)
        around = any("residual connection" in (site.reason or "") for site in sites)
        cure = "; those that residual connections add up can go with prune_residual=True"
        raise ValueError(
            f"model has no channels that can be pruned{cure if around else ''}:\n"
            f"{reasons or '  no layers'}"
        )
    return prunable


def check_ratio(ratio: object, name: str = "pruning_ratio") -> float:
    """A ratio 0 ≤ r < 1, the fraction of channels removed, or an error that says what was meant."""
    number()(ratio, name)
    if not 0 <= ratio < 1:
        hint = f": did you mean {ratio / 100:.2f}?" if 1 < ratio < 100 else ""
        raise ValueError(
            f"{name} is the fraction of channels removed, 0 ≤ r < 1, got {ratio!r:.40}{hint}"
        )
    return float(ratio)


def check_amount(*, round_to: int, **amounts: object) -> None:
    """Refuse several ways to say how much goes, or none; a ``round_to`` or error out of place."""
    given = [name for name, amount in amounts.items() if amount is not None]
    if len(given) != 1:
        *names, last = amounts
        got = " and ".join(f"{name}={amounts[name]!r:.40}" for name in given) or "none of them"
        raise ValueError(f"give one of {', '.join(names)} and {last}, got {got}")
    if check_round_to(round_to) > 1 and given[0] in ("max_error", "channels"):
        raise ValueError(
            f"round_to={round_to} does not go with {given[0]}, which says itself how many channels "
            "stay: give pruning_ratio or target_macs, or leave round_to out"
        )
    max_error = amounts["max_error"]
    optional(number())(max_error, "max_error")
    if max_error is not None and not 0 < max_error < 1:
        raise ValueError(f"max_error is a relative error, 0 < e < 1, got {max_error!r:.40}")


def check_round_to(round_to: object) -> int:
    """A number of channels, 1 or more, or an error that says what was expected."""
    whole(1)(round_to, "round_to")
    return int(round_to)


def keep_count(site: Site, ratio: float, round_to: int = 1) -> int:
    """Channels that stay at one site: at least one, else the nearest whole number (halves up).

    Rounded up to a multiple of ``round_to`` in its layers, and never more than there are.
    """
    n, multiple = site.channels, site.multiple(round_to)
    keep = max(1, n - int(ratio * n + 0.5))
    return min(n, -(-keep // multiple) * multiple)


def keep_counts(sites: Sequence[Site], pruning_ratio: Ratio, round_to: int = 1) -> dict[Site, int]:
    """Channels that stay at every site.

    ``pruning_ratio`` is one ratio for all, or a dict by site name; names may be patterns
    (``layer1.*``), the first that matches counts, and sites without a match keep everything.
    Where channels go, layers keep a multiple of ``round_to``.
    """
    if not isinstance(pruning_ratio, Mapping):
        ratio = check_ratio(pruning_ratio)
        return {site: keep_count(site, ratio, round_to) for site in sites}
    if not all(isinstance(pattern, str) for pattern in pruning_ratio):
        raise TypeError(f"pruning_ratio must map site names to ratios, got {list(pruning_ratio)}")
    ratios = {
        pattern: check_ratio(ratio, f"pruning_ratio[{pattern!r}]")
        for pattern, ratio in pruning_ratio.items()
    }
    names = [site.name for site in sites]
    chosen: dict[str, float] = {}
    for pattern, ratio in ratios.items():
        hits = matching(pattern, names)
        if not hits:
            raise ValueError(
                f"pruning_ratio[{pattern!r}] matches no site that can be pruned; these can: "
                f"{', '.join(names)}"
            )
        chosen = dict.fromkeys(hits, ratio) | chosen  # the first that matches counts
    return {site: keep_count(site, chosen.get(site.name, 0.0), round_to) for site in sites}


def widths_of(sites: Sequence[Site], pruning_ratio: Ratio, round_to: int = 1) -> dict[Site, int]:
    """`keep_counts`, but ratios above 0 that come to no channel at all are an error."""
    keep = keep_counts(sites, pruning_ratio, round_to)
    if pruning_ratio and all(keep[site] == site.channels for site in sites):
        lower = f", or lower round_to={round_to}" if round_to > 1 else ""
        raise ValueError(
            f"pruning_ratio={pruning_ratio} removes no channel anywhere: raise it{lower}"
        )
    return keep
