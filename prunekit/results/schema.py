"""What a plan may say: checked as text is read, and again on the network that it is meant for.

A file may come from anybody. Whatever of it is acted on is checked before, so that a plan that is
damaged, or made to do harm, ends in a ValueError that names its entry.
"""

import json
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from prunekit.network.layers import LAYERS, width
from prunekit.network.surgery import COUNTS, Indices

__all__ = ["check_added", "check_cuts", "check_plan", "read_json"]


def read_json(text: str) -> dict[str, Any]:
    """An object of JSON; anything else is a ValueError."""
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return _table(content, "the plan")


def check_plan(content: dict[str, Any]) -> None:
    """Refuse a plan that `Plan.to_json` did not write, naming the entry."""
    missing = {"sites", "cuts", "added", "shapes"} - {*content}
    if missing:
        raise ValueError(f"{', '.join(sorted(missing))} is missing")
    for name, site in _table(content["sites"], "sites").items():
        where = f"sites[{name!r}]"
        if {*_table(site, where)} != {"channels", "kept"}:
            raise ValueError(f"{where} must have channels and kept")
        (channels,) = _numbers([site["channels"]], f"{where}.channels")
        kept = _numbers(site["kept"], f"{where}.kept", channels)
        if not kept or len({*kept}) < len(kept):
            raise ValueError(f"{where}.kept must hold a channel at least, and none twice")
    for name, sides in _table(content["cuts"], "cuts").items():
        for side, gone in _table(sides, f"cuts[{name!r}]").items():
            where = f"cuts[{name!r}][{side!r}]"
            if sorted({*_numbers(gone, where)}) != gone or not gone:
                raise ValueError(f"{where} must hold indices in ascending order")
    for key in ("added", "shapes"):
        for name, shape in _table(content[key], key).items():
            _numbers(shape, f"{key}[{name!r}]")


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be a table of names, got {type(value).__name__}")
    return value


def _numbers(value: Any, where: str, below: int = 2**48) -> list[int]:
    """A list of whole numbers from 0 on, below a bound."""
    fine = isinstance(value, list) and all(type(i) is int and 0 <= i < below for i in value)
    if not fine:
        raise ValueError(f"{where} must hold whole numbers in 0..{below - 1}, got {value!r:.60}")
    return value


def check_cuts(model: nn.Module, cuts: Indices) -> None:
    """Refuse cuts of what a network does not have, or of all that there is."""
    modules = dict(model.named_modules())
    for name, sides in cuts.items():
        for side, gone in sides.items():
            size = next(_size(modules[name], side), None) if name in modules else None
            if size is None:
                raise ValueError(f"the network has no {side!r} of {name!r}, which the plan cuts")
            if not gone or max(gone) >= size or len(gone) >= size:
                raise ValueError(
                    f"the plan cuts {len(gone)} indices, up to {max(gone, default=0)}, from the "
                    f"{size} of {side!r} of {name!r}: one has to stay"
                )


def _size(module: nn.Module, side: str) -> Iterator[int]:
    """How many indices a side of a module has, if it is one."""
    own = {**vars(module), **module._buffers, **module._parameters}
    key, _, dim = side.partition(":")
    if dim:
        tensor = own.get(key)
        if isinstance(tensor, Tensor) and dim.isdecimal() and int(dim) < tensor.ndim:
            yield tensor.shape[int(dim)]
    elif side in ("in", "out"):
        if isinstance(module, LAYERS):
            yield width(module, side)
        yield from (getattr(module, count) for count in COUNTS if hasattr(module, count))
    elif type(own.get(side)) is int and not side.startswith("_"):
        yield own[side]


def check_added(model: nn.Module, added: dict[str, tuple[int, ...]]) -> None:
    """Refuse to add anything but biases, of layers that have none, as wide as these are now."""
    modules = dict(model.named_modules())
    for name, shape in added.items():
        owner, _, leaf = name.rpartition(".")
        layer = modules.get(owner)
        fits = leaf == "bias" and isinstance(layer, LAYERS) and layer.bias is None
        if not fits or shape != (width(layer, "out"),):
            raise ValueError(
                f"the plan adds {name} of shape {shape}, which the network has no place for"
            )
