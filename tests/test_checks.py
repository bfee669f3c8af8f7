"""A check says what is wrong in words, and a learner's mistake never raises."""

import math
import re
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from prunekit.classroom import checks
from prunekit.classroom.checks import NotYet, check, exercise, verdict

SUM = "That is the sum: divide it by the samples."


@pytest.fixture(autouse=True)
def crafted(monkeypatch):
    """Three exercises that exist during a test only."""
    monkeypatch.setattr(checks, "EXERCISES", dict(checks.EXERCISES))

    @exercise("98-crafted")
    def mean_square(answer):
        x = answer.normal(answer.integer(2, 6))
        answer.expect(answer(x), x.square().mean(), "Square, then average.", {SUM: x @ x})

    @exercise("98-crafted")
    def scaled(answer):
        x = answer.normal(2, 3)
        answer.expect(answer(x, factor=2.0), 2 * x, "Multiply each entry.")

    @exercise("98-crafted")
    def frozen(answer):
        answer.require(answer([[1.0], {"a": nn.Linear(2, 1)}]) == 1, "Return one.")


def said(function, name, seed=0):
    found = verdict(function, seed, name=name)
    assert found.name == name
    return found.status, found.message


def test_a_right_answer_is_correct_for_every_seed(capsys):
    def mean_square(x):
        return (x**2).sum() / x.numel()

    assert all(verdict(mean_square, seed).status == "correct" for seed in range(20))
    check(mean_square)
    assert capsys.readouterr().out == "✓ mean_square: correct\n"


def test_a_blank_is_not_started(capsys):
    def mean_square(x):
        raise NotImplementedError

    assert said(mean_square, "mean_square") == ("not started", "")
    check(mean_square)
    assert capsys.readouterr().out == "○ mean_square: not started\n"


def test_a_missing_return(capsys):
    def mean_square(x):
        x.square().mean()

    status, words = said(mean_square, "mean_square")
    assert status == "not yet" and "It returned None" in words and "return" in words
    check(mean_square)
    assert capsys.readouterr().out.startswith("✗ mean_square: not yet. It returned None")


def test_an_exception_is_told_with_its_line():
    def mean_square(x):
        total = x.sum()

        return total / missing  # noqa: F821

    status, words = said(mean_square, "mean_square")
    assert status == "not yet"
    assert "in its line 4 with NameError: name 'missing'" in words
    assert re.search(r"called with shape \(\d,\)", words)


def test_an_exception_in_a_helper_is_told_with_the_line_that_called_it():
    def helper(x):
        return 1 / 0

    def mean_square(x):
        y = x + 1
        return helper(y)

    assert "in its line 3 with ZeroDivisionError" in said(mean_square, "mean_square")[1]


@pytest.mark.parametrize("leave", [sys.exit, exit, lambda: torch.zeros(2) @ torch.zeros(3)])
def test_leaving_is_a_mistake_like_others(leave):
    status, words = said(lambda x: leave(), "mean_square")
    assert status == "not yet" and "It stopped" in words


def test_an_interrupt_is_not_taken_for_a_mistake():
    def mean_square(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verdict(mean_square)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("mean_square", lambda x: x.mul_(2).sum()),
        ("mean_square", lambda x: x.resize_(1).sum()),
        ("frozen", lambda given: given.append(3) or 1),
        ("frozen", lambda given: given[0].clear() or 1),
        ("frozen", lambda given: given[1].update(a=nn.Linear(2, 1)) or 1),
        ("frozen", lambda given: nn.init.constant_(given[1]["a"].weight, 7.0) is None or 1),
    ],
)
def test_a_changed_input_is_noticed(name, spoil):
    with torch.no_grad():
        status, words = said(spoil, name)
    assert status == "not yet" and "It changed its input" in words


def test_an_untouched_input_is_no_reproach():
    assert said(lambda given: 1, "frozen") == ("correct", "")
    assert said(lambda given: 2, "frozen")[1].startswith("Return one.")


def test_a_wrong_shape_is_told_before_the_hint():
    words = said(lambda x, factor: (factor * x).T, "scaled")[1]
    assert words.startswith("The shape is (3, 2), expected (2, 3). Multiply each entry.")


def test_a_known_misconception_is_called_by_its_name():
    words = said(lambda x: x.square().sum(), "mean_square")[1]
    assert words.startswith(SUM) and "returned" in words and "expected" in words
    assert said(lambda x: x.sum(), "mean_square")[1].startswith("Square, then average.")


def test_a_misconception_that_would_be_right_is_not_reproached():
    answer = checks.Answer(None, 0)
    with pytest.raises(NotYet, match="look again"):
        answer.expect(3.0, 1.0, "look again", {"the same as right": 1.0, "also": 2.0})
    answer.expect(1.0, 1.0, "hint", {"the same as right": 1.0})


@pytest.mark.parametrize(
    ("got", "wanted", "equal"),
    [
        (1.0 + 9e-7, 1.0, True),
        (1.0 + 2e-6, 1.0, False),
        (torch.tensor([1e-4, 1000.0]), torch.tensor([0.0, 1000.0]), True),  # the largest counts
        (1e-13, 0.0, True),
        (1e-5, 0.0, False),
        (np.float32(2), 2, True),
        (np.array([1.0, 2.0]), torch.tensor([1, 2]), True),
        ([1, 2], torch.tensor([1.0, 2.0]), True),
        (torch.tensor([1.0, 2.0]), [1, 2], True),
        (torch.ones(1), torch.tensor(1.0), False),
        (torch.ones(2, 1), torch.ones(1, 2), False),
        (torch.tensor(math.nan), torch.tensor(1.0), False),
        (True, 1, True),
        ("1", 1, False),
        ([torch.ones(2), 3.0], (torch.ones(2), 3), True),
        ([torch.ones(2)], (torch.ones(2), 3), False),
        (None, 1.0, False),
        ("greedy", "greedy", True),
        ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        (torch.empty(0), torch.empty(0), True),
        (torch.tensor([1.0, 2.0], dtype=torch.bfloat16), torch.tensor([1.0, 2.0]), True),
        (torch.tensor([1.0, 3.0], dtype=torch.bfloat16), torch.tensor([1.0, 2.0]), False),
        (torch.tensor([1 + 5j]), torch.tensor([1.0]), False),
        (torch.ones(2, requires_grad=True), torch.ones(2), True),
    ],
)
def test_what_counts_as_equal(got, wanted, equal):
    answer = checks.Answer(None, 0)
    if equal:
        answer.expect(got, wanted, "hint")
    else:
        with pytest.raises(NotYet, match="hint"):
            answer.expect(got, wanted, "hint")


def test_a_tolerance_of_its_own():
    answer = checks.Answer(None, 0)
    answer.expect(1.01, 1.0, "hint", tolerance=0.02)
    with pytest.raises(NotYet):
        answer.expect(1.03, 1.0, "hint", tolerance=0.02)


class Hostile:
    """Whatever is done with it raises."""

    def __eq__(self, other):
        raise RuntimeError("no")

    __hash__ = None

    def __getattr__(self, name):
        raise RuntimeError("no")

    def __repr__(self):
        raise RuntimeError("no")


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
leaves |= st.complex_numbers() | st.dates() | st.builds(object) | st.builds(Hostile)
leaves |= st.sampled_from([int, torch.ones(2, 3), np.ones((0, 2)), np.array(["a"]), len, nn.ReLU()])
leaves |= st.sampled_from([torch.ones(2, dtype=torch.complex64), torch.eye(2).to_sparse()])
objects = st.recursive(
    leaves, lambda one: st.lists(one) | st.tuples(one, one) | st.dictionaries(st.text(), one)
)


@given(objects)
def test_no_returned_object_makes_it_raise(value):
    for name in ("mean_square", "scaled"):
        found = verdict(lambda *inputs, **options: value, name=name)
        assert found.status == "not yet" and found.message and str(found).startswith("✗")


@given(leaves.filter(lambda value: not isinstance(value, Hostile) and not callable(value)))
def test_what_is_no_function_is_told_so(value):
    found = verdict(value)
    assert found.status == "not yet" and "Give check the function itself" in found.message


def test_a_function_of_another_name_is_told_so():
    found = verdict(lambda x: x)
    assert (found.name, found.status) == ("<lambda>", "not yet")
    assert "under its own name" in found.message
    assert "Give check" in verdict(torch.ones(2)).message  # check(f(x)) instead of check(f)


def test_the_seed_decides_what_an_answer_is_put_to():
    def seen_with(seed):
        seen = []
        verdict(lambda x: seen.append(x.clone()) or 0.0, seed, name="mean_square")
        return seen

    assert torch.equal(*seen_with(1), *seen_with(1))
    drawn = {tuple(seen_with(seed)[0].tolist()) for seed in range(5)}
    assert len(drawn) == 5
    assert {len(numbers) for numbers in drawn} <= set(range(2, 7))
    assert checks.Answer(None, 0).normal(3).dtype == torch.float64


def test_integers_come_from_the_whole_range():
    answer = checks.Answer(None, 0)
    assert {answer.integer(2, 5) for _ in range(100)} == {2, 3, 4, 5}


def test_a_mistake_that_is_not_a_number_matches_nothing():
    @exercise("98-crafted")
    def frozen(answer):
        answer.expect(answer(), 1.0, "Return one.", {"Never.": float("nan")})

    assert said(lambda: 2.0, "frozen")[1].startswith("Return one.")
    assert said(lambda: float("nan"), "frozen")[1].startswith("Return one.")


def test_a_list_of_numbers_that_is_changed_in_place():
    @exercise("98-crafted")
    def frozen(answer):
        answer.expect(answer([3, 1, 2]), 3, "The largest one.")

    def largest(numbers):
        numbers.sort()
        return numbers[-1]

    assert "changed its input" in said(largest, "frozen")[1]
    assert said(max, "frozen")[0] == "correct"
