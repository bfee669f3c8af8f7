"""What one call of a network takes, a tensor, a tuple or a dict of them, and what it answers."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from prunekit.algebra.arguments import dense

Inputs = Tensor | tuple[Tensor, ...] | dict[str, Tensor]


def call(model: nn.Module, inputs: Inputs) -> Any:
    """The network's output for one input, whatever form it has; it may work on it in place."""
    inputs = map_tensors(Tensor.clone, inputs)
    if isinstance(inputs, dict) and not _takes_whole(model, inputs):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)


def _takes_whole(model: nn.Module, inputs: dict[str, Tensor]) -> bool:
    """Whether forward() has no arguments of these names, and one that may be the dict itself."""
    signature = inspect.signature(model.forward)
    try:
        signature.bind(**inputs)
    except TypeError:
        try:
            return bool(signature.bind(inputs))
        except TypeError:
            return False
    return False


def flat_outputs(outputs: Any) -> list[Tensor]:
    """All tensors of a network's output, in order, in tuples, lists, dicts and dataclasses.

    Objects of other kinds do not count, such as a cache that is for the network's own next call.
    """
    if isinstance(outputs, Tensor):
        return [outputs]
    if is_dataclass(outputs) and not isinstance(outputs, Mapping):
        outputs = [getattr(outputs, field.name) for field in fields(outputs)]
    values = [*outputs.values()] if isinstance(outputs, Mapping) else outputs
    several = values if isinstance(values, list | tuple) else []
    return [tensor for value in several for tensor in flat_outputs(value)]


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


def samples_of(inputs: Inputs) -> int:
    """How many samples a batch holds."""
    return len(next(iter(tensors(inputs).values())))


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
            f"{as_tensor(example_inputs)}"
        )
    for place, value in tensors(example_inputs).items():
        dense(value, f"example_inputs{place}", real=False)
    if any(not len(value) for value in values if value.ndim) or not all(map(_finite, values)):
        raise ValueError("example_inputs must hold at least one sample of finite numbers")
    check_numbers(model)
    device = device_of(model)
    return map_tensors(lambda value: plain(value).to(device), example_inputs)


def check_numbers(model: nn.Module, name: str = "model") -> None:
    """Refuse a network with NaN or infinite weights."""
    bad = [key for key, p in model.state_dict().items() if not _finite(p)]
    if bad:
        raise ValueError(f"{name} has NaN or infinite numbers in {', '.join(bad[:3])}")


def plain(value: Tensor) -> Tensor:
    """A tensor that autograd can work with: no graph behind it, not made in inference mode."""
    return value.clone() if value.is_inference() else value.detach()


def outputs_of(model: nn.Module, inputs: Inputs) -> list[Tensor]:
    """All tensors that a network gives; inputs are taken to where it is."""
    device = device_of(model)
    return flat_outputs(call(model, map_tensors(lambda value: value.to(device), inputs)))


def first_pass(model: nn.Module, example: Inputs, name: str = "example_inputs") -> Any:
    """The network's output, or an error in the terms of the caller where there is none.

    ``name`` is that of the argument that the input came from.
    """
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
        if isinstance(example, dict):
            cure = f"its forward() takes {inspect.signature(model.forward)}, by name or as one dict"
        raise ValueError(
            f"model cannot take {name}, {described(example)} "
            f"({type(error).__name__}: {str(error).partition(chr(10))[0]:.300}); {cure}"
        ) from error


def as_tensor(value: Any) -> str:
    """The cure, in words, for arrays, for data sets and for a single dict."""
    if type(value).__module__ == "numpy":
        return ": convert it with torch.from_numpy"
    if isinstance(value, Dataset):
        return ": give torch.utils.data.DataLoader(dataset, batch_size=100)"
    return ": put it into a list, [batch]" if isinstance(value, dict) else ""


def described(value: Any) -> str:
    """What somebody gave, in words: types, shapes and dtypes."""
    if isinstance(value, Tensor) and value.is_nested:
        return "a nested tensor"
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
    if values.layout != torch.strided or values.is_meta:
        return True  # refused, or not, elsewhere
    values = values.float() if values.dtype.itemsize == 1 else values  # float8 is a way to store
    return bool(torch.isfinite(values).all())
