"""What a function takes: said in one line above it, and checked before it does anything.

    @takes(ridge=number(0, most=1e12), centered=flag)

Types come before comparisons, and every message names the argument, what came and what was
expected. A check is a function of a value and its name, which raises or does not.
"""

import functools
import inspect
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "Check",
    "dense",
    "finite",
    "flag",
    "kind",
    "number",
    "one_of",
    "optional",
    "said",
    "takes",
    "whole",
]

Check = Callable[[Any, str], None]


def takes(**checks: Check) -> Callable[[Callable], Callable]:
    """A decorator: the arguments of these names are checked, in this order, then it is called."""

    def decorate(function: Callable) -> Callable:
        signature = inspect.signature(function)
        strangers = {*checks} - {*signature.parameters}
        if strangers:
            raise TypeError(f"{function.__name__} has no arguments {strangers}")

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            given = signature.bind(*args, **kwargs).arguments
            for name, check in checks.items():
                if name in given:
                    check(given[name], name)
            return function(*args, **kwargs)

        return run

    return decorate


def number(
    least: float | None = None,
    *,
    above: float | None = None,
    below: float | None = None,
    most: float | None = None,
    of: str = "",
) -> Check:
    """A number within bounds; NaN is within none. ``of`` says more about it."""
    return _bounded(Real, "a number", of, least, above, below, most)


def whole(least: int | None = None, most: int | None = None) -> Check:
    """A whole number within bounds; True is none."""
    return _bounded(Integral, "a whole number", "", least, None, None, most)


def _bounded(type_: type, words: str, of: str, *limits: float | None) -> Check:
    bounds = _in_words(*limits) + (f" ({of})" if of else "")

    def check(value: Any, name: str) -> None:
        if isinstance(value, bool) or not isinstance(value, type_):
            raise TypeError(f"{name} must be {words}{bounds}, got {said(value)}")
        if not _within(value, *limits):
            raise ValueError(f"{name} must be{bounds}, got {value!r:.40}")

    return check


def _in_words(
    least: float | None, above: float | None, below: float | None, most: float | None
) -> str:
    """The bounds that there are, with a space before them."""
    bounds = {"{:g} or more": least, "above {:g}": above, "below {:g}": below, "{:g} at most": most}
    words = [text.format(bound) for text, bound in bounds.items() if bound is not None]
    return " " + " and ".join(words) if words else ""


def _within(
    value: Any, least: float | None, above: float | None, below: float | None, most: float | None
) -> bool:
    return bool(
        (least is None or value >= least)
        and (above is None or value > above)
        and (below is None or value < below)
        and (most is None or value <= most)
    )


def one_of(*names: str) -> Check:
    """One of some words."""
    *first, last = map(repr, names)

    def check(value: Any, name: str) -> None:
        if not isinstance(value, str) or value not in names:
            raise ValueError(f"{name} must be {', '.join(first)} or {last}, got {said(value)}")

    return check


def flag(value: Any, name: str) -> None:
    """True or False."""
    if type(value).__name__ not in ("bool", "bool_"):
        raise TypeError(f"{name} must be True or False, got {said(value)}")


def kind(*types: type, words: str) -> Check:
    """A value of some types, which ``words`` name."""

    def check(value: Any, name: str) -> None:
        if not isinstance(value, types):
            raise TypeError(f"{name} must be {words}, got {said(value)}")

    return check


def optional(check: Check) -> Check:
    """None, or what a check lets through."""
    return lambda value, name: None if value is None else check(value, name)


def dense(value: Any, name: str, real: bool = True) -> None:
    """A tensor of plain numbers that are there; complex ones only if they need not be ``real``."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor, got {said(value)}")
    if value.is_nested:
        what, cure = "nested", "torch.nested.to_padded_tensor, or batches of one size each"
    elif value.is_meta:
        what, cure = "without numbers (on the meta device)", "load them first"
    elif value.layout != torch.strided:
        what, cure = f"sparse or packed ({value.layout})", "take .to_dense()"
    elif value.is_quantized:
        what, cure = "quantised", "take .dequantize()"
    elif value.is_complex() and real:
        what, cure = "complex", "take torch.view_as_real, or real inputs"
    else:
        return
    raise TypeError(
        f"{name} must be a dense tensor of real numbers, got one that is {what}: {cure}"
    )


def finite(value: Any, name: str) -> None:
    """A dense tensor without NaN and infinite numbers."""
    dense(value, name)
    if not value.isfinite().all():
        raise ValueError(f"{name} must be finite, got NaN or infinite numbers")


def said(value: Any) -> str:
    """A value in few words: its text where that is short, else what it is."""
    if isinstance(value, Tensor):
        return "a tensor (a number is .item() of it)"
    if type(value).__module__ == "numpy":
        return f"a {type(value).__name__} of numpy"
    if value is None or isinstance(value, str | bytes | bool | int | float | complex | list | dict):
        return f"{value!r:.40}"
    return f"{value!r:.40} ({type(value).__name__})"
