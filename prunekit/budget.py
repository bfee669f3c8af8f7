"""How many channels stay at each site: from ratios, or from a budget of MACs."""

import copy
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from numbers import Integral, Real

from torch import nn

from prunekit import surgery
from prunekit.cost import count_macs
from prunekit.inputs import Inputs
from prunekit.network import Site

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


def keep_count(channels: int, ratio: float) -> int:
    """Channels that stay at one site: at least one, else the nearest whole number (halves up)."""
    return max(1, channels - int(ratio * channels + 0.5))


def keep_counts(sites: Sequence[Site], pruning_ratio: Ratio) -> dict[Site, int]:
    """Channels that stay at every site.

    ``pruning_ratio`` is one ratio for all, or a dict by site name; names may be patterns
    (``layer1.*``), the first that matches counts, and sites without a match keep everything.
    """
    if not isinstance(pruning_ratio, Mapping):
        ratio = check_ratio(pruning_ratio)
        return {site: keep_count(site.channels, ratio) for site in sites}
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
    return {
        site: keep_count(
            site.channels, next((r for p, r in ratios.items() if fnmatchcase(site.name, p)), 0.0)
        )
        for site in sites
    }


def _macs_at(model: nn.Module, example: Inputs, sites: Sequence[Site], ratio: float) -> int:
    """MACs with every site pruned by ``ratio``; which channels go does not matter."""
    cut = copy.deepcopy(model)
    surgery.remove(cut, {s: range(keep_count(s.channels, ratio), s.channels) for s in sites})
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
    model: nn.Module, example: Inputs, sites: Sequence[Site], target_macs: float | int
) -> float:
    """The smallest uniform ratio that brings the network's MACs down to ``target_macs``.

    Parameters
    ----------
    target_macs : fraction of MACs kept (float, 0 < t ≤ 1), or an absolute count (int)

    Raises
    ------
    TypeError, ValueError
        Not such a number, or a budget that no ratio reaches; the message gives the range.
    """
    full = count_macs(model, example)
    budget = check_target(target_macs, full)
    # widths change only where ratio·channels passes a half; 1e-9 keeps rounding on the far side
    steps = {(i + 0.5) / s.channels + 1e-9 for s in sites for i in range(s.channels - 1)}
    steps = [0.0, *sorted(steps)]
    least = _macs_at(model, example, sites, steps[-1])
    if not least <= budget:
        raise ValueError(
            f"target_macs={target_macs} cannot be reached (an int is a count, a float a fraction): "
            "pruning these sites keeps between "
            f"{least:,} and {full:,} MACs ({least / full:.3f} to 1 of the whole)"
        )
    low, high = 0, len(steps) - 1  # steps[high] meets the budget
    while low < high:
        middle = (low + high) // 2
        if _macs_at(model, example, sites, steps[middle]) <= budget:
            high = middle
        else:
            low = middle + 1
    return steps[high]
