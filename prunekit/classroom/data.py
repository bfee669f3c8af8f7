"""Three data sets, each as uint8 images and labels, with one normalisation each.

============  ==========================  =========  ==================================
name          what                        images     normalisation (of pixels in [0, 1])
============  ==========================  =========  ==================================
`digits`      handwriting, real           8×8×1      mean 0.31, std 0.38
`shapes32`    shapes × textures, drawn    32×32×3    mean 0.5, std 0.25
`cifar10`     photographs, real           32×32×3    mean 0.485 0.456 0.406,
                                                     std 0.229 0.224 0.225 (per channel)
============  ==========================  =========  ==================================

`digits` and `shapes32` need nothing but this package. `cifar10` is looked for on this machine and
downloaded only when asked.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from prunekit.classroom import drawing

__all__ = ["ImageSet", "cifar10", "digits", "find_cifar10", "load", "shapes32"]


@dataclass(frozen=True)
class ImageSet:
    """Images with labels, and the one normalisation that belongs to them.

    Attributes
    ----------
    images : uint8 Tensor (count, channels, height, width)
    labels : int64 Tensor (count,)
    classes : names of the labels
    mean, std : per channel, of pixel values in [0, 1]
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def normalize(self, images: Tensor) -> Tensor:
        """uint8 images (count, C, H, W) → float32 network inputs of the same shape."""
        mean = torch.tensor(self.mean).view(-1, 1, 1)  # (channels, 1, 1)
        std = torch.tensor(self.std).view(-1, 1, 1)
        return (images.float() / 255 - mean) / std

    @property
    def inputs(self) -> Tensor:
        """All images as float32 network inputs (count, channels, height, width)."""
        return self.normalize(self.images)

    def sample(self, count: int, seed: int = 0) -> "ImageSet":
        """``count`` images drawn without replacement; the same seed draws the same ones."""
        if not 0 < count <= len(self):
            raise ValueError(
                f"count must lie in 1..{len(self)} (the images there are), got {count}"
            )
        ids = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))[:count]
        return replace(self, images=self.images[ids], labels=self.labels[ids])

    def batches(self, size: int = 250) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (inputs, labels), ``size`` images at a time, in order."""
        for images, labels in zip(self.images.split(size), self.labels.split(size), strict=True):
            yield self.normalize(images), labels


def load(name: str, split: str, download: bool = False) -> ImageSet:
    """The ``"train"`` or ``"test"`` part of ``"digits"``, ``"shapes32"`` or ``"cifar10"``."""
    if name == "cifar10":
        return cifar10(split, download=download)
    if name not in ("digits", "shapes32"):
        raise ValueError(f"name must be 'digits', 'shapes32' or 'cifar10', got {name!r}")
    return {"digits": digits, "shapes32": shapes32}[name](split)


def _check_split(split: str) -> None:
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")


def digits(split: str = "train") -> ImageSet:
    """1,797 handwritten digits of 8×8 pixels: 1,297 to train on, 500 to test on.

    Source: Alpaydin & Kaynak, "Optical recognition of handwritten digits", UCI, 1998, as shipped
    with scikit-learn. The test part here is a seeded draw of 500, so writers are shared.
    """
    from sklearn.datasets import load_digits

    _check_split(split)
    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    ids = order[:-500] if split == "train" else order[-500:]
    images = np.round(bunch.images[ids] * (255 / 16)).astype(np.uint8)  # grey levels 0..16 → 0..255
    return ImageSet(
        images=torch.from_numpy(images)[:, None],  # (count, 1, 8, 8)
        labels=torch.from_numpy(bunch.target[ids].astype(np.int64)),
        classes=tuple("0123456789"),
        mean=(0.31,),
        std=(0.38,),
    )


@lru_cache(maxsize=4)
def shapes32(split: str = "train", count: int | None = None) -> ImageSet:
    """Drawn images of 32×32×3 in ten classes: five shapes, each in two textures.

    The same pixels on every machine: `prunekit.classroom.drawing` draws them from a seed with
    numpy, 10,000 to train on (seed 1) and 2,000 to test on (seed 2), or ``count`` of them.
    """
    _check_split(split)
    seed, default = {"train": (1, 10_000), "test": (2, 2_000)}[split]
    images, labels = drawing.draw(default if count is None else count, seed)
    return ImageSet(
        images=torch.from_numpy(images),
        labels=torch.from_numpy(labels),
        classes=drawing.CLASSES,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
    )


# CIFAR-10 ---------------------------------------------------------------------------------------

CIFAR10_FOLDER = "cifar-10-batches-bin"
CIFAR10_FILES = {
    "train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    "test": ("test_batch.bin",),
}
CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
CIFAR10_MD5 = "md5:c32a1d4ab5d03f1284b67883e8d87530"  # from the data set's own page
CIFAR10_CURE = (
    "To get it: set PRUNEKIT_DATA to a folder that holds cifar-10-batches-bin/ (the binary version "
    "of https://www.cs.toronto.edu/~kriz/cifar.html), or allow the download of 162 MB with "
    "`python -m prunekit tour --data cifar10 --download` or cifar10(download=True)."
)
RECORD = 1 + 3 * 32 * 32  # one label byte, then red, green and blue planes, row by row
RECORDS = 10_000  # per file


def _cache() -> Path:
    import pooch

    return Path(pooch.os_cache("prunekit"))


def find_cifar10() -> Path | None:
    """The folder with CIFAR-10's binary files: ``PRUNEKIT_DATA`` first, then the user's cache."""
    named = os.environ.get("PRUNEKIT_DATA")
    roots = [Path(named).expanduser()] if named else []
    for root in [*roots, _cache()]:
        for folder in (root / CIFAR10_FOLDER, root):
            if any((folder / name).exists() for name in CIFAR10_FILES["test"]):
                return folder
    return None


def _download_cifar10() -> Path:
    import pooch

    pooch.retrieve(
        url=CIFAR10_URL,
        known_hash=CIFAR10_MD5,
        path=_cache(),
        fname="cifar-10-binary.tar.gz",
        processor=pooch.Untar(extract_dir="."),
        progressbar=True,
    )
    return _cache() / CIFAR10_FOLDER


def _read_cifar10_file(path: Path) -> np.ndarray:
    """One file of the official binary format as uint8 (10000, 3073), or an error with a cure."""
    if not path.exists():
        raise FileNotFoundError(f"CIFAR-10 file {path} is missing. {CIFAR10_CURE}")
    size = path.stat().st_size
    if size != RECORD * RECORDS:
        what = "truncated" if size < RECORD * RECORDS else "too long"
        raise ValueError(
            f"CIFAR-10 file {path} is {what}: {size:,} bytes, expected {RECORD * RECORDS:,}. "
            f"Delete it and fetch it again. {CIFAR10_CURE}"
        )
    records = np.fromfile(path, dtype=np.uint8).reshape(RECORDS, RECORD)
    if records[:, 0].max() > 9:
        raise ValueError(
            f"CIFAR-10 file {path} is corrupt: label {records[:, 0].max()} where 0..9 is expected. "
            f"Delete it and fetch it again. {CIFAR10_CURE}"
        )
    return records


def cifar10(split: str = "train", download: bool = False) -> ImageSet:
    """CIFAR-10: 50,000 photographs to train on, 10,000 to test on, 32×32×3, ten classes.

    Parameters
    ----------
    split : "train" or "test"
    download : fetch the official archive (162 MB, checksummed) into the user's cache when the data
        set is found neither under ``PRUNEKIT_DATA`` nor in that cache. Never done unasked.

    Raises
    ------
    FileNotFoundError, ValueError
        A file is missing, truncated or corrupt; the message names it and says how to get it.

    Notes
    -----
    Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009. The
    normalisation is that of the public ResNet checkpoints named in `models.resnet20`.
    """
    _check_split(split)
    folder = find_cifar10()
    if folder is None and download:
        folder = _download_cifar10()
    if folder is None:
        named = os.environ.get("PRUNEKIT_DATA", "not set")
        raise FileNotFoundError(
            f"CIFAR-10 was not found: PRUNEKIT_DATA is {named}, and {_cache()} does not hold it. "
            f"{CIFAR10_CURE}"
        )
    records = np.concatenate([_read_cifar10_file(folder / name) for name in CIFAR10_FILES[split]])
    return ImageSet(
        images=torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32)),
        labels=torch.from_numpy(records[:, 0].astype(np.int64)),
        classes=tuple("airplane automobile bird cat deer dog frog horse ship truck".split()),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )
