"""REAP against fresh least squares, brute force, and hand-made cases (papers.md's identities)."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunekit import Moments, eliminate
from prunekit.least_squares import LeastSquares, columns_of

F64 = torch.float64


def problem(samples=60, n=6, k=1, outputs=3, seed=0):
    """Correlated, non-negative columns with a mean, and answers that X nearly explains."""
    g = torch.Generator().manual_seed(seed)
    X = torch.randn(samples, n * k, generator=g, dtype=F64)
    X = (X @ torch.randn(n * k, n * k, generator=g, dtype=F64)).relu() + 0.3
    W = torch.randn(n * k, outputs, generator=g, dtype=F64)
    b = torch.randn(outputs, generator=g, dtype=F64)
    Y = X @ W + b + 0.1 * torch.randn(samples, outputs, generator=g, dtype=F64)
    return X, Y, W, b


def refit(X, Y):
    """Least squares with a bias as numpy's textbooks do it: a column of ones and lstsq."""
    A = torch.cat([X, torch.ones(len(X), 1, dtype=F64)], 1)
    solution = torch.linalg.lstsq(A, Y).solution
    return solution[:-1], solution[-1], (Y - A @ solution).square().sum().item()


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 6), st.integers(1, 4), st.integers(1, 3), st.integers(0, 1000))
def test_path_equals_fresh_lstsq_at_every_step(n, k, outputs, seed):
    X, Y, _, _ = problem(40 + 4 * n * k, n, k, outputs, seed)
    elimination = eliminate(Moments().update(X, Y), k, ridge=0.0)
    error = refit(X, Y)[2]
    for removed in range(n):
        kept = elimination.kept_at(n - removed)
        W, b, fresh = refit(X[:, columns_of(kept, k)], Y)
        assert error == pytest.approx(fresh, rel=1e-8)  # ΣΔE = residual of a fresh fit
        got_W, got_b = elimination.weights_at(n - removed)
        torch.testing.assert_close(got_W[columns_of(kept, k)], W, rtol=1e-7, atol=1e-8)
        torch.testing.assert_close(got_b, b, rtol=1e-7, atol=1e-8)
        error += elimination.errors[removed].item()
    assert error == pytest.approx((Y - Y.mean(0)).square().sum().item(), rel=1e-8)


def test_each_removal_is_the_cheapest_one():
    X, Y, _, _ = problem(n=5, k=2, seed=3)
    order = eliminate(Moments().update(X, Y), 2, ridge=0.0).order.tolist()
    left = set(range(5))
    for channel in order[:-1]:
        errors = {
            c: refit(X[:, columns_of(torch.tensor(sorted(left - {c})), 2)], Y)[2] for c in left
        }
        assert channel == min(errors, key=errors.get)
        left.remove(channel)


def test_ridge_is_the_minimiser_towards_the_original_weights():
    X, Y, W0, b0 = problem(n=4, k=1, seed=1)
    moments = Moments().update(X, Y)
    elimination = eliminate(moments, weights=W0, bias=b0, ridge=0.5)
    kept = elimination.kept_at(2)
    lam = 0.5 * moments.scatter_xx.diagonal().mean()
    A = torch.cat([(X - X.mean(0))[:, kept], lam.sqrt() * torch.eye(2, dtype=F64)])
    rhs = torch.cat([Y - Y.mean(0), lam.sqrt() * W0[kept]])  # stacked rows say the same
    want = torch.linalg.lstsq(A, rhs).solution
    torch.testing.assert_close(elimination.weights_at(2)[0][kept], want, rtol=1e-9, atol=1e-10)


def test_uncentred_keeps_the_bias():
    X, Y, W0, b0 = problem(seed=2)
    moments = Moments().update(X, Y)
    elimination = eliminate(moments, weights=W0, bias=b0, centered=False, ridge=0.0)
    kept = elimination.kept_at(3)
    W, b = elimination.weights_at(3)
    want = torch.linalg.lstsq(X[:, kept], Y - b0).solution
    torch.testing.assert_close(W[kept], want, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(b, b0)


def test_a_duplicate_goes_first_at_no_cost():
    X, Y, W, _ = problem(n=5, seed=4)
    X = torch.cat([X, X[:, 2:3]], 1)
    for ridge in (0.0, 1e-8):
        elimination = eliminate(Moments().update(X, Y), ridge=ridge)
        assert elimination.order[0].item() in (2, 5)
        assert elimination.errors[0].item() == pytest.approx(0, abs=1e-6 * Y.square().sum().item())


def test_dead_and_constant_columns_go_first():
    X, Y, _, _ = problem(n=5, seed=5)
    X[:, 1], X[:, 3] = 0.0, 7.0
    elimination = eliminate(Moments().update(X, Y))
    assert set(elimination.order[:2].tolist()) == {1, 3}
    W, b = elimination.weights_at(3)
    assert W.isfinite().all() and b.isfinite().all()


def test_greedy_is_never_better_than_exhaustive_and_often_equal():
    equal = 0
    for seed in range(20):
        X, Y, _, _ = problem(n=7, seed=seed)
        greedy = eliminate(Moments().update(X, Y), ridge=0.0)
        got = refit(X[:, greedy.kept_at(4)], Y)[2]
        best = min(refit(X[:, list(s)], Y)[2] for s in itertools.combinations(range(7), 4))
        assert got >= best * (1 - 1e-9)
        equal += got <= best * (1 + 1e-9)
    assert equal >= 10


def test_error_is_the_residual():
    X, Y, W, b = problem(seed=6)
    least = LeastSquares.from_moments(Moments().update(X, Y))
    direct = (Y - X @ W - b).square().sum().item()
    assert least.error(W, b) == pytest.approx(direct, rel=1e-9)
    best_b = (Y - X @ W).mean(0)
    assert least.error(W) == pytest.approx((Y - X @ W - best_b).square().sum().item(), rel=1e-9)


def test_fewer_samples_than_columns():
    X, Y, W0, b0 = problem(samples=10, n=6, k=4, seed=7)
    for ridge in (0.0, 1e-5):
        elimination = eliminate(Moments().update(X, Y), 4, weights=W0, bias=b0, ridge=ridge)
        W, b = elimination.weights_at(3)
        assert W.isfinite().all() and b.isfinite().all()
        assert sorted(elimination.order.tolist()) == list(range(6))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"block_size": 4}, "block_size must divide"),
        ({"block_size": 0}, "block_size must divide"),
        ({"ridge": -1.0}, "ridge must be 0 or more"),
        ({"weights": torch.zeros(2, 2)}, "weights must be"),
    ],
)
def test_bad_arguments(kwargs, message):
    X, Y, _, _ = problem()
    with pytest.raises(ValueError, match=message):
        eliminate(Moments().update(X, Y), **kwargs)


def test_empty_moments_and_keep_out_of_range():
    with pytest.raises(ValueError, match="moments are empty"):
        eliminate(Moments())
    X, Y, _, _ = problem()
    elimination = eliminate(Moments().update(X, Y))
    for keep in (0, 7):
        with pytest.raises(ValueError, match="keep must lie in"):
            elimination.kept_at(keep)
