"""Curves from few measurements: D of one layer alone, drawn between the widths that were measured.

Source: our choice. D grows over many orders of magnitude, and its logarithm is nearly straight.
"""

from collections.abc import Hashable, Mapping, Sequence
from math import exp, log

from prunekit.pro import Error, Widths

__all__ = ["between", "spread"]


def spread(keeps: Sequence[int], count: int) -> list[int]:
    """About ``count`` of the widths below the first; the next and the last are among them."""
    last, gaps = len(keeps) - 1, max(count - 1, 1)
    steps = {round(1 + i * (last - 1) / gaps) for i in range(gaps + 1)} if last else set()
    return [keeps[step] for step in sorted(steps)]


def between(measured: Mapping[Hashable, Mapping[int, float]]) -> Error:
    """D of one layer alone at any width: of the widths measured, or on a line of log D."""

    def error(widths: Widths) -> float:
        ((layer, keep),) = widths.items()
        known = measured[layer]
        if keep in known or keep > max(known, default=0):
            return known.get(keep, 0.0)  # wider than the widest measured: nothing goes
        low = max(width for width in known if width < keep)
        high = min(width for width in known if width > keep)
        floor = 1e-9 * max(known.values()) + 1e-300
        start, end = (log(max(known[width], floor)) for width in (low, high))
        return exp(start + (keep - low) / (high - low) * (end - start))

    return error
