"""Fingerprints: what a value is and does, in a few letters that are the same in every process.

A function is its code, with the values that it was made with and those that it uses, however it is
called: an edited method is another one, and so is the same one with another number inside. What was
installed counts by name and version. Nothing is run to find out.
"""

import functools
import hashlib
import os
import re
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["fingerprint", "network_parts"]

ATOMS = (type(None), bool, int, float, complex, str, bytes, type(...))
VALUES = (*ATOMS, tuple, set, frozenset, types.CodeType)  # which objects they are says nothing
WRAPPERS = (staticmethod, classmethod, functools.lru_cache(None)(len).__class__)
LIBRARIES = [Path(os.__file__).resolve().parent, Path(torch.__file__).resolve().parents[1]]


def fingerprint(*values: Any) -> str:
    """A digest of values of any kind: data, functions, objects and their classes."""
    digest, todo = hashlib.sha256(), [*reversed(values)]
    met: dict[int, tuple[int, Any]] = {}  # values that are kept have ids of their own
    while todo:
        value = todo.pop()
        if id(value) in met:
            digest.update(f"again {met[id(value)][0]};".encode())
            continue
        if not isinstance(value, VALUES):
            met[id(value)] = len(met), value
        head, parts = _taken_apart(value)
        digest.update(head + f" {len(parts)};".encode())
        todo.extend(reversed(parts))
    return digest.hexdigest()


def network_parts(model: nn.Module) -> list[Any]:
    """What a network's identity is made of: its layers, its numbers and the code of its classes.

    What the code uses elsewhere is seen by what it says, which is not for here.
    """
    classes = dict.fromkeys(kind for module in model.modules() for kind in type(module).__mro__)
    own = [vars(kind).values() for kind in classes if not _installed(kind.__module__)]
    code = [value.__code__ for values in own for value in values if hasattr(value, "__code__")]
    numbers = (*model.named_parameters(), *model.named_buffers())
    return [str(model), [(name, value.detach()) for name, value in numbers], code]


def _taken_apart(value: Any) -> tuple[bytes, list[Any]]:
    """A value in a word, and what it is made of."""
    kind = type(value).__name__
    if isinstance(value, ATOMS):
        return f"{kind} {value!r}".encode(), []
    if isinstance(value, Tensor):
        what = f"{kind} {value.dtype} {value.layout} {tuple(value.shape)} "
        return what.encode() + _bytes(value), []
    if isinstance(value, np.ndarray) and value.dtype != object:
        return f"{kind} {value.dtype} {value.shape} ".encode() + value.tobytes(), []
    if isinstance(value, list | tuple):
        return kind.encode(), [*value]
    if isinstance(value, set | frozenset):
        return kind.encode(), sorted(fingerprint(item) for item in value)
    if isinstance(value, Mapping):
        return kind.encode(), [item for pair in value.items() for item in pair]
    if isinstance(value, types.ModuleType):
        return f"module {value.__name__}".encode(), []
    if isinstance(value, types.CodeType):
        names = (value.co_names, value.co_varnames, value.co_freevars)
        return kind.encode(), [value.co_code, value.co_consts, value.co_flags, *names]
    return kind.encode(), [*_parts(value)]


def _bytes(value: Tensor) -> bytes:
    if value.is_meta:
        return b""
    value = value.detach().cpu()
    value = (value if value.layout == torch.strided else value.to_dense()).resolve_conj()
    return value.contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _parts(value: Any) -> Iterator[Any]:
    """What functions, classes and objects are made of."""
    if isinstance(value, type | types.FunctionType) and _installed(value.__module__):
        root = sys.modules[value.__module__.partition(".")[0]]
        yield from (value.__module__, value.__qualname__, getattr(root, "__version__", None))
    elif isinstance(value, types.FunctionType):
        yield from (value.__code__, value.__defaults__, value.__kwdefaults__)
        yield [cell.cell_contents for cell in value.__closure__ or () if _filled(cell)]
        yield from _used(value)
    elif isinstance(value, type):
        yield from value.__mro__[1:]
        for name, inner in vars(value).items():
            if name not in ("__dict__", "__weakref__", "__module__", "__firstlineno__"):
                yield from (name, inner)
    elif isinstance(value, WRAPPERS):
        yield value.__wrapped__
    elif isinstance(value, property):
        yield from (value.fget, value.fset)
    elif isinstance(value, types.MethodType):
        yield from (value.__func__, value.__self__)
    elif isinstance(value, functools.partial):
        yield from (value.func, value.args, value.keywords)
    elif hasattr(value, "__dict__"):
        yield from (type(value), vars(value))
    else:  # its text, less the address
        yield re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def _filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _used(function: types.FunctionType) -> Iterator[Any]:
    """The names, with their values, that a function takes from around it."""
    around, names = function.__globals__, sorted({*_names(function.__code__)})
    for name in names:
        if name in around:
            value = around[name]
            yield from (name, value)
            if isinstance(value, types.ModuleType) and not _installed(value.__name__):
                yield [getattr(value, inner) for inner in names if hasattr(value, inner)]


def _names(code: types.CodeType) -> Iterable[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _names(inner)


@functools.cache
def _installed(module: str) -> bool:
    """Whether a module came with Python or a package, so that nobody edits it."""
    if module.partition(".")[0] in ("prunekit", "__main__"):
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return module in sys.builtin_module_names or module in sys.stdlib_module_names
    return any(folder in Path(file).resolve().parents for folder in LIBRARIES)
