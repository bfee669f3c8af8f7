"""REAP against fresh least squares and brute force: the identities of its formulas."""

import itertools
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunekit import LeastSquares, Moments, eliminate
from prunekit.algebra.statistics import Consumer, Statistics
from prunekit.biorthogonal import downdate, leave_one_out_naive
from prunekit.reap import reap

from .problems import F64, of, problem, refit

SEEDS = st.integers(0, 10_000)


def close(got, want, rtol=1e-8):
    torch.testing.assert_close(got, want, rtol=rtol, atol=rtol * max(want.abs().max().item(), 1.0))


def removals(X, Y, left, k, scale=1.0):
    """What each of the channels ``left`` would add to the error: brute force."""
    before = refit(X[:, of(left, k)], Y * scale)[2]
    return {c: refit(X[:, of(set(left) - {c}, k)], Y * scale)[2] - before for c in left}


@settings(max_examples=40)
@given(st.integers(2, 6), st.integers(1, 4), st.integers(1, 3), SEEDS)
def test_identity_2_path_equals_fresh_lstsq_at_every_step(n, k, outputs, seed):
    X, Y, _, _ = problem(20 + 6 * n * k, n, k, outputs, seed)
    elimination = eliminate(Moments().update(X, Y), k, ridge=0.0, record=True)
    error = refit(X, Y)[2]
    for removed in range(n):
        left = elimination.kept_at(n - removed)
        W, b, fresh = refit(X[:, of(left, k)], Y)
        assert error == pytest.approx(fresh, rel=1e-8)  # ΣΔE = residual of a fresh fit
        got_W, got_b = elimination.weights_at(n - removed)
        close(got_W[of(left, k)], W)
        close(got_b, b)
        assert got_W.abs().sum() == pytest.approx(got_W[of(left, k)].abs().sum().item())
        error += elimination.errors[removed].item()
        # what a step recorded: the scores of all, and who covers for the one that goes
        step = elimination.steps[removed]
        want = removals(X, Y, left.tolist(), k)
        assert step.gone == elimination.order[removed].item() == min(want, key=want.get)
        scores = torch.tensor([want.get(c, torch.nan) for c in range(n)], dtype=F64)
        torch.testing.assert_close(
            step.scores, scores, rtol=1e-8, atol=1e-9 * error, equal_nan=True
        )
        others = of(set(left.tolist()) - {step.gone}, k)
        cover = torch.zeros(n * k, k, dtype=F64)  # depends on H: so H is the fresh inverse
        cover[others] = refit(X[:, others], X[:, of([step.gone], k)])[0]
        close(step.coefficients, cover)
    assert error == pytest.approx((Y - Y.mean(0)).square().sum().item(), rel=1e-8)


@settings(max_examples=20)
@given(st.integers(2, 5), SEEDS)
def test_the_errors_of_several_consumers_add_up(n, seed):
    """Two layers that take the same channels, one as kernels: brute force over both."""
    layers = [(problem(20 + 12 * n, n, k, 2, seed + k)[:2], k) for k in (1, 2)]
    consumers = tuple(
        Consumer(str(k), partial(Moments().update, X, Y), None, None, k, ridge=0.0)
        for (X, Y), k in layers
    )
    site = Statistics("site", consumers, torch.ones(n, 1), *[None] * 5)
    order = reap(site).order.tolist()
    left = list(range(n))
    for gone in order[:-1]:
        both = [removals(X, Y, left, k) for (X, Y), k in layers]
        assert gone == min(left, key=lambda c: both[0][c] + both[1][c])
        left.remove(gone)


def test_nothing_is_recorded_unless_asked_for():
    X, Y, _, _ = problem()
    assert eliminate(Moments().update(X, Y)).steps == ()


@settings(max_examples=30)
@given(st.integers(2, 5), st.integers(1, 4), SEEDS, st.data())
def test_identity_3_a_block_is_its_columns_one_at_a_time_in_any_order(n, k, seed, data):
    X, Y, _, _ = problem(20 + 6 * n * k, n, k, 2, seed)
    moments = Moments().update(X, Y)
    elimination = eliminate(moments, k, ridge=0.0, record=True)
    H = torch.linalg.inv(moments.scatter_xx)
    W, total = H @ moments.scatter_xy, 0.0
    columns = of([elimination.order[0]], k).tolist()
    for j in data.draw(st.permutations(columns)):
        total += (W[j].square().sum() / H[j, j]).item()  # ΔE_j = ‖W_j‖² / H_jj
        W, H = W - torch.outer(H[:, j], W[j]) / H[j, j], downdate(H, [j])
    assert elimination.errors[0].item() == pytest.approx(total, rel=1e-8)
    close(elimination.weights_at(n - 1)[0], W)
    kept = of(elimination.kept_at(n - 1), k)
    close(H[kept][:, kept], torch.linalg.inv(moments.scatter_xx[kept][:, kept]))


@settings(max_examples=30)
@given(st.integers(2, 6), SEEDS, st.data())
def test_identity_3_centred_is_a_column_of_ones_that_never_goes(n, seed, data):
    X, Y, _, _ = problem(n=n, seed=seed)
    kept = data.draw(st.lists(st.integers(0, n - 1), unique=True, min_size=1, max_size=n))
    ones = torch.cat([X, torch.ones(len(X), 1, dtype=F64)], 1)
    plain = LeastSquares.from_moments(Moments().update(ones, Y), centered=False, ridge=0.0)
    centred = LeastSquares.from_moments(Moments().update(X, Y), ridge=0.0)
    want, W = plain.solve(of([*kept, n])), centred.solve(of(kept))
    close(W, want[:n])
    close(centred.bias(W), want[n])
    assert centred.error(W) == pytest.approx(plain.error(want), rel=1e-8)


@settings(max_examples=40)
@given(st.integers(2, 6), st.integers(1, 3), SEEDS, st.floats(1e-6, 2.0), st.booleans(), st.data())
def test_identity_4_ridge_minimises_towards_the_original_weights(n, k, seed, ridge, centred, data):
    X, Y, W0, b0 = problem(40, n, k, seed=seed)
    moments = Moments().update(X, Y)
    options = {"weights": W0, "bias": b0, "ridge": ridge, "centered": centred}
    keep = data.draw(st.integers(1, n))
    elimination = eliminate(moments, k, **options)
    kept = of(elimination.kept_at(keep), k)
    A, T = (X - X.mean(0), Y - Y.mean(0)) if centred else (X, Y - b0)
    still = 1e-3 * len(X) * X.mean(0).square() * centred
    below = torch.diag((ridge * (A.square().sum(0) + still)[kept]).sqrt())
    # ‖T − A_S W‖² + Σ λ_j‖W_j − W⁰_j‖² as one least squares: rows stacked below say the same
    want = torch.linalg.lstsq(
        torch.cat([A[:, kept], below]), torch.cat([T, below @ W0[kept]])
    ).solution
    W, b = elimination.weights_at(keep)
    close(W[kept], want)
    close(b, Y.mean(0) - X.mean(0)[kept] @ want if centred else b0)


@settings(max_examples=25)
@given(st.integers(2, 6), st.integers(1, 3), SEEDS, st.sampled_from([0.0, 1e-5, 0.3]))
def test_errors_are_exact_rises_of_the_residual_also_with_ridge_and_scale(n, k, seed, ridge):
    X, Y, W0, b0 = problem(20 + 6 * n * k, n, k, seed=seed)
    scale = torch.rand(3, generator=torch.Generator().manual_seed(seed), dtype=F64) * 4 - 2
    options = {"weights": W0, "bias": b0, "ridge": ridge, "output_scale": scale}
    elimination = eliminate(Moments().update(X, Y), k, **options)

    def error(keep):
        W, b = elimination.weights_at(keep) if keep else (0 * W0, Y.mean(0))
        return ((Y - X @ W - b) * scale).square().sum().item()

    for removed in range(n):
        rise = error(n - removed - 1) - error(n - removed)
        assert elimination.errors[removed].item() == pytest.approx(rise, rel=1e-8, abs=1e-8)


@settings(max_examples=20)
@given(st.integers(2, 5), st.integers(1, 3), SEEDS)
def test_output_scale_weighs_the_choice_and_not_the_fit(n, k, seed):
    X, Y, _, _ = problem(20 + 6 * n * k, n, k, seed=seed)
    scale = torch.tensor([5.0, 0.0, -0.5], dtype=F64)
    elimination = eliminate(Moments().update(X, Y), k, ridge=0.0, output_scale=scale)
    for keep in range(n, 0, -1):
        kept = elimination.kept_at(keep)
        close(elimination.weights_at(keep)[0][of(kept, k)], refit(X[:, of(kept, k)], Y)[0])
        costs = removals(X, Y, kept.tolist(), k, scale)
        assert elimination.order[n - keep].item() == min(costs, key=costs.get)


@settings(max_examples=20)
@given(st.integers(2, 5), st.integers(1, 3), SEEDS)
def test_score_behavior_asks_only_who_can_be_reconstructed(n, k, seed):
    X, Y, _, _ = problem(20 + 6 * n * k, n, k, seed=seed)
    options = {"ridge": 0.0, "score": "behavior", "record": True}
    elimination = eliminate(Moments().update(X, Y), k, **options)
    error = refit(X, Y)[2]
    for removed, step in enumerate(elimination.steps):
        left = elimination.kept_at(n - removed).tolist()
        for c in left:
            rest = X[:, of(set(left) - {c}, k)]
            want = refit(rest, X[:, of([c], k)])[2]
            assert step.scores[c].item() == pytest.approx(want, rel=1e-8)
        assert step.gone == step.scores.nan_to_num(torch.inf).argmin().item()
        error += elimination.errors[removed].item()  # errors are those of Y all the same
    assert error == pytest.approx((Y - Y.mean(0)).square().sum().item(), rel=1e-8)
    if k == 1:
        residuals = leave_one_out_naive(X - X.mean(0)).residuals
        close(elimination.steps[0].scores, residuals)


@settings(max_examples=25)
@given(st.integers(3, 9), st.integers(1, 2), SEEDS, st.data())
def test_identity_7_exhaustive_and_svd_are_bounds(n, k, seed, data):
    X, Y, _, _ = problem(20 + 6 * n * k, n, k, n * k, seed)
    keep = data.draw(st.integers(1, n - 1))
    subsets = list(itertools.combinations(range(n), keep))
    best = min(refit(X[:, of(s, k)], Y)[2] for s in subsets)
    floor = torch.linalg.svdvals(Y - Y.mean(0))[keep * k :].square().sum().item()
    for exchanges in (0, 10):
        elimination = eliminate(Moments().update(X, Y), k, ridge=0.0, exchanges=exchanges)
        got = refit(X[:, of(elimination.kept_at(keep), k)], Y)[2]
        assert got >= best * (1 - 1e-9) and best >= floor * (1 - 1e-9)
        if keep == n - 1:
            assert got == pytest.approx(best, rel=1e-9)  # one removal: greedy is exhaustive


def test_greedy_is_often_the_optimum_and_exchanges_make_it_so_more_often():
    equal = {0: 0, 20: 0}
    for seed, exchanges in itertools.product(range(20), equal):
        X, Y, _, _ = problem(n=7, seed=seed)
        greedy = eliminate(Moments().update(X, Y), ridge=0.0, exchanges=exchanges)
        got = refit(X[:, greedy.kept_at(4)], Y)[2]
        best = min(refit(X[:, list(s)], Y)[2] for s in itertools.combinations(range(7), 4))
        equal[exchanges] += got <= best * (1 + 1e-9)
    assert 10 <= equal[0] <= equal[20]
