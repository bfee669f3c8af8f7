"""Exchanges: one removed channel comes back in, another one goes, where that lowers the error."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunekit import Moments, eliminate

from .problems import F64, of, problem, refit

SEEDS = st.integers(0, 10_000)


def neighbours(kept, n):
    """Every set that one exchange leads to."""
    inside, outside = set(kept), set(range(n)) - set(kept)
    return [inside - {out} | {back} for out in inside for back in outside]


@settings(max_examples=30)
@given(st.integers(3, 7), st.integers(1, 2), SEEDS, st.data())
def test_one_swap_is_the_best_one_of_all(n, k, seed, data):
    X, Y, _, _ = problem(20 + 6 * n * k, n, k, seed=seed)
    keep = data.draw(st.integers(1, n - 1))
    moments = Moments().update(X, Y)
    plain = eliminate(moments, k, ridge=0.0).kept_at(keep).tolist()
    exchanged = eliminate(moments, k, ridge=0.0, exchanges=1).kept_at(keep).tolist()
    sets = [set(plain), *neighbours(plain, n)]
    errors = [refit(X[:, of(s, k)], Y)[2] for s in sets]
    assert refit(X[:, of(exchanged, k)], Y)[2] == pytest.approx(min(errors), rel=1e-8)
    assert set(exchanged) in sets and exchanged == sorted(exchanged)


@settings(max_examples=25)
@given(st.integers(3, 7), SEEDS, st.sampled_from([0.0, 1e-3, 0.3]), st.booleans())
def test_more_exchanges_never_raise_the_error_and_end_where_none_helps(n, seed, ridge, scaled):
    X, Y, W0, b0 = problem(n=n, seed=seed)
    scale = torch.tensor([3.0, 1.0, 0.1], dtype=F64) if scaled else None
    options = {"weights": W0, "bias": b0, "ridge": ridge, "output_scale": scale}
    moments = Moments().update(X, Y)

    def error(exchanges, keep):
        found = eliminate(moments, exchanges=exchanges, **options)
        W, b = found.weights_at(keep)
        assert (W.abs().sum(1) > 0).nonzero()[:, 0].tolist() == found.kept_at(keep).tolist()
        return ((Y - X @ W - b) * (1 if scale is None else scale)).square().sum().item()

    for keep in range(1, n):
        errors = [error(exchanges, keep) for exchanges in (0, 1, 2, 50)]
        assert all(b <= a * (1 + 1e-9) for a, b in zip(errors, errors[1:], strict=False))
        if ridge == 0.0:
            kept = eliminate(moments, exchanges=50, **options).kept_at(keep).tolist()
            weighted = Y * (1 if scale is None else scale)
            rivals = [refit(X[:, of(s)], weighted)[2] for s in neighbours(kept, n)]
            assert errors[-1] <= min(rivals) * (1 + 1e-8)


@settings(max_examples=15)
@given(SEEDS)
def test_exchanges_with_dependent_and_dead_columns(seed):
    X, Y, _, _ = problem(n=4, seed=seed)
    X = torch.cat([X, X[:, :2], torch.zeros(len(X), 1, dtype=F64)], 1)
    for keep in range(1, 7):
        moments = Moments().update(X, Y)
        plain, exchanged = (eliminate(moments, exchanges=s).kept_at(keep) for s in (0, 10))
        errors = [refit(X[:, s], Y)[2] for s in (plain, exchanged)]
        assert errors[1] <= errors[0] * (1 + 1e-6)
        assert len(set(exchanged.tolist())) == keep
        if keep == 4:
            assert errors[1] == pytest.approx(refit(X, Y)[2], rel=1e-6)


def test_errors_and_order_are_those_of_the_path_without_exchanges():
    X, Y, _, _ = problem()
    plain, exchanged = (eliminate(Moments().update(X, Y), exchanges=s) for s in (0, 5))
    assert torch.equal(plain.order, exchanged.order) and torch.equal(plain.errors, exchanged.errors)
