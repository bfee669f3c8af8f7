"""Several layers that hear the same n channels, as one least squares: their errors add up.

A channel owns k_i columns at layer i; here it owns K = Σ k_i columns, which stand together, and the
outputs of all layers stand side by side. Between layers all moments are zero, so H, the scores and
the weights come out layer by layer, and every formula for one layer holds for several.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from prunekit.algebra.moments import Moments

__all__ = ["join", "split", "wide"]


def _spans(sizes: Sequence[int]) -> Iterator[slice]:
    start = 0
    for size in sizes:
        yield slice(start, start + size)
        start += size


def wide(matrices: Sequence[Tensor], n: int) -> Tensor:
    """(n·K, Σ outputs) from one matrix (n·k_i, outputs_i) per layer."""
    if len(matrices) == 1:
        return matrices[0]
    ks, outputs = [len(m) // n for m in matrices], [m.shape[1] for m in matrices]
    joined = matrices[0].new_zeros(n, sum(ks), sum(outputs))
    for m, k, o in zip(matrices, _spans(ks), _spans(outputs), strict=True):
        joined[:, k, o] = m.reshape(n, -1, m.shape[1])
    return joined.view(n * sum(ks), -1)


def split(W: Tensor, b: Tensor, shapes: Sequence[tuple[int, int]], n: int) -> list[tuple]:
    """W (n·k_i, outputs_i) and b (outputs_i,) of each layer; ``shapes`` are (k_i, outputs_i)."""
    W = W.reshape(n, -1, W.shape[1])
    spans = zip(_spans([k for k, _ in shapes]), _spans([o for _, o in shapes]), strict=True)
    return [(W[:, k, o].reshape(-1, o.stop - o.start), b[o]) for k, o in spans]


def join(parts: Sequence[Moments], n: int) -> Moments:
    """The moments of n channels at several layers as one."""
    return parts[0] if len(parts) == 1 else _Joined(parts, n)


class _Joined(Moments):
    """Moments of several layers; ``count`` is per output (outputs,)."""

    def __init__(self, parts: Sequence[Moments], n: int) -> None:
        self._parts, self._n = list(parts), n
        self.count = torch.cat([torch.full_like(part.mean_y, part.count) for part in parts])
        self.mean_x = torch.cat([part.mean_x.view(n, -1) for part in parts], 1).flatten()
        self.mean_y = torch.cat([part.mean_y for part in parts])
        self.scatter_yy = torch.cat([part.scatter_yy for part in parts])
        self.scatter_xx = self._square([part.scatter_xx for part in parts])
        self.scatter_xy = wide([part.scatter_xy for part in parts], n)

    def _square(self, matrices: Sequence[Tensor]) -> Tensor:
        """(n·K, n·K) from one matrix (n·k_i, n·k_i) per layer."""
        n, ks = self._n, [len(m) // self._n for m in matrices]
        joined = matrices[0].new_zeros(n, sum(ks), n, sum(ks))
        for m, k in zip(matrices, _spans(ks), strict=True):
            joined[:, k, :, k] = m.view(n, k.stop - k.start, n, -1)
        return joined.view(n * sum(ks), -1)

    @property
    def gram(self) -> Tensor:
        """G, not centred."""
        return self._square([part.gram for part in self._parts])

    def cross_less(self, b: Tensor) -> Tensor:
        """Xᵀ(Y − b), not centred."""
        pieces = b.split([len(part.mean_y) for part in self._parts])
        crosses = [p.cross_less(piece) for p, piece in zip(self._parts, pieces, strict=True)]
        return wide(crosses, self._n)
