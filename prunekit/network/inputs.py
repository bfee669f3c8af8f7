"""Calibration data: what a network is fed, checked once and cut into batches.

An *input* is what one call of the network takes: a tensor, a tuple of tensors, or a dict of them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

Inputs = Tensor | tuple[Tensor, ...] | dict[str, Tensor]

BATCH = 100  # images that go through a network at once while moments are collected


def call(model: nn.Module, inputs: Inputs) -> Any:
    """The network's output for one input, whatever form it has; it may work on it in place."""
    inputs = map_tensors(Tensor.clone, inputs)
    if isinstance(inputs, dict):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)


def flat_outputs(outputs: Any) -> list[Tensor]:
    """All tensors of a network's output, in order; whatever else is in it does not count."""
    if isinstance(outputs, Tensor):
        return [outputs]
    if is_dataclass(outputs) and not isinstance(outputs, Mapping):
        outputs = [getattr(outputs, field.name) for field in fields(outputs)]
    values = outputs.values() if isinstance(outputs, Mapping) else outputs
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        return []
    return [tensor for value in values for tensor in flat_outputs(value)]


def map_tensors(function: Callable[[Tensor], Tensor], inputs: Inputs) -> Inputs:
    """Apply ``function`` to every tensor of an input; the form stays."""
    if isinstance(inputs, dict):
        return {key: function(value) for key, value in inputs.items()}
    if isinstance(inputs, tuple | list):
        return tuple(function(value) for value in inputs)
    return function(inputs)


def tensors(inputs: Inputs) -> dict[str, Tensor]:
    """The tensors of an input by a name that an error message can use."""
    if isinstance(inputs, dict):
        return {f"[{key!r}]": value for key, value in inputs.items()}
    if isinstance(inputs, tuple):
        return {f"[{i}]": value for i, value in enumerate(inputs)}
    return {"": inputs}


def device_of(model: nn.Module) -> torch.device:
    """Where the network's first parameter lives."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def check_example(example_inputs: Any, model: nn.Module) -> Inputs:
    """``example_inputs`` on the network's device, or a TypeError that says what was expected."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if isinstance(example_inputs, list):
        example_inputs = tuple(example_inputs)
    values = (
        tensors(example_inputs).values()
        if isinstance(example_inputs, Tensor | tuple | dict)
        else ()
    )
    if not values or not all(isinstance(value, Tensor) for value in values):
        raise TypeError(
            "example_inputs must be a tensor, a tuple of tensors or a dict of tensors, "
            f"as one call of the model takes them, got {described(example_inputs)}"
            f"{_as_tensor(example_inputs)}"
        )
    if any(not len(value) for value in values if value.ndim) or not all(map(_finite, values)):
        raise ValueError("example_inputs must hold at least one sample of finite numbers")
    bad = [name for name, p in model.state_dict().items() if not _finite(p)]
    if bad:
        raise ValueError(f"model has NaN or infinite numbers in {', '.join(bad[:3])}")
    device = device_of(model)
    return map_tensors(lambda value: plain(value).to(device), example_inputs)


def plain(value: Tensor) -> Tensor:
    """A tensor that autograd can work with: no graph behind it, not made in inference mode."""
    return value.clone() if value.is_inference() else value.detach()


def first_pass(model: nn.Module, example: Inputs) -> Any:
    """The network's output, or an error in the terms of the caller where there is none."""
    try:
        return call(model, example)
    except Exception as error:
        dtypes = {p.dtype for p in model.parameters() if p.is_floating_point()}
        given = {v.dtype for v in tensors(example).values() if v.is_floating_point()}
        cure = "give what one call of the model takes, samples first (x[None] adds a batch axis)"
        if len(dtypes) == 1 and given - dtypes:
            (wanted,) = dtypes
            cure = (
                f"the model's parameters are {wanted}: convert example_inputs and calibration with "
                f".to({wanted}), or the model with .to({given.pop()})"
            )
        if isinstance(example, dict) and isinstance(error, TypeError):
            cure = "a forward() that takes a dict needs a network around it, with forward(**batch)"
        raise ValueError(
            f"model cannot take example_inputs, {described(example)} "
            f"({type(error).__name__}: {str(error):.300}); {cure}"
        ) from error


def _as_tensor(value: Any) -> str:
    """The cure for arrays, for data sets and for a single dict."""
    if type(value).__module__ == "numpy":
        return ": convert it with torch.from_numpy"
    if isinstance(value, Dataset):
        return ": give torch.utils.data.DataLoader(dataset, batch_size=100)"
    return ": put it into a list, [batch]" if isinstance(value, dict) else ""


def described(value: Any) -> str:
    """What somebody gave, in words: types, shapes and dtypes."""
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)} of {value.dtype}"
    if isinstance(value, dict):
        inner = ", ".join(f"{key!r}: {described(v)}" for key, v in value.items())
        return f"a dict {{{inner}}}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} ({', '.join(map(described, value))})"
    shape = getattr(value, "shape", None)
    return f"a {type(value).__name__}" + ("" if shape is None else f" of shape {tuple(shape)}")


def _finite(values: Any) -> bool:
    """Whether a tensor holds no NaN and no infinite number; other objects pass."""
    if not isinstance(values, Tensor) or not (values.is_floating_point() or values.is_complex()):
        return True
    values = values.float() if values.dtype.itemsize == 1 else values  # float8 is a way to store
    return bool(torch.isfinite(values).all())


def _pick(batch: Any, example: Inputs) -> Inputs:
    """The part of a batch that the network takes: labels, when there are any, are left behind."""
    if isinstance(example, dict):
        if not isinstance(batch, dict) or not example.keys() <= batch.keys():
            raise TypeError(
                f"calibration must give dicts with the keys {sorted(example)} of example_inputs, "
                f"got {sorted(batch) if isinstance(batch, dict) else type(batch).__name__}"
            )
        return {key: batch[key] for key in example}
    if isinstance(example, tuple):
        if isinstance(batch, tuple | list) and batch and isinstance(batch[0], tuple | list):
            batch = batch[0]  # ((x, y), label)
        if not isinstance(batch, tuple | list) or len(batch) < len(example):
            raise TypeError(
                f"calibration must give batches of {len(example)} tensors as in example_inputs "
                f"(and labels after them, if any), got {described(batch)}"
            )
        return tuple(batch[: len(example)])
    if isinstance(batch, dict) or (isinstance(batch, tuple | list) and not batch):
        raise TypeError(
            "calibration must give tensors or (inputs, labels), as example_inputs is one tensor, "
            f"got {described(batch)}"
        )
    return batch[0] if isinstance(batch, tuple | list) else batch


def _check(inputs: Inputs, example: Inputs, index: int) -> None:
    """Refuse a batch that the network could not take, naming it and what was expected."""
    counts = {len(v) for v in tensors(inputs).values() if isinstance(v, Tensor) and v.ndim}
    if len(counts) > 1:
        raise ValueError(
            f"calibration batch {index} must hold equally many samples of each input, "
            f"got {described(inputs)}"
        )
    for (name, value), wanted in zip(
        tensors(inputs).items(), tensors(example).values(), strict=True
    ):
        where = f"calibration batch {index}{name}"
        if not isinstance(value, Tensor):
            raise TypeError(f"{where} must be a tensor, got {described(value)}{_as_tensor(value)}")
        if value.shape[1:] != wanted.shape[1:] or value.ndim != wanted.ndim:
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


def calibration_batches(
    calibration: Any, example: Inputs | None = None, batch: int = BATCH
) -> list[Inputs]:
    """Read calibration data once, check it, and cut it into batches of at most ``batch`` samples.

    Parameters
    ----------
    calibration : a tensor, or any iterable of tensors, of ``(inputs, labels)``, or of dicts
    example : what one call of the network takes; decides form, dtype and shape. Without it the
        first batch does, less its labels

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
    if not isinstance(calibration, Iterable) or isinstance(calibration, str | dict):
        raise TypeError(
            "calibration must be a tensor or an iterable of batches (tensors, (inputs, labels) or "
            f"dicts), got {described(calibration)}{_as_tensor(calibration)}"
        )
    batches: list[Inputs] = []
    for index, raw in enumerate(calibration):
        if example is None:
            example = raw[0] if isinstance(raw, tuple | list) else raw
        inputs = _pick(raw, example)
        _check(inputs, example, index)
        inputs = map_tensors(plain, inputs)
        count = len(next(iter(tensors(inputs).values())))
        size = -(-count // max(1, -(-count // batch)))  # equal parts, none over ``batch``
        for start in range(0, count, max(size, 1)):
            batches.append(map_tensors(lambda v, s=start, n=size: v[s : s + n], inputs))
    if not batches:
        raise ValueError(
            "calibration is empty: give at least one batch of inputs (a few hundred images without "
            "labels are enough; a generator can be read only once, so give a list or a DataLoader)"
        )
    return batches
