"""How many channels stay at each site: from ratios, or from a budget of MACs."""

import copy
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from numbers import Integral, Real

from torch import nn

from prunekit.network import surgery
from prunekit.network.cost import count_macs
from prunekit.network.inputs import Inputs
from prunekit.network.sites import Site

Ratio = float | Mapping[str, float]


def check_ratio(ratio: object, name: str = "pruning_ratio") -> float:
    """A ratio 0 ≤ r < 1, the fraction of channels removed, or an error that says what was meant."""
    if isinstance(ratio, bool) or not isinstance(ratio, Real):
        raise TypeError(f"{name} must be a number 0 ≤ r < 1, got {ratio!r}")
    if not 0 <= ratio < 1:
        hint = f": did you mean {ratio / 100:.2f}?" if 1 < ratio < 100 else ""
        raise ValueError(
            f"{name} is the fraction of channels removed, 0 ≤ r < 1, got {ratio}{hint}"
        )
    return float(ratio)


def check_amount(*, round_to: int, **amounts: object) -> None:
    """Refuse several ways to say how much goes, or none, and a ``round_to`` that goes with none."""
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


def check_round_to(round_to: object) -> int:
    """A number of channels, 1 or more, or an error that says what was expected."""
    if isinstance(round_to, bool) or not isinstance(round_to, Integral):
        raise TypeError(f"round_to must be a whole number of channels, got {round_to!r}")
    if round_to < 1:
        raise ValueError(f"round_to must be 1 or more channels, such as 8, got {round_to}")
    return int(round_to)


def rounded_up(keep: int, channels: int, round_to: int) -> int:
    """The next multiple of ``round_to`` channels, and never more than there are."""
    return min(channels, -(-keep // round_to) * round_to)


def keep_count(channels: int, ratio: float, round_to: int = 1) -> int:
    """Channels that stay at one site: at least one, else the nearest whole number (halves up)."""
    return rounded_up(max(1, channels - int(ratio * channels + 0.5)), channels, round_to)


def keep_counts(sites: Sequence[Site], pruning_ratio: Ratio, round_to: int = 1) -> dict[Site, int]:
    """Channels that stay at every site.

    ``pruning_ratio`` is one ratio for all, or a dict by site name; names may be patterns
    (``layer1.*``), the first that matches counts, and sites without a match keep everything.
    Where channels go, a multiple of ``round_to`` stays.
    """
    if not isinstance(pruning_ratio, Mapping):
        ratio = check_ratio(pruning_ratio)
        return {site: keep_count(site.channels, ratio, round_to) for site in sites}
    if not all(isinstance(pattern, str) for pattern in pruning_ratio):
        raise TypeError(f"pruning_ratio must map site names to ratios, got {list(pruning_ratio)}")
    ratios = {
        pattern: check_ratio(ratio, f"pruning_ratio[{pattern!r}]")
        for pattern, ratio in pruning_ratio.items()
    }
    for pattern in ratios:
        if not any(fnmatchcase(site.name, pattern) for site in sites):
            names = ", ".join(site.name for site in sites)
            raise ValueError(
                f"pruning_ratio[{pattern!r}] matches no site that can be pruned; these can: {names}"
            )

    def ratio_of(site: Site) -> float:
        return next((r for pattern, r in ratios.items() if fnmatchcase(site.name, pattern)), 0.0)

    return {site: keep_count(site.channels, ratio_of(site), round_to) for site in sites}


def _macs_at(model: nn.Module, example: Inputs, keep: Mapping[Site, int]) -> int:
    """MACs with so many channels at each site; which channels go does not matter."""
    cut = copy.deepcopy(model)
    surgery.remove(cut, {site: range(k, site.channels) for site, k in keep.items()})
    return count_macs(cut, example)


def check_target(target: object, full: float = 1, name: str = "target_macs") -> float:
    """A fraction of ``full`` (float) or a number (int) as that number, or an error with a cure."""
    if isinstance(target, bool) or not isinstance(target, Real):
        raise TypeError(f"{name} must be a float in (0, 1] or an int, got {target!r}")
    if isinstance(target, Integral):
        return int(target)
    if not 0 < target <= 1:
        hint = f": did you mean {target / 100:.2f}?" if 1 < target <= 100 else ""
        raise ValueError(
            f"{name} as a float is the fraction kept, 0 < t ≤ 1, got {target}; "
            f"an absolute count must be an int{hint}"
        )
    return target * full


def uniform_ratio(
    model: nn.Module,
    example: Inputs,
    sites: Sequence[Site],
    target_macs: float | int,
    round_to: int = 1,
) -> float:
    """The smallest uniform ratio that brings the network's MACs down to ``target_macs``.

    Parameters
    ----------
    target_macs : fraction of MACs kept (float, 0 < t ≤ 1), or an absolute count (int)
    round_to : widths are multiples of it

    Raises
    ------
    TypeError, ValueError
        Not such a number, or a budget that no ratio reaches; the message gives the range.
    """
    full = count_macs(model, example)
    if not full:
        raise ValueError(
            "target_macs: the model has no MACs that can be counted (convolutions, linear layers, "
            "matrix products): give pruning_ratio instead"
        )
    budget = check_target(target_macs, full)
    if budget > full:
        raise ValueError(
            f"target_macs={target_macs} is more than the {full:,} MACs that the network has: give "
            "fewer, or a fraction kept such as 0.5"
        )

    def macs(ratio: float) -> int:
        return _macs_at(model, example, keep_counts(sites, ratio, round_to))

    # widths change only where ratio·channels passes a half; 1e-9 keeps rounding on the far side
    steps = {(i + 0.5) / s.channels + 1e-9 for s in sites for i in range(s.channels - 1)}
    steps = [0.0, *sorted(steps)]
    least = macs(steps[-1])
    if not least <= budget:
        rounded = f" to multiples of {round_to}" if round_to > 1 else ""
        raise ValueError(
            f"target_macs={target_macs} cannot be reached (an int is a count, a float a fraction): "
            f"pruning these sites{rounded} keeps between "
            f"{least:,} and {full:,} MACs ({least / full:.3f} to 1 of the whole)"
        )
    low, high = 0, len(steps) - 1  # steps[high] meets the budget
    while low < high:
        middle = (low + high) // 2
        if macs(steps[middle]) <= budget:
            high = middle
        else:
            low = middle + 1
    return steps[high]


def widths_of(sites: Sequence[Site], pruning_ratio: Ratio, round_to: int = 1) -> dict[Site, int]:
    """`keep_counts`, but ratios above 0 that come to no channel at all are an error."""
    keep = keep_counts(sites, pruning_ratio, round_to)
    if pruning_ratio and all(keep[site] == site.channels for site in sites):
        lower = f", or lower round_to={round_to}" if round_to > 1 else ""
        raise ValueError(
            f"pruning_ratio={pruning_ratio} removes no channel anywhere: raise it{lower}"
        )
    return keep


def widths_within(
    model: nn.Module,
    example: Inputs,
    sites: Sequence[Site],
    target_macs: float | int,
    round_to: int = 1,
) -> dict[Site, int]:
    """Channels that stay at every site within a budget of MACs, by one uniform ratio."""
    ratio = uniform_ratio(model, example, sites, target_macs, round_to)
    return keep_counts(sites, ratio, round_to)
