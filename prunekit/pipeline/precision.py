"""What few digits cost: weights are found in float64, and kept in the dtype of their layer."""

from collections.abc import Sequence

import torch

from prunekit.algebra.elimination import Weights
from prunekit.algebra.warning import warn

__all__ = ["Loss", "as_kept", "warn_of"]

MUCH = 2  # times an error in float64, and by more than nothing (our choice)

Loss = tuple[
    str, float, float
]  # of a site: its relative error in float64, and as its layers keep it


def as_kept(weights: Sequence[Weights], dtype: torch.dtype) -> list[Weights]:
    """W and b of each consumer, rounded as a layer of ``dtype`` rounds them; float64 again."""
    return [(W.to(dtype).to(W.dtype), b.to(dtype).to(b.dtype)) for W, b in weights]


def warn_of(losses: Sequence[Loss], dtype: torch.dtype) -> None:
    """One warning, where rounding makes `MUCH` of an error."""
    much = [
        (after - before, name) for name, before, after in losses if after > MUCH * before + 1e-4
    ]
    if much:
        _, worst = max(much)
        before, after = next((b, a) for name, b, a in losses if name == worst)
        warn(
            f"model is kept in {dtype}, whose few digits cost {len(much)} of {len(losses)} pruned "
            f"sites more than pruning does: at {worst} the relative error is {after:.2g}, in "
            f"float64 {before:.2g}; prune and use model.float(), or raise ridge, which keeps "
            "weights small"
        )
