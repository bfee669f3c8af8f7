"""Streamed moments against the one-shot formula, on uneven batches, in any order, merged."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prunekit import Moments


def one_shot(X, Y):
    xc, yc = X - X.mean(0), Y - Y.mean(0)
    return xc.T @ xc, xc.T @ yc, (yc * yc).sum(0)


def assert_same(moments, X, Y):
    xx, xy, yy = one_shot(X, Y)
    assert moments.count == len(X)
    for got, want in (
        (moments.mean_x, X.mean(0)),
        (moments.mean_y, Y.mean(0)),
        (moments.scatter_xx, xx),
        (moments.scatter_xy, xy),
        (moments.scatter_yy, yy),
        (moments.gram, X.T @ X),
        (moments.cross, X.T @ Y),
    ):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9 * (1 + want.abs().max().item()))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.integers(0, 10_000))
def test_streaming_equals_one_shot(sizes, seed):
    sizes.append(3)
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(sum(sizes), 5, generator=generator, dtype=torch.float64) + 100
    Y = torch.randn(sum(sizes), 2, generator=generator, dtype=torch.float64)
    batches = list(zip(X.split(sizes), Y.split(sizes), strict=True))
    forward, backward = Moments(), Moments()
    for x, y in batches:
        forward.update(x, y)
    for x, y in reversed(batches):
        backward.update(x, y)
    half = len(batches) // 2
    first, second = Moments(), Moments()
    for x, y in batches[:half]:
        first.update(x, y)
    for x, y in batches[half:]:
        second.update(x, y)
    for moments in (forward, backward, first.merge(second)):
        assert_same(moments, X, Y)


def test_chunks_and_float32_input():
    X, Y = torch.randn(5000, 3), torch.randn(5000, 2)
    before = X.clone()
    assert_same(Moments().update(X, Y), X.double(), Y.double())
    assert torch.equal(X, before), "the caller's array must not change"


def test_float64_input_is_left_alone():
    X, Y = torch.ones(4, 2, dtype=torch.float64), torch.ones(4, 1, dtype=torch.float64)
    Moments().update(X, Y)
    assert torch.equal(X, torch.ones_like(X)) and torch.equal(Y, torch.ones_like(Y))


def test_a_large_mean_costs_no_digits():
    X = torch.randn(1000, 2, dtype=torch.float64)
    Y = torch.zeros(1000, 1, dtype=torch.float64)
    shifted = Moments().update(X + 1e8, Y)
    torch.testing.assert_close(shifted.scatter_xx, one_shot(X, Y)[0], rtol=1e-6, atol=1e-3)


@given(st.permutations(range(5)), st.integers(1, 5), st.integers(0, 10_000))
def test_a_part_is_some_columns_and_what_the_others_leave_to_them(order, size, seed):
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(30, 5, generator=generator, dtype=torch.float64) + 1
    Y = torch.randn(30, 2, generator=generator, dtype=torch.float64) - 2
    W = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    columns, rest = torch.tensor(order[:size]), order[size:]
    part = Moments().update(X, Y).part(columns, W)
    assert_same(part, X[:, columns], Y - X[:, rest] @ W[rest])


def test_columns_may_not_change():
    moments = Moments().update(torch.zeros(3, 2), torch.zeros(3, 1))
    with pytest.raises(ValueError, match="columns of the first batch"):
        moments.update(torch.zeros(3, 4), torch.zeros(3, 1))
