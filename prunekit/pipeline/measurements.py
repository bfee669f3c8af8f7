"""Measurements that last: D by widths, in a file that belongs to one network, method and data.

A file is believed only when it is as it was written: its checksum fits, every number is one that D
can have, and its network says what this one says. Code and data are compared to the last digit,
outputs (z₀) to what another processor may add.
"""

import json
import math
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from prunekit.network.ranks import agreed, is_first
from prunekit.results.whole import whole

__all__ = ["Measurements", "answers"]

ALIKE = 1e-3  # of their size, how far outputs may differ between machines


class Measurements(dict[str, float]):
    """{widths tried: D}, in memory, and in a file if one is given: every new one at once.

    Parameters
    ----------
    file : read if it is there; several processes may write it, of what they add the last counts
    about : the fingerprint of all that they depend on
    z0 : `answers` of the original network
    """

    def __init__(self, file: Path | None, about: str = "", z0: Sequence[float] = ()) -> None:
        self.file, self.about, self.z0 = file, about, list(z0)
        # the first process has the file
        there = file is not None and agreed(file.exists)
        super().__init__(agreed(self._read) if there else {})

    def __setitem__(self, widths: str, error: float) -> None:
        super().__setitem__(widths, error)
        if self.file is not None and is_first():
            content = {"about": self.about, "z0": self.z0, "measured": dict(self)}
            content["checksum"] = _checksum(content)
            with whole(self.file, "file") as file:
                file.write(json.dumps(content, indent=1).encode())

    def _read(self) -> dict[str, float]:
        where, cure = f"file {str(self.file)!r}", "give another name, or delete it to start afresh"
        try:
            content = json.loads(self.file.read_text("utf-8"))
            about, z0 = content["about"], [*map(_number, content["z0"])]
            measured = {key: _error(value) for key, value in content["measured"].items()}
            written = content.pop("checksum")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            what = f"{type(error).__name__}: {error}"
            raise ValueError(f"{where} does not hold measurements ({what}): {cure}") from error
        if written != _checksum(content):
            raise ValueError(
                f"{where} does not hold measurements as they were written: it was damaged or "
                f"edited since; {cure}"
            )
        if about != self.about:
            raise ValueError(
                f"{where} holds measurements of another network, method or calibration data: {cure}"
            )
        if not _alike(z0, self.z0):
            raise ValueError(
                f"{where} holds measurements of another network, method or calibration data, for "
                f"the outputs of the original are not those of this one: {cure}"
            )
        return measured


def answers(outputs: Sequence[Tensor]) -> list[float]:
    """The outputs z₀ in three numbers each: their length, and two sums on the same scale."""
    return [number for z in outputs for number in _in_short(z)]


def _in_short(z: Tensor) -> Iterator[float]:
    values = (torch.view_as_real(z) if z.is_complex() else z).double().flatten()
    values = values.where(values.isfinite(), 0.0)
    wave = torch.arange(len(values), dtype=values.dtype, device=values.device).cos()
    yield values.norm().item()
    yield values.sum().item() / max(len(values), 1) ** 0.5
    yield (values * wave).sum().item() / max(len(values), 1) ** 0.5


def _alike(one: Sequence[float], other: Sequence[float]) -> bool:
    if len(one) != len(other):
        return False
    sizes = [max(one[i - i % 3], other[i - i % 3]) for i in range(len(one))]
    return all(abs(a - b) <= ALIKE * s for a, b, s in zip(one, other, sizes, strict=True))


def _checksum(content: dict[str, object]) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return float(value)


def _error(value: object) -> float:
    """D is a finite number, 0 or more."""
    if _number(value) < 0:
        raise ValueError(f"an error is 0 or more, not {value!r}")
    return float(value)
