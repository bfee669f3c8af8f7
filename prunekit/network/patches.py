"""Second moments of a convolution's patches, without cutting any patch out.

A column of X is what one tap t of the kernel sees of one channel, at every output position p: x at
r = p + t, and zero in the padding. So an entry of the Gram matrix,

    G[(c, t), (c', t')] = Σ_p x_c(p + t) x_c'(p + t') = Σ_r x_c(r) x_c'(r + δ)      δ = t' − t

depends on the displacement δ of two taps, but for the positions r that tap t comes to. Of all r it
is the gradient of a convolution by its weights, as B = XᵀY is, which PyTorch computes without
patches; the strips along the border where t does not come are taken off. That gradient is computed
in the dtype of the images, over some hundred positions at a time, and added up in float64.

    x = x̃ + μ inside the image:    Gram of x̃, plus μ times sums of x̃, plus μμᵀ times counts

so that a large mean costs no digits. Source: our derivation.
"""

from collections.abc import Iterator, Sequence
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prunekit.algebra.moments import Moments, float64
from prunekit.network.layers import has_own_forward, padding_of

__all__ = ["Patches", "are_regular"]

Span = tuple[int, int]  # positions from … to before …, along one axis
Box = tuple[Span, ...]  # of positions r, an axis each
Tap = tuple[int, ...]  # where it looks, seen from the output position
AT_ONCE = 512  # positions whose products are added up in float32
ROUNDING = 1e-6  # of what is added up so


def are_regular(layer: nn.Module, shape: Sequence[int]) -> bool:
    """Whether taps step from position to position, see zeros outside, and mostly the inside.

    ``shape`` is that of the maps that the layer takes. Of a tap that hardly sees the inside the
    difference between all positions and a strip would be left, which is mostly rounding.
    """
    return (
        isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d))
        and not has_own_forward(layer)
        and set(layer.stride) == {1}
        and layer.padding_mode == "zeros"
        and all(
            n >= 2 * d * (k - 1)
            for n, d, k in zip(shape, layer.dilation, layer.kernel_size, strict=True)
        )
    )


class Patches:
    """Moments of X and Y of a convolution (or of one of its groups), batch by batch of images."""

    def __init__(self, layer: nn.Module) -> None:
        pads = padding_of(layer)[::-1]  # after and before, first axis first
        self._kernel, self._dilation = layer.kernel_size, layer.dilation
        self._margins = list(zip(pads[1::2], pads[::2], strict=True))
        axes = zip(self._kernel, self._dilation, self._margins, strict=True)
        self._taps: list[Tap] = list(
            product(*([d * i - before for i in range(k)] for k, d, (before, _) in axes))
        )
        self._done, self._shape = Moments(), None

    def update(self, x: Tensor, y: Tensor | None = None) -> None:
        """Add what the layer takes and is to give: (images, channels, *positions)."""
        y = self._nothing(x) if y is None else y
        if (x.shape[2:], y.shape[2:]) != self._shape:
            self._begin(x, y)
        x, y = x - self._mu_x.to(x), y - self._mu_y.to(y)
        self._images += len(x)
        self._sum_x += float64(x).sum(0)
        self._sum_y += float64(y).sum(0)
        self._sum_yy += float64(y).square().flatten(2).sum((0, 2))
        some = max(1, AT_ONCE // x[0, 0].numel())
        for u, v in zip(x.split(some), y.split(some), strict=True):
            self._all += self._gradient(u, u, doubled=True)
            if v.shape[1]:
                self._cross += self._gradient(u, v)
        for (box, by), found in self._strips.items():
            # Σ x(r) x(r + δ)ᵀ over a box of r: (channels, channels)
            found.addmm_(_cut(x, box), _cut(x, _moved(box, by)).T)

    def _nothing(self, x: Tensor) -> Tensor:
        """No outputs, at each output position."""
        axes = zip(x.shape[2:], self._kernel, self._dilation, self._margins, strict=True)
        return x.new_empty(len(x), 0, *(n + sum(m) - d * (k - 1) for n, k, d, m in axes))

    def _begin(self, x: Tensor, y: Tensor) -> None:
        """Images of another size: their own sums."""
        self._done, self._shape, self._images = self.moments(), (x.shape[2:], y.shape[2:]), 0
        self._mu_x, self._mu_y = _center(x), _center(y)
        self._rounding = Moments.rounding if x.dtype == torch.float64 else ROUNDING
        self._sum_x, self._sum_y = (torch.zeros_like(float64(v[0])) for v in (x, y))
        self._sum_yy = self._sum_y.new_zeros(y.shape[1])
        n, taken, given = x.shape[1], x.shape[2:], y.shape[2:]
        self._all = self._sum_x.new_zeros(n, n, *(2 * k - 1 for k in self._kernel))
        self._cross = self._sum_x.new_zeros(y.shape[1], n, *self._kernel)
        boxes = [tuple(map(_seen, tap, taken, given)) for tap in self._taps]
        self._pairs = list(_pairs(self._taps, boxes, taken))
        keys = {(box, by) for _, _, by, strips in self._pairs for box in strips}
        self._strips = {key: self._sum_x.new_zeros(n, n) for key in sorted(keys)}

    def _gradient(self, x: Tensor, y: Tensor, doubled: bool = False) -> Tensor:
        """Σ y(p) x(p + t)ᵀ for every tap t, or for every displacement: (outputs, channels, *t)."""
        dims, pads = len(self._kernel), [p for m in reversed(self._margins) for p in m]
        if doubled:
            pads = [d * (k - 1) for d, k in zip(self._dilation, self._kernel, strict=True)]
            kernel = [2 * k - 1 for k in self._kernel]
        else:
            x, pads, kernel = F.pad(x, pads), [0] * dims, self._kernel
        weight = x.new_empty(y.shape[1], x.shape[1], *kernel)
        how = ([1] * dims, pads, self._dilation, False, [0] * dims, 1, [False, True, False])
        return float64(torch.ops.aten.convolution_backward(y, x, weight, None, *how)[1])

    def moments(self) -> Moments:
        """All that came so far."""
        if self._shape is None:
            return self._done
        sum_x, ones = self._unfolded(self._sum_x), self._unfolded(torch.ones_like(self._sum_x[:1]))
        (n, taps, positions), inside = sum_x.shape, ones[0]  # (taps, positions): 1, or 0 outside
        mu_x, mu_y, sum_y = self._mu_x.flatten(), self._mu_y.flatten(), self._sum_y.flatten(1)
        gram = sum_x.new_empty(n, taps, n, taps)
        middle = [k - 1 for k in self._kernel]
        for i, j, by, strips in self._pairs:
            at = [m + d // s for m, d, s in zip(middle, by, self._dilation, strict=True)]
            # the gradient's rows say r, its columns r + δ
            block = self._all[(..., *at)] - sum(self._strips[strip, by] for strip in strips)
            gram[:, i, :, j], gram[:, j, :, i] = block, block.T
        # Σ x̃_c(p + t), where p + t' is inside too: (channels, taps, taps)
        beside = torch.einsum("ctp,sp->cts", sum_x, inside)
        gram += torch.einsum("cts,d->ctds", beside, mu_x)
        gram += torch.einsum("dst,c->ctds", beside, mu_x)
        gram += self._images * torch.einsum("c,d,ts->ctds", mu_x, mu_x, inside @ inside.T)
        cross = self._cross.flatten(2).permute(1, 2, 0) + mu_x[:, None, None] * (inside @ sum_y.T)
        part = Moments()
        part.count, part.rounding = self._images * positions, self._rounding
        part.mean_x = (sum_x.sum(2) + self._images * torch.outer(mu_x, inside.sum(1))).flatten()
        part.mean_x /= part.count
        mean_y = sum_y.sum(1) / part.count  # less μ
        outer = part.count * torch.outer(part.mean_x, part.mean_x)
        part.scatter_xx = gram.view(n * taps, n * taps) - outer
        # a tap that sees next to nothing of a channel is not left with less than roundings
        whole = part.scatter_xx.diagonal().view(n, taps).amax(1)
        part.scatter_xx.diagonal().add_(0.3 * self._rounding * whole.repeat_interleave(taps))
        part.scatter_xy = cross.flatten(0, 1) - part.count * torch.outer(part.mean_x, mean_y)
        part.scatter_yy = (self._sum_yy - part.count * mean_y.square()).clamp(min=0)
        part.mean_y = mean_y + mu_y
        if not (part.scatter_xx.isfinite().all() and part.scatter_yy.isfinite().all()):
            raise ValueError("X and Y must be finite, got NaN or infinite numbers")
        return Moments().merge(self._done).merge(part)

    def _unfolded(self, x: Tensor) -> Tensor:
        """What each tap sees of maps (channels, *positions): (channels, taps, positions)."""
        x = F.pad(x, [p for margins in reversed(self._margins) for p in margins])
        for axis, (k, d) in enumerate(zip(self._kernel, self._dilation, strict=True), start=1):
            x = x.unfold(axis, d * (k - 1) + 1, 1)[..., ::d]
        dims = len(self._kernel)  # x: (channels, *positions, *kernel)
        return x.flatten(dims + 1).flatten(1, dims).transpose(1, 2)


def _center(x: Tensor) -> Tensor:
    """The mean of each channel (channels, 1, …), or 0 where it is small beside the spread.

    Zeros, of which a ReLU makes many, are best left at that: their products are exact.
    """
    some = x.transpose(0, 1).flatten(1)
    mean, energy = some.mean(1), some.square().mean(1)
    mean = mean.where(mean.square() > 0.9 * energy, 0.0)
    return float64(mean.view(-1, *[1] * (x.ndim - 2)))


def _pairs(
    taps: Sequence[Tap], boxes: Sequence[Box], shape: Sequence[int]
) -> Iterator[tuple[int, int, Tap, list[Box]]]:
    """Pairs of taps, their displacement, and the strips of r where the first does not come."""
    for (i, one), (j, other) in product(enumerate(taps), repeat=2):
        by = tuple(b - a for a, b in zip(one, other, strict=True))
        if by >= tuple(-d for d in by):  # the others are transposed
            # r, and r + δ, inside the image
            whole = tuple(_both((0, n), (-d, n - d)) for d, n in zip(by, shape, strict=True))
            yield i, j, by, list(_outside(whole, tuple(map(_both, whole, boxes[i]))))


def _seen(tap: int, taken: int, given: int) -> Span:
    """Which r of an axis a tap comes to: p + tap for every output p, inside the image."""
    return _both((0, taken), (tap, given + tap))


def _both(one: Span, other: Span) -> Span:
    start, stop = max(one[0], other[0]), min(one[1], other[1])
    return (start, stop) if start < stop else (one[0], one[0])


def _moved(box: Box, by: Tap) -> Box:
    return tuple((start + d, stop + d) for (start, stop), d in zip(box, by, strict=True))


def _cut(x: Tensor, box: Box) -> Tensor:
    """x at the positions of a box: (channels, images·positions), in float64."""
    return float64(x[(..., *(slice(*span) for span in box))]).transpose(0, 1).flatten(1)


def _outside(whole: Box, inside: Box) -> Iterator[Box]:
    """Boxes that make up what of ``whole`` is not ``inside``."""
    for axis, ((a, b), (c, d)) in enumerate(zip(whole, inside, strict=True)):
        for span in ((a, c), (d, b)):
            box = (*inside[:axis], span, *whole[axis + 1 :])
            if all(start < stop for start, stop in box):
                yield box
