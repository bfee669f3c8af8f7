"""Check an exercise: *not started*, *not yet* with the first property that fails, or *correct*.

An exercise is a function that puts a learner's function of the same name to the test::

    @exercise("02-neuro-coding")
    def mean_square(answer):
        x = answer.normal(5)
        wrong = {"That is the sum: divide it by the samples.": x.square().sum()}
        answer.expect(answer(x), x.square().mean(), "Square, then average.", wrong)

Properties come in order, hand-made cases before random ones, each with the hint for its usual
misconception; ``check(mean_square)`` prints the first that fails.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prunekit.classroom.calling import NotStarted, NotYet, called

__all__ = ["EXERCISES", "Answer", "Exercise", "NotYet", "Verdict", "check", "exercise", "verdict"]


@dataclass(frozen=True)
class Verdict:
    """What a check found: ``status`` is "not started", "not yet" or "correct"."""

    name: str
    status: str
    message: str = ""

    def __str__(self) -> str:
        sign = {"correct": "✓", "not yet": "✗", "not started": "○"}[self.status]
        return f"{sign} {self.name}: {self.status}. {self.message}".removesuffix(". ")


class Answer:
    """A learner's function, called with care, and what it is compared with.

    Parameters
    ----------
    function
        What the learner wrote.
    seed
        Of the random cases: the same seed gives the same ones.
    """

    def __init__(self, function: Callable, seed: int):
        self.function = function
        self.random = torch.Generator().manual_seed(seed)
        self._called = ""

    def normal(self, *shape: int) -> Tensor:
        """Normal random numbers, float64, of this shape."""
        return torch.randn(shape, dtype=torch.float64, generator=self.random)

    def integer(self, low: int, high: int) -> int:
        """A random whole number, ``low`` and ``high`` included."""
        return int(torch.randint(low, high + 1, (), generator=self.random))

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """What the function returns; its failures come back in words."""
        self._called = ", ".join(_described(value) for value in (*inputs, *options.values()))
        try:
            return called(self.function, inputs, options)
        except NotYet as words:
            raise self.not_yet(str(words)) from None

    def expect(
        self,
        got: Any,
        wanted: Any,
        hint: str,
        mistakes: Mapping[str, Any] | None = None,
        *,
        tolerance: float = 1e-6,
    ) -> None:
        """Go on if ``got`` is ``wanted``: numbers to a relative tolerance, the rest exactly.

        Parameters
        ----------
        got, wanted
            Numbers, tensors, or lists and tuples of them.
        hint
            What to think of when neither the answer nor a known mistake came.
        mistakes
            {what to say: what a usual misconception would have returned}.
        tolerance
            Relative to the largest number in ``wanted``.
        """
        if _equal(got, wanted, tolerance):
            return
        for words, wrong in (mistakes or {}).items():
            if _equal(got, wrong, tolerance) and not _equal(wrong, wanted, tolerance):
                raise self.not_yet(words, returned=got, expected=wanted)
        shapes = [tuple(value.shape) for value in (got, wanted) if isinstance(value, Tensor)]
        if len(shapes) == 2 and shapes[0] != shapes[1]:
            hint = f"The shape is {shapes[0]}, expected {shapes[1]}. {hint}"
        raise self.not_yet(hint, returned=got, expected=wanted)

    def require(self, holds: bool, hint: str) -> None:
        """Go on if a property holds."""
        if not holds:
            raise self.not_yet(hint)

    def not_yet(self, words: str, **values: Any) -> NotYet:
        """A verdict in words, with what the function was called with, and what came."""
        told = [f"called with {self._called}"] if self._called else []
        told += [f"{name} {_described(value, True)}" for name, value in values.items()]
        return NotYet(words + ("\n    " + "; ".join(told) if told else ""))


@dataclass(frozen=True)
class Exercise:
    """An exercise: its name is that of the function to write, ``test`` puts one to the test.

    ``plain`` says that all it gives and takes are numbers, texts, tensors, and lists of them. Then
    the grader makes the verdict in a process without a learner's code; where it is False, in the
    learner's own, where it can be forged.
    """

    name: str
    lesson: str
    test: Callable[[Answer], None]
    plain: bool = True


EXERCISES: dict[str, Exercise] = {}


def exercise(
    lesson: str, *, plain: bool = True
) -> Callable[[Callable[[Answer], None]], Callable[[Answer], None]]:
    """Register a test of learners' functions of the same name; ``lesson`` is its folder's name."""

    def register(test: Callable[[Answer], None]) -> Callable[[Answer], None]:
        EXERCISES[test.__name__] = Exercise(test.__name__, lesson, test, plain)
        return test

    return register


def verdict(function: Callable, seed: int = 0, *, name: str | None = None) -> Verdict:
    """What a learner's function deserves; never raises for a mistake of theirs.

    Parameters
    ----------
    function
        What the learner wrote; its name says which exercise it answers, unless ``name`` does.
    seed
        Of the random cases.
    """
    from prunekit.classroom import exercises  # noqa: F401  (they register themselves)

    name = name or getattr(function, "__name__", "")
    if not callable(function) or name not in EXERCISES:
        came = name if callable(function) else _described(function, True)
        return Verdict(came, "not yet", "Give check the function itself, under its own name.")
    try:
        EXERCISES[name].test(Answer(function, seed))
    except NotStarted:
        return Verdict(name, "not started")
    except NotYet as reason:
        return Verdict(name, "not yet", str(reason))
    except Exception as error:  # it returned something that the test could not even work with
        words = f"What it returned cannot be used ({type(error).__name__}: {error})."
        return Verdict(name, "not yet", words)
    return Verdict(name, "correct")


def check(function: Callable, seed: int = 0) -> None:
    """Print what a learner's function deserves; see `verdict`."""
    print(verdict(function, seed))


def _described(value: Any, full: bool = False) -> str:
    """A value in a few words: small numbers as they are, tensors by their shape."""
    if isinstance(value, Tensor):
        shape = f"shape {tuple(value.shape)}" if value.dim() else "a number"
        if not full or value.numel() > 12:
            return shape
        entries = np.array(value.detach().to_dense().tolist())  # numpy has no bfloat16
        numbers = np.array2string(entries, precision=4, separator=", ")
        return " ".join(numbers.split()) + (f", {shape}" if value.dim() else "")
    if isinstance(value, list | tuple) and len(value) < 13:
        return f"({', '.join(_described(entry, full) for entry in value)})"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value) if isinstance(value, int | str) else type(value).__name__


def _equal(got: Any, wanted: Any, tolerance: float) -> bool:
    """Whether two answers are the same; the kinds of numbers do not matter, their shapes do."""
    if isinstance(wanted, list | tuple) and not all(isinstance(w, int | float) for w in wanted):
        same = isinstance(got, list | tuple) and len(got) == len(wanted)
        return same and all(_equal(*pair, tolerance) for pair in zip(got, wanted, strict=True))
    if isinstance(wanted, str | dict | set):
        return got == wanted
    try:
        got = torch.as_tensor(got).detach()
    except (TypeError, ValueError, RuntimeError):
        return False
    if got.is_complex():  # double() would drop the imaginary part
        return False
    got = got.double()
    wanted = torch.as_tensor(wanted).detach().double()
    if got.shape != wanted.shape:
        return False
    size = wanted.nan_to_num().abs().max().item() if wanted.numel() else 0.0
    return torch.allclose(got, wanted, rtol=0, atol=tolerance * max(size, tolerance))
