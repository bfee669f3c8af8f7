"""Images shifted, mirrored and mixed: more of them from the few that there are, without labels."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["mirrored", "mixed", "shift_and_flip"]


def shift_and_flip(images: Tensor, generator: torch.Generator, margin: int = 4) -> Tensor:
    """The usual augmentation of small images: a random shift by up to ``margin``, a random flip."""
    count, _, height, width = images.shape
    padded = F.pad(images, (margin,) * 4)  # (count, C, H + 2·margin, W + 2·margin)
    shift = torch.randint(0, 2 * margin + 1, (2, count, 1), generator=generator)
    rows = torch.arange(height) + shift[0]  # (count, H)
    cols = torch.arange(width) + shift[1]  # (count, W)
    flip = torch.rand(count, 1, generator=generator) < 0.5
    cols = torch.where(flip, cols.flip(1), cols)
    picked = padded[torch.arange(count)[:, None, None], :, rows[:, :, None], cols[:, None, :]]
    return picked.permute(0, 3, 1, 2)  # (count, C, H, W)


def mirrored(images: Any) -> Tensor:
    """Images (batch, channels, height, width), left and right exchanged."""
    if not isinstance(images, Tensor) or images.ndim != 4:
        shape = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(f"mirror needs images (batch, channels, height, width), got {shape}")
    return images.flip(-1)


def mixed(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image with another one shining through, by up to a half."""
    share = torch.rand(len(images), 1, 1, 1, generator=generator).to(images) / 2
    return (1 - share) * images + share * images.flip(0)
