"""REAP where least squares is singular: dead, constant and duplicate channels, too few samples."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunekit import LeastSquares, Moments, eliminate

from .problems import F64, deficient, of, problem, refit

SEEDS = st.integers(0, 10_000)
RIDGES = st.sampled_from([0.0, 1e-8, 1e-5])


@settings(max_examples=40)
@given(st.integers(2, 5), st.integers(1, 4), SEEDS, RIDGES, st.data())
def test_identity_5_needless_channels_go_first_at_no_cost(n, k, seed, ridge, data):
    X, Y, W, b = problem(40 + 6 * n * k, n, k, seed=seed)
    blocks = list(X.view(len(X), n, k).unbind(1))
    kinds = st.lists(st.sampled_from(["dead", "constant", "twin", "scaled"]), min_size=1)
    for kind in data.draw(kinds.filter(lambda found: len(found) <= 4)):
        first = blocks[0]
        made = {"dead": 0 * first, "constant": 0 * first + 7, "twin": first, "scaled": -3 * first}
        blocks.append(made[kind])
    turn = torch.randperm(len(blocks), generator=torch.Generator().manual_seed(seed))
    wide = torch.cat([blocks[i] for i in turn], 1)
    elimination = eliminate(Moments().update(wide, Y), k, ridge=ridge)
    extra = len(blocks) - n
    energy = (Y - Y.mean(0)).square().sum().item()
    least = refit(wide, Y)[2]
    if ridge == 0.0:
        assert (elimination.errors[:extra].abs() <= 1e-8 * energy).all()
    for keep in range(n, len(blocks) + 1):  # what stays says all that was said
        got = elimination.weights_at(keep)
        assert (Y - wide @ got[0] - got[1]).square().sum().item() <= least + 1e-4 * energy
    kept = elimination.kept_at(n)
    assert refit(wide[:, of(kept, k)], Y)[2] == pytest.approx(least, rel=1e-8)
    for keep in range(1, n + 1):  # and behind them the errors add up to what is lost
        rest = refit(wide[:, of(elimination.kept_at(keep), k)], Y)[2]
        if ridge == 0.0:
            assert elimination.errors[-keep:].sum().item() == pytest.approx(energy - rest, rel=1e-6)


@settings(max_examples=30)
@given(SEEDS, RIDGES, st.booleans())
def test_rank_counts_independent_columns(seed, ridge, centred):
    X = deficient(seed)
    Y = X[:, :1] + 1.0
    problem = LeastSquares.from_moments(Moments().update(X, Y), ridge=ridge, centered=centred)
    want = torch.linalg.matrix_rank(X - X.mean(0) if centred else X, rtol=1e-8).item()
    assert problem.rank == want


@settings(max_examples=30)
@given(st.integers(1, 30), st.integers(2, 6), st.integers(1, 4), SEEDS, RIDGES, st.booleans())
def test_fewer_samples_than_columns(samples, n, k, seed, ridge, centred):
    X, Y, W0, b0 = problem(samples, n, k, seed=seed)
    _assert_never_worse(X, Y, W0, b0, n, k, ridge, centred)
    rank = eliminate(Moments().update(X, Y), k, weights=W0, centered=centred).problem.rank
    want = torch.linalg.matrix_rank(X - X.mean(0) if centred else X, rtol=1e-8).item()
    assert rank == want <= min(samples, n * k)


@settings(max_examples=30)
@given(SEEDS, RIDGES, st.booleans(), st.floats(-6, 6))
def test_dependent_columns_of_any_scale(seed, ridge, centred, power):
    X = deficient(seed) * 10.0**power
    g = torch.Generator().manual_seed(seed)
    W0 = torch.randn(X.shape[1], 2, generator=g, dtype=F64)
    b0 = torch.randn(2, generator=g, dtype=F64)
    Y = X @ W0 + b0
    _assert_never_worse(X, Y, W0, b0, X.shape[1], 1, ridge, centred)


def _assert_never_worse(X, Y, W0, b0, n, k, ridge, centred):
    """Finite, and never further from Y than the original weights with channels silenced."""
    options = {"weights": W0, "bias": b0, "ridge": ridge, "centered": centred}
    elimination = eliminate(Moments().update(X, Y), k, record=True, **options)
    assert sorted(elimination.order.tolist()) == list(range(n))
    assert elimination.errors.isfinite().all()
    for keep in range(1, n + 1):
        W, b = elimination.weights_at(keep)
        assert W.isfinite().all() and b.isfinite().all()
        silent = torch.zeros_like(W0)
        silent[of(elimination.kept_at(keep), k)] = W0[of(elimination.kept_at(keep), k)]
        before = (Y - X @ silent - b0).square().sum().item()
        after = (Y - X @ W - b).square().sum().item()
        assert after <= before + 1e-8 * (Y.square().sum().item() + before)
    for step in elimination.steps:
        assert step.coefficients.isfinite().all()
        assert not step.scores.isinf().any() and not step.scores[step.gone].isnan()


def test_all_columns_dead():
    X, Y = torch.zeros(20, 6), torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    elimination = eliminate(Moments().update(X, Y), 2)
    W, b = elimination.weights_at(1)
    torch.testing.assert_close(b, Y.double().mean(0))
    assert W.isfinite().all() and not elimination.errors.any() and elimination.problem.rank == 0


def test_error_is_the_residual():
    X, Y, W, b = problem(seed=6)
    least = LeastSquares.from_moments(Moments().update(X, Y))
    direct = (Y - X @ W - b).square()
    scale = torch.tensor([1.0, -2.0, 0.5], dtype=F64)
    assert least.error(W, b) == pytest.approx(direct.sum().item(), rel=1e-9)
    weighted = (direct * scale**2).sum().item()
    assert least.error(W, b, scale) == pytest.approx(weighted, rel=1e-9)
    best_b = (Y - X @ W).mean(0)
    assert least.error(W) == pytest.approx((Y - X @ W - best_b).square().sum().item(), rel=1e-9)


def test_empty_moments_and_keep_out_of_range():
    with pytest.raises(ValueError, match="moments are empty"):
        eliminate(Moments())
    X, Y, _, _ = problem()
    elimination = eliminate(Moments().update(X, Y))
    for keep in (0, 7):
        with pytest.raises(ValueError, match="keep must lie in"):
            elimination.kept_at(keep)
