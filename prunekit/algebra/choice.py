"""Which is smallest, the same on every machine: near ties are decided by index.

Twins, mirrored or dead channels score alike, but for rounding, which differs between processors;
and a network computes its features to seven digits. So scores that differ by a millionth, or by a
billionth of ``scale``, count as equal (our choice): whichever goes, the loss is the same.
"""

import torch
from torch import Tensor

__all__ = ["first_smallest", "smallest_first"]

RELATIVE, OF_SCALE = 1e-6, 1e-9


def first_smallest(scores: Tensor, scale: float | Tensor = 0.0) -> Tensor:
    """The lowest index among the scores (n,) that are as good as the smallest; of each column.

    ``scale`` is what scores are small against, such as the energy of a layer's outputs: near zero,
    rounding has any size and either sign.
    """
    smallest = scores.amin(0)
    enough = smallest + RELATIVE * smallest.abs() + OF_SCALE * scale
    return (scores <= enough).int().argmax(0)  # argmax: the first that is True


def smallest_first(scores: Tensor) -> Tensor:
    """Indices of the scores (n,) in ascending order, equal ones by index."""
    values, order = scores.sort()
    steps = values.diff(prepend=values[:1])
    larger = steps > RELATIVE * values.abs() + OF_SCALE * scores.abs().max()
    rank = torch.empty_like(order).scatter(0, order, larger.cumsum(0))  # (n,) equal ones share it
    return rank.argsort(stable=True)
