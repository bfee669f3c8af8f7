"""The widgets of the course: put the call on the last line of a cell, and move the sliders."""

from prunekit.classroom.widgets.shelf import (
    before_and_after,
    duals_in_the_plane,
    elimination,
    neurons_that_agree,
    the_budget,
)

__all__ = [
    "before_and_after",
    "duals_in_the_plane",
    "elimination",
    "neurons_that_agree",
    "the_budget",
]
