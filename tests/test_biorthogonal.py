"""Dual vectors and leave-one-out against fresh least squares, one problem at a time."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunekit import dual_vectors, leave_one_out
from prunekit.biorthogonal import downdate, leave_one_out_naive, remove_duals

from .problems import F64, deficient, problem

SIZES = st.integers(1, 8)
SEEDS = st.integers(0, 10_000)


def vectors(n, seed, dtype=F64):
    return problem(4 * n + 6, n, seed=seed)[0].to(dtype)


def close(got, want):
    torch.testing.assert_close(got, want, rtol=1e-8, atol=1e-8 * max(want.abs().max().item(), 1e-9))


@settings(max_examples=40)
@given(SIZES, SEEDS, st.sampled_from([torch.float32, F64]))
def test_identity_1_duals_are_biorthogonal_and_know_the_residuals(n, seed, dtype):
    X = vectors(n, seed, dtype)
    duals, X = dual_vectors(X), X.double()
    H = torch.linalg.inv(X.T @ X)
    close(X.T @ duals, torch.eye(n, dtype=F64))  # ⟨x_i, x̃_j⟩ = δ_ij
    close(duals.square().sum(0), H.diagonal())  # ‖x̃_j‖² = H_jj
    close(duals, X @ H)
    for j in range(n):
        others = [i for i in range(n) if i != j]
        a = torch.linalg.lstsq(X[:, others], X[:, j]).solution
        r = X[:, j] - X[:, others] @ a
        assert r.square().sum().item() == pytest.approx(1 / H[j, j].item(), rel=1e-8)
        close(duals[:, j] / duals[:, j].square().sum(), r)  # r_j = x̃_j/‖x̃_j‖²


def test_three_neurons_by_hand():
    X = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]], dtype=F64)
    close(dual_vectors(X), torch.tensor([[1.0, 0, 0], [0, 1, 0], [-1, -1, 1]], dtype=F64))
    found = leave_one_out(X.T @ X)
    close(found.residuals, torch.tensor([0.5, 0.5, 1.0], dtype=F64))
    # x_0 ≈ (x_2 − x_1)/2, x_1 ≈ (x_2 − x_0)/2, x_2 ≈ x_0 + x_1
    want = torch.tensor([[0.0, -0.5, 1.0], [-0.5, 0.0, 1.0], [0.5, 0.5, 0.0]], dtype=F64)
    close(found.coefficients, want)
    assert found.rank == 3


@settings(max_examples=40)
@given(st.integers(2, 8), SEEDS, st.data())
def test_vectors_and_gram_are_the_same_in_any_order_and_in_blocks(n, seed, data):
    X = vectors(n, seed)
    gone = data.draw(st.lists(st.integers(0, n - 1), unique=True, min_size=1, max_size=n - 1))
    kept = [i for i in range(n) if i not in gone]
    duals, H = dual_vectors(X), torch.linalg.inv(X.T @ X)
    at_once, H_at_once = remove_duals(duals, gone), downdate(H, gone)
    for j in gone:
        duals, H = remove_duals(duals, [j]), downdate(H, [j])
        close(duals.T @ duals, H)  # the Gram matrix of the vectors, at every step
    close(duals, at_once)
    close(H, H_at_once)
    close(H[kept][:, kept], torch.linalg.inv(X[:, kept].T @ X[:, kept]))  # fresh inverse
    close(duals[:, kept], dual_vectors(X[:, kept]))
    assert not duals[:, gone].any() and not H[gone].any() and not H[:, gone].any()


def test_nothing_given_is_changed_in_place():
    X = vectors(4, 0)
    duals, H = dual_vectors(X), torch.linalg.inv(X.T @ X)
    before = X.clone(), duals.clone(), H.clone()
    remove_duals(duals, [1])
    downdate(H, [1])
    leave_one_out(X.T @ X)
    assert all(torch.equal(a, b) for a, b in zip((X, duals, H), before, strict=True))


@settings(max_examples=40)
@given(SIZES, SEEDS, st.lists(st.floats(-4, 4), min_size=8, max_size=8))
def test_all_at_once_equals_one_by_one_at_any_scale(n, seed, powers):
    X = vectors(n, seed) * 10.0 ** torch.tensor(powers[:n], dtype=F64)
    fast, naive = leave_one_out(X.T @ X), leave_one_out_naive(X)
    torch.testing.assert_close(fast.residuals, naive.residuals, rtol=1e-8, atol=0)
    lengths = X.norm(dim=0)
    share = lengths[:, None] / lengths  # what a coefficient contributes, in lengths of x_j
    torch.testing.assert_close(
        fast.coefficients * share, naive.coefficients * share, rtol=1e-8, atol=1e-8
    )
    assert fast.rank == n and not fast.coefficients.diagonal().any()


@settings(max_examples=40)
@given(SEEDS)
def test_dependent_vectors_have_the_residuals_of_least_squares(seed):
    X = deficient(seed)
    fast, naive = leave_one_out(X.T @ X), leave_one_out_naive(X)
    energy = X.square().sum(0)
    assert ((fast.residuals - naive.residuals).abs() <= 1e-8 * energy.clamp(min=1)).all()
    # coefficients are not unique, but they must leave just that residual
    left = (X - X @ fast.coefficients).square().sum(0)
    assert ((left - naive.residuals).abs() <= 1e-8 * energy.clamp(min=1)).all()
    assert fast.rank == naive.rank == torch.linalg.matrix_rank(X).item()
    assert not fast.coefficients.diagonal().any()


@settings(max_examples=20)
@given(st.integers(2, 12), st.integers(1, 6), SEEDS)
def test_fewer_samples_than_vectors(n, samples, seed):
    X = torch.randn(samples, n, generator=torch.Generator().manual_seed(seed), dtype=F64)
    found = leave_one_out(X.T @ X)
    assert found.rank == min(samples, n)
    if samples < n:  # each lies in the span of the others
        assert not found.residuals.any()
        torch.testing.assert_close(X @ found.coefficients, X, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("zeros", [1, 3])
def test_only_dead_vectors(zeros):
    found = leave_one_out(torch.zeros(zeros, zeros))
    assert not found.residuals.any() and not found.coefficients.any() and found.rank == 0


@settings(max_examples=20)
@given(SEEDS)
def test_dependent_vectors_have_no_duals(seed):
    X = deficient(seed)
    rank = torch.linalg.matrix_rank(X).item()
    if rank < X.shape[1]:
        with pytest.raises(ValueError, match=f"columns of which only {rank} are independent"):
            dual_vectors(X)
    else:
        close(X.T @ dual_vectors(X), torch.eye(X.shape[1], dtype=F64))


@pytest.mark.parametrize("bad", [torch.zeros(2, 3), torch.tensor([[1.0, 2.0], [0.0, 1.0]])])
def test_a_gram_matrix_is_square_and_symmetric(bad):
    with pytest.raises(ValueError, match="square and symmetric"):
        leave_one_out(bad)


def test_more_vectors_than_samples_have_no_duals():
    with pytest.raises(ValueError, match="4 columns of which only 2"):
        dual_vectors(vectors(4, 0)[:2])
