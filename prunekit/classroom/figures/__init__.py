"""Figures of the course: one style, each with the sentence that says what is to be seen.

A figure function takes numbers and returns a matplotlib Figure; `show` prints its sentence and then
the picture. Nothing here computes: what is drawn comes from the caller. What several notebooks use
is in `common`; the rest has a file per notebook.
"""

from prunekit.classroom.figures import behavior, beyond, compare, duals, pro
from prunekit.classroom.figures.common import (
    accuracy_against_macs,
    accuracy_bars,
    changes,
    costs,
    error_against_channels,
    images,
    new,
    removal,
    show,
    stand_ins,
    training_curve,
    widths,
)

__all__ = [
    "accuracy_against_macs",
    "accuracy_bars",
    "behavior",
    "beyond",
    "changes",
    "compare",
    "costs",
    "duals",
    "error_against_channels",
    "images",
    "new",
    "pro",
    "removal",
    "show",
    "stand_ins",
    "training_curve",
    "widths",
]
