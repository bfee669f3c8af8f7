"""Calibration data: what a network is fed, checked once and cut into batches.

An *input* is what one call of the network takes: a tensor, a tuple of tensors, or a dict of them.
"""

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

Inputs = Tensor | tuple[Tensor, ...] | dict[str, Tensor]

BATCH = 100  # images that go through a network at once while moments are collected


def call(model: nn.Module, inputs: Inputs) -> Any:
    """The network's output for one input, whatever form the input has."""
    if isinstance(inputs, dict):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)


def flat_outputs(outputs: Any) -> list[Tensor]:
    """All tensors of a network's output, in order."""
    if isinstance(outputs, Tensor):
        return [outputs]
    values = outputs.values() if isinstance(outputs, dict) else outputs
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


def frozen_copy(model: nn.Module) -> nn.Module:
    """A deep copy in eval mode that needs no gradients; the network given stays as it is."""
    return copy.deepcopy(model).eval().requires_grad_(False)


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
            f"as one call of the model takes them, got {type(example_inputs).__name__}"
        )
    if any(not len(value) for value in values if value.ndim) or not all(map(_finite, values)):
        raise ValueError("example_inputs must hold at least one sample of finite numbers")
    bad = [name for name, p in model.state_dict().items() if not _finite(p)]
    if bad:
        raise ValueError(f"model has NaN or infinite numbers in {', '.join(bad[:3])}")
    device = device_of(model)
    return map_tensors(lambda value: value.to(device), example_inputs)


def _finite(values: Any) -> bool:
    """Whether a tensor holds no NaN and no infinite number; other objects pass."""
    is_float = isinstance(values, Tensor) and values.is_floating_point()
    return not is_float or bool(torch.isfinite(values).all())


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
        return tuple(batch[: len(example)])
    return batch[0] if isinstance(batch, tuple | list) else batch


def _check(inputs: Inputs, example: Inputs, index: int) -> None:
    """Refuse a batch that the network could not take, naming it and what was expected."""
    for (name, value), wanted in zip(
        tensors(inputs).items(), tensors(example).values(), strict=True
    ):
        where = f"calibration batch {index}{name}"
        if not isinstance(value, Tensor):
            raise TypeError(f"{where} must be a tensor, got {type(value).__name__}")
        if value.shape[1:] != wanted.shape[1:] or value.ndim != wanted.ndim:
            raise ValueError(
                f"{where} has shape {tuple(value.shape)}, expected (count, "
                f"{', '.join(map(str, wanted.shape[1:]))}) as in example_inputs"
            )
        if value.dtype != wanted.dtype:
            raise TypeError(
                f"{where} has dtype {value.dtype}, expected {wanted.dtype} as in example_inputs: "
                "normalise the images as the network was trained"
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
            f"dicts), got {type(calibration).__name__}"
        )
    batches: list[Inputs] = []
    for index, raw in enumerate(calibration):
        if example is None:
            example = raw[0] if isinstance(raw, tuple | list) else raw
        inputs = _pick(raw, example)
        _check(inputs, example, index)
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
