"""Neuro-Unification against brute force over all pairs, with a fresh fit for each."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunekit import unify

from .problems import F64, problem

SEEDS = st.integers(0, 10_000)
SCORES = st.sampled_from(["output", "behavior"])
SCALES = st.sampled_from(["best", "one"])


def take_over(x_j, x_i, affine, scale):
    """a and c of least ‖x_j − a·x_i − c‖², and what is left, by a fresh least squares."""
    columns = ([x_i] if scale == "best" else []) + ([torch.ones_like(x_i)] if affine else [])
    target = x_j if scale == "best" else x_j - x_i
    a, c, left = (0.0 if scale == "best" else 1.0), 0.0, target
    if columns:
        A = torch.stack(columns, 1)
        solution = torch.linalg.lstsq(A, target[:, None], driver="gelsd").solution[:, 0]
        left = target - A @ solution
        a = solution[0].item() if scale == "best" else 1.0
        c = solution[-1].item() if affine else 0.0
    return a, c, left.square().sum().item()


@settings(max_examples=60)
@given(st.integers(2, 7), st.integers(1, 4), SEEDS, SCORES, st.booleans(), SCALES, st.data())
def test_every_union_is_the_best_of_all_pairs(n, outputs, seed, score, affine, scale, data):
    """Every ordered pair is fitted afresh at every step, with the weights as they are by then."""
    X, _, W, b = problem(40, n, outputs=outputs, seed=seed)
    remove = data.draw(st.integers(0, n - 1))
    found = unify(X, W, b, remove=remove, score=score, affine=affine, scale=scale)
    left = set(range(n))
    for merge in found.history:
        fits = {}
        for i, j in itertools.permutations(left, 2):
            a, c, error = take_over(X[:, j], X[:, i], affine, scale)
            error *= W[j].square().sum().item() if score == "output" else 1.0
            fits[j, i] = (a, c, error)
        a, c, error = fits[merge.gone, merge.into]
        assert merge.error == pytest.approx(min(fit[2] for fit in fits.values()), rel=1e-8)
        assert (merge.scale, merge.error) == pytest.approx((a, error), rel=1e-8)
        assert merge.shift == pytest.approx(c, rel=1e-8, abs=1e-9)
        W[merge.into] += a * W[merge.gone]
        b += c * W[merge.gone]
        W[merge.gone] = 0
        left.remove(merge.gone)
    assert len(found.history) == remove and found.kept.tolist() == sorted(left)
    torch.testing.assert_close(found.weights, W, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(found.bias, b, rtol=1e-8, atol=1e-9)


@settings(max_examples=40)
@given(st.integers(2, 6), SEEDS, st.booleans(), SCALES)
def test_the_error_of_a_union_is_what_it_adds_to_the_outputs(n, seed, affine, scale):
    X, _, W, b = problem(40, n, seed=seed)
    found = unify(X, W, b, remove=1, affine=affine, scale=scale)
    change = X @ (found.weights - W) + (found.bias - b)
    assert found.history[0].error == pytest.approx(change.square().sum().item(), rel=1e-8)


@settings(max_examples=30)
@given(SEEDS, st.booleans())
def test_angle_and_correlation_forms_of_the_error(seed, affine):
    X, _, W, _ = problem(40, 3, seed=seed)
    merge = unify(X, W, remove=1, affine=affine).history[0]
    x, y = X[:, merge.into], X[:, merge.gone]
    if affine:  # E_ij = ‖W_j‖²·N·var_j·(1 − ρ_ij²)
        rho = torch.corrcoef(torch.stack([x, y]))[0, 1]
        want = len(X) * y.var(correction=0) * (1 - rho**2)
    else:  # E_ij = ‖W_j‖²·‖x_j‖²·sin²θ_ij
        want = y.square().sum() * (1 - torch.cosine_similarity(x, y, dim=0) ** 2)
    want = (want * W[merge.gone].square().sum()).item()
    assert merge.error == pytest.approx(want, rel=1e-8)


def test_three_neurons_by_hand():
    # x_1 = 2·x_0 + 1, and x_2 is another matter: neuron 0 says what neuron 1 said, or the reverse
    X = torch.tensor([[0.0, 1.0, 1.0], [1.0, 3.0, -1.0], [2.0, 5.0, 1.0]])
    W = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    found = unify(X, W, remove=1)
    (merge,) = found.history
    assert merge.error == pytest.approx(0, abs=1e-12) and merge.gone in (0, 1)
    if merge.gone == 1:
        assert (merge.scale, merge.shift) == pytest.approx((2.0, 1.0))
        assert found.weights.tolist() == [[1.0, 2.0], [0.0, 0.0], [1.0, 1.0]]
        assert found.bias.tolist() == pytest.approx([0.0, 1.0])
    torch.testing.assert_close(X.double() @ found.weights + found.bias, (X @ W).double())


def test_pairs_are_ordered_the_quiet_one_goes():
    g = torch.Generator().manual_seed(0)
    loud = torch.randn(50, generator=g, dtype=F64)
    X = torch.stack([10 * loud, loud + 0.3 * torch.randn(50, generator=g, dtype=F64)], 1)
    merge = unify(X, torch.ones(2, 1), remove=1).history[0]
    assert (merge.gone, merge.into) == (1, 0)


def test_weights_are_scored_again_after_a_merge():
    # 0 absorbs its twin 1 and then has weights too large to go next; without that, it would
    g = torch.Generator().manual_seed(1)
    a, b = torch.randn(2, 200, generator=g, dtype=F64)
    X = torch.stack([a, a, b, a + 2 * b], 1)
    W = torch.tensor([[1.0], [4.0], [1.1], [9.0]], dtype=F64)
    found = unify(X, W, remove=2)
    first, second = found.history
    assert {first.gone, first.into} == {0, 1} and second.gone == 2
    assert found.weights[first.into].item() == pytest.approx(5.0)


@settings(max_examples=40)
@given(st.integers(2, 5), SEEDS, SCORES, st.booleans(), SCALES)
def test_identity_5_a_duplicate_goes_first_at_no_error(n, seed, score, affine, scale):
    X, Y, W, b = problem(40, n, seed=seed)
    X, W = torch.cat([X, X[:, :1]], 1), torch.cat([W, W[:1] + 1])
    found = unify(X, W, b, remove=1, score=score, affine=affine, scale=scale)
    (merge,) = found.history
    assert {merge.gone, merge.into} == {0, n} and merge.scale == pytest.approx(1, rel=1e-9)
    assert merge.error == pytest.approx(0, abs=1e-9 * X.square().sum().item())
    torch.testing.assert_close(X @ found.weights + found.bias, X @ W + b, rtol=1e-8, atol=1e-9)


@settings(max_examples=40)
@given(st.integers(2, 5), SEEDS, SCORES)
def test_dead_and_constant_neurons_cost_nothing_and_speak_for_nobody(n, seed, score):
    X, _, W, b = problem(40, n, seed=seed)
    X = torch.cat([X, torch.zeros(40, 1, dtype=F64), torch.full((40, 1), 7.0, dtype=F64)], 1)
    W = torch.cat([W, torch.ones(2, 3, dtype=F64)])
    found = unify(X, W, b, remove=2, score=score)
    assert {merge.gone for merge in found.history} == {n, n + 1}
    assert all(merge.error == pytest.approx(0, abs=1e-9) for merge in found.history)
    torch.testing.assert_close(X @ found.weights + found.bias, X @ W + b, rtol=1e-8, atol=1e-8)
    everything = unify(X, W, b, remove=n + 1, score=score)
    assert everything.weights.isfinite().all() and everything.bias.isfinite().all()
    assert everything.kept.item() < n


def test_only_dead_neurons():
    found = unify(torch.zeros(5, 3), torch.ones(3, 2), remove=2)
    assert not found.bias.any() and [merge.error for merge in found.history] == [0.0, 0.0]


@settings(max_examples=20)
@given(st.integers(1, 6), SEEDS, st.sampled_from([torch.float32, F64]))
def test_nothing_given_is_changed(n, seed, dtype):
    X, _, W, b = (v.to(dtype) for v in problem(20, n, seed=seed))
    before = [v.clone() for v in (X, W, b)]
    found = unify(X, W, b, remove=n - 1)
    assert all(torch.equal(a, c) for a, c in zip(before, (X, W, b), strict=True))
    assert found.weights.dtype == found.bias.dtype == F64 and len(found.kept) == 1
