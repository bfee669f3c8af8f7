"""Before and after: one image through the original network and through a pruned one."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from prunekit.classroom.data import ImageSet
from prunekit.network.recording import record
from prunekit.pipeline.pruning import PruningResult

__all__ = ["BeforeAfter", "Seen"]

SHOWN = 6  # images to choose from


@dataclass(frozen=True)
class Seen:
    """One image, one channel, and what two networks make of them.

    Attributes
    ----------
    image : (height, width, 3) or (height, width)
    before, after : (h, w) what the channel says in the original network and in the pruned one
    top : largest number of the channel's maps in the original, a scale for every setting
    before_odds, after_odds : (classes,) probabilities
    classes, label : names of the classes, and which one it is
    kept, repair, channel : the setting
    gone : whether the channel was removed; ``after`` is then what the others say for it
    """

    image: np.ndarray
    before: np.ndarray
    after: np.ndarray
    top: float
    before_odds: np.ndarray
    after_odds: np.ndarray
    classes: tuple[str, ...]
    label: int
    kept: float
    repair: str
    channel: int
    gone: bool

    @property
    def lost(self) -> float:
        """Part of the map's energy that the pruned network gets wrong."""
        return float(((self.before - self.after) ** 2).sum() / max((self.before**2).sum(), 1e-12))

    @property
    def sentence(self) -> str:
        answers = [
            f"{self.classes[odds.argmax()]} ({odds.max():.0%} sure)"
            for odds in (self.before_odds, self.after_odds)
        ]
        part = f"{self.lost:.0%}" if self.lost <= 1 else "more than 100%"  # it is nearly silent
        channel = f"{part} of channel {self.channel}'s map is wrong"
        if self.gone:
            channel = f"channel {self.channel} is gone, the others miss {part} of its map"
        return (
            f"{self.kept:.0%} of the MACs, {self.repair}: {channel}. The original says "
            f"{answers[0]}, the pruned network {answers[1]}; it is {self.classes[self.label]}."
        )


@dataclass(frozen=True)
class BeforeAfter:
    """Maps and answers of all networks for a few images, computed once."""

    images: np.ndarray  # (images, height, width[, 3])
    labels: np.ndarray
    classes: tuple[str, ...]
    maps: dict[tuple[str, float] | None, np.ndarray]  # (images, n, h, w); None: the original
    odds: dict[tuple[str, float] | None, np.ndarray]  # (images, classes)
    gone: dict[tuple[str, float], set[int]]  # channels that the layer lost
    tops: np.ndarray  # (n,)

    @classmethod
    def from_results(
        cls,
        original: nn.Module,
        pruned: Mapping[str, Mapping[float, PruningResult]],
        images: ImageSet,
        layer: str,
        site: str | None = None,
    ) -> "BeforeAfter":
        """Of prunings by repair and fraction of MACs kept, and the outputs of ``layer`` in them.

        Where ``layer`` lost channels, ``site`` is the pruned site that they belong to (by default
        the layer itself), and the map of a channel that is gone is what those that stayed say for
        it, by least squares over all images. The first few are shown.
        """
        maps, odds, gone = {}, {}, {}
        maps[None], odds[None] = _asked(original, layer, images.inputs)
        for repair, found in pruned.items():
            for fraction, result in found.items():
                key = repair, fraction
                said, odds[key] = _asked(result.model, layer, images.inputs)
                kept = _kept(result, site or layer, said.shape[1], maps[None].shape[1])
                maps[key] = _completed(said, kept, maps[None])
                gone[key] = set(range(maps[None].shape[1])) - set(kept)
        tops = abs(maps[None]).max((0, 2, 3))
        pixels = images.images[:SHOWN].permute(0, 2, 3, 1).squeeze(-1).numpy()
        labels, classes = images.labels[:SHOWN].numpy(), tuple(images.classes)
        return cls(pixels, labels, classes, maps, odds, gone, tops)

    @property
    def repairs(self) -> list[str]:
        """The repairs there are, in the order given."""
        return list(dict.fromkeys(key[0] for key in self.maps if key))

    @property
    def kept(self) -> list[float]:
        """The fractions of MACs kept that there are, ascending."""
        return sorted({key[1] for key in self.maps if key})

    @property
    def loudest(self) -> int:
        """The channel that says most to the first image."""
        return int((self.maps[None][0] ** 2).sum((1, 2)).argmax())

    def at(self, image: int, kept: float, repair: str, channel: int) -> Seen:
        """One image by its place, one pruned network, one channel of the layer."""
        if (repair, kept) not in self.maps:
            raise ValueError(f"there is no network with {repair!r} and {kept} of the MACs")
        known = (("image", image, len(self.images)), ("channel", channel, len(self.tops)))
        for name, value, count in known:
            if not 0 <= value < count:
                raise ValueError(f"{name} must lie in 0..{count - 1}, got {value}")
        return Seen(
            self.images[image],
            self.maps[None][image, channel],
            self.maps[repair, kept][image, channel],
            float(self.tops[channel]),
            self.odds[None][image],
            self.odds[repair, kept][image],
            self.classes,
            int(self.labels[image]),
            kept,
            repair,
            channel,
            channel in self.gone[repair, kept],
        )


def _kept(result: PruningResult, site: str, left: int, channels: int) -> list[int]:
    """Which of the ``channels`` the ``left`` ones are."""
    rows = {row.name: row for row in result.report.rows}
    if left == channels:
        return list(range(channels))
    if site not in rows or len(rows[site].kept) != left:
        raise ValueError(
            f"site must be the one whose {left} of {channels} channels the layer shows, one of "
            f"{', '.join(rows)}; got {site!r}"
        )
    return list(rows[site].kept)


def _completed(said: np.ndarray, kept: list[int], original: np.ndarray) -> np.ndarray:
    """Maps (images, n, h, w): of ``kept`` channels their own, else what these say for it."""
    full = np.empty_like(original)
    full[:, kept] = said
    lost = [c for c in range(full.shape[1]) if c not in kept]
    if lost:
        X = said.transpose(0, 2, 3, 1).reshape(-1, len(kept)).astype(np.float64)
        X = np.column_stack([X, np.ones(len(X))])  # the constant goes into a bias
        Y = original[:, lost].transpose(0, 2, 3, 1)  # (images, h, w, lost)
        guessed = X @ np.linalg.lstsq(X, Y.reshape(-1, len(lost)), rcond=None)[0]
        full[:, lost] = guessed.reshape(Y.shape).transpose(0, 3, 1, 2)
    return full


@torch.no_grad()
def _asked(network: nn.Module, layer: str, inputs: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of ``layer`` (images, n, h, w), and probabilities (images, classes)."""
    names = dict(network.named_modules())
    if layer not in names or not layer:
        raise ValueError(f"layer must be one of the network's, got {layer!r}")
    ((_, said),) = record(network, {layer: 1}, inputs)[layer]
    if said.ndim != 4:
        raise ValueError(f"layer {layer!r} makes no feature maps: its output is {said.ndim}-D")
    return said.numpy(), network(inputs).softmax(1).numpy()
