"""Values as plain data: what a learner's process and the one that checks tell each other.

Numbers, texts and tensors, and lists, tuples, dicts and sets of them, as JSON. Nothing that is read
back runs code (no pickle); of any other object only the name of its class is told.
"""

import base64
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["decode", "encode"]

BARE = (bool, int, float, str, type(None))
HOLDERS = {"tuple": tuple, "set": set, "dict": dict}
DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex128)
    + (torch.complex64, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
}


def encode(value: Any) -> Any:
    """What `json` can write, for any value."""
    if type(value) in BARE:
        return value
    if isinstance(value, list | range):
        return [encode(entry) for entry in value]
    if isinstance(value, tuple):
        return {"tuple": [encode(entry) for entry in value]}
    if isinstance(value, set | frozenset):
        return {"set": [encode(entry) for entry in value]}
    if isinstance(value, dict):
        return {"dict": [[encode(key), encode(entry)] for key, entry in value.items()]}
    try:
        if isinstance(value, np.ndarray | np.generic):
            value = torch.as_tensor(np.array(value))
        dense = value.detach().to_dense().cpu().contiguous()
        name = str(dense.dtype).removeprefix("torch.")
        content = dense.reshape(-1).view(torch.uint8).numpy().tobytes()
        return {"tensor": [name, list(dense.shape), base64.b64encode(content).decode()]}
    except Exception:  # no tensor, or one that has no numbers
        return {"other": type(value).__name__[:100]}


def decode(data: Any) -> Any:
    """The value that was encoded, made anew; raises if `encode` has not written this."""
    if isinstance(data, list):
        return [decode(entry) for entry in data]
    if not isinstance(data, dict):
        return data
    ((kind, inner),) = data.items()
    if kind == "tensor":
        return _tensor(*inner)
    if kind == "other":
        return type(str(inner), (), {})()
    return HOLDERS[kind](decode(entry) for entry in inner)


def _tensor(name: str, shape: list[int], text: str) -> Tensor:
    content, dtype = bytearray(base64.b64decode(text, validate=True)), DTYPES[name]
    if math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"a tensor of shape {shape} has not {len(content)} bytes")
    if not content:
        return torch.empty(shape, dtype=dtype)
    flat = torch.frombuffer(content, dtype=torch.uint8)
    return (flat != 0 if dtype == torch.bool else flat.view(dtype)).reshape(shape)
