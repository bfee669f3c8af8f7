"""Warnings that point at the line of the user's that called prunekit, however deep they arise."""

import sys
import warnings

__all__ = ["warn"]

OURS = __name__.partition(".")[0]


def warn(words: str) -> None:
    """A `UserWarning`, of the line that called the outermost function of prunekit."""
    frame, level, outermost = sys._getframe(1), 1, 1
    while frame is not None:
        level += 1
        if frame.f_globals.get("__name__", "").partition(".")[0] == OURS:
            outermost = level
        frame = frame.f_back
    warnings.warn(words, stacklevel=outermost + 1)
