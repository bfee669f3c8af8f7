"""Calibration data: checked once, and cut into batches."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from prunekit.algebra.arguments import dense
from prunekit.network.given import frozen_copy
from prunekit.network.inputs import (
    Inputs,
    as_tensor,
    call,
    described,
    device_of,
    map_tensors,
    plain,
    samples_of,
    tensors,
)

__all__ = ["calibration_batches", "first_inputs", "held_back", "parted"]

BATCH = 100  # images that go through a network at once while moments are collected


def _pick(batch: Any, example: Inputs, name: str) -> Inputs:
    """The part of a batch that the network takes: labels, when there are any, are left behind."""
    if isinstance(example, dict):
        if not isinstance(batch, dict) or not example.keys() <= batch.keys():
            raise TypeError(
                f"{name} must give dicts with the keys {sorted(example)} of example_inputs, "
                f"got {sorted(batch) if isinstance(batch, dict) else type(batch).__name__}"
            )
        return {key: batch[key] for key in example}
    if isinstance(example, tuple):
        if isinstance(batch, tuple | list) and batch and isinstance(batch[0], tuple | list):
            batch = batch[0]  # ((x, y), label)
        if not isinstance(batch, tuple | list) or len(batch) < len(example):
            raise TypeError(
                f"{name} must give batches of {len(example)} tensors as in example_inputs "
                f"(and labels after them, if any), got {described(batch)}"
            )
        return tuple(batch[: len(example)])
    if isinstance(batch, dict) or (isinstance(batch, tuple | list) and not batch):
        raise TypeError(
            f"{name} must give tensors or (inputs, labels), as example_inputs is one tensor, "
            f"got {described(batch)}"
        )
    return batch[0] if isinstance(batch, tuple | list) else batch


def _refuse_strangers(inputs: Inputs, batch: str) -> None:
    """Refuse what is no tensor of plain numbers."""
    for name, value in tensors(inputs).items():
        where = f"{batch}{name}"
        if not isinstance(value, Tensor):
            raise TypeError(f"{where} must be a tensor, got {described(value)}{as_tensor(value)}")
        dense(value, where, real=False)
        if not value.ndim:
            raise ValueError(f"{where} must hold samples, one behind another, got a single number")


def _check(inputs: Inputs, example: Inputs, batch: str, any_size: bool) -> None:
    """Refuse a batch that the network could not take, naming it and what was expected."""
    counts = {len(value) for value in tensors(inputs).values()}
    if len(counts) > 1:
        raise ValueError(
            f"{batch} must hold equally many samples of each input, got {described(inputs)}"
        )
    for (name, value), wanted in zip(
        tensors(inputs).items(), tensors(example).values(), strict=True
    ):
        where = f"{batch}{name}"
        if value.ndim != wanted.ndim or not (any_size or value.shape[1:] == wanted.shape[1:]):
            alone = value.shape == wanted.shape[1:]
            cure = (
                ": a single sample; give batches, for example through a DataLoader" if alone else ""
            )
            raise ValueError(
                f"{where} has shape {tuple(value.shape)}, expected (count, "
                f"{', '.join(map(str, wanted.shape[1:]))}) as in example_inputs{cure}"
            )
        dtype = wanted.dtype
        if value.dtype != dtype:
            raise TypeError(
                f"{where} has dtype {value.dtype}, expected {wanted.dtype} as in example_inputs: "
                f"normalise the images as the network was trained, and convert with .to({dtype})"
            )
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(
                f"{where} holds NaN or infinite numbers: remove those samples, or repair the "
                "normalisation that made them"
            )


def _sizes(inputs: Inputs) -> tuple[tuple[int, ...], ...]:
    """Shapes of one sample."""
    return tuple(tuple(getattr(v, "shape", ())[1:]) for v in tensors(inputs).values())


@torch.no_grad()
def _takes(model: nn.Module | None, inputs: Inputs) -> bool:
    """Whether a network takes samples of another size than that of the example."""
    if model is None:
        return False
    try:
        copy = frozen_copy(model)
        call(copy, map_tensors(lambda value: value[:1].to(device_of(copy)), inputs))
    except Exception:  # of foreign code
        return False
    return True


def _can_be_read(calibration: Any) -> bool:
    """Whether batches come out of it, one by one."""
    if isinstance(calibration, str | bytes | dict):
        return False
    return isinstance(calibration, Iterable) and getattr(calibration, "ndim", 1) > 0


def calibration_batches(
    calibration: Any,
    example: Inputs | None = None,
    model: nn.Module | None = None,
    batch: int = BATCH,
    name: str = "calibration",
) -> list[Inputs]:
    """Read calibration data once, check it, and cut it into batches of at most ``batch`` samples.

    Parameters
    ----------
    calibration : a tensor, or any iterable of tensors, of ``(inputs, labels)``, or of dicts
    example : what one call of the network takes; decides form, dtype and shape. Without it the
        first batch does, less its labels
    model : batches of all sizes that it takes are welcome; without it those of one size
    name : of the argument, for messages

    Returns
    -------
    list of inputs, kept on the processor they came on

    Raises
    ------
    TypeError, ValueError
        Empty data, another shape or dtype than ``example``, NaN or infinite numbers.
    """
    if isinstance(calibration, Tensor):
        calibration = [calibration]
    if not _can_be_read(calibration):
        raise TypeError(
            f"{name} must be a tensor or an iterable of batches (tensors, (inputs, labels) or "
            f"dicts), got {described(calibration)}{as_tensor(calibration)}"
        )
    batches: list[Inputs] = []
    sizes: dict[Any, bool] = {}  # whether the network takes them
    for index, raw in enumerate(calibration):
        if example is None:
            example = raw[0] if isinstance(raw, tuple | list) else raw
        inputs, where = _pick(raw, example, name), f"{name} batch {index}"
        _refuse_strangers(inputs, where)
        size = _sizes(inputs)
        if size not in sizes and size != _sizes(example):
            sizes[size] = _takes(model, inputs)
        _check(inputs, example, where, sizes.get(size, False))
        inputs = map_tensors(plain, inputs)
        count = samples_of(inputs)
        size = -(-count // max(1, -(-count // batch)))  # equal parts, none over ``batch``
        for start in range(0, count, max(size, 1)):
            batches.append(map_tensors(lambda v, s=start, n=size: v[s : s + n], inputs))
    if not batches:
        raise ValueError(
            f"{name} is empty: give at least one batch of inputs (a few hundred images without "
            "labels are enough; a generator can be read only once, so give a list or a DataLoader)"
        )
    return batches


def first_inputs(batches: Sequence[Inputs], count: int) -> list[Inputs]:
    """The first ``count`` inputs."""
    found: list[Inputs] = []
    for batch in batches:
        size = samples_of(batch)
        found.append(map_tensors(lambda value, n=count: value[:n], batch))
        count -= size
        if count <= 0:
            break
    return found


def held_back(batches: Sequence[Inputs], copies: int = 1) -> list[Tensor]:
    """Which samples are held back to judge by: bool (samples,), batch by batch.

    The last fifth of every hundred, or of all, in whatever batches they come; copies, one set
    behind the other, go with what they are copies of. Of fewer than ten none are: one or two tell
    nothing about others.
    """
    sizes = [*map(samples_of, batches)]
    samples = sum(sizes) // copies
    block = min(samples, 100)
    numbers = torch.arange(sum(sizes)) % samples % block
    return [*(numbers >= block - (block // 5 if block >= 10 else 0)).split(sizes)]


def parted(batches: Sequence[Inputs]) -> tuple[list[Inputs], list[Inputs]]:
    """The samples to learn from, and those held back; empty batches left out."""
    parts = [*zip(batches, held_back(batches), strict=True)]
    learned, held = (
        [map_tensors(lambda v, w=which == back: v[w.to(v.device)], b) for b, which in parts]
        for back in (False, True)
    )
    return [b for b in learned if samples_of(b)], [b for b in held if samples_of(b)]
