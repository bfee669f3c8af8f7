"""Downdates that wait against those at once, the form in which `biorthogonal` teaches them."""

import pytest
import torch

import prunekit as pk
from prunekit.algebra import delayed
from prunekit.algebra.least_squares import LeastSquares
from prunekit.biorthogonal import removal_costs, remove

from .problems import F64


def problem(n, k, outputs, seed=0, rank=None):
    """Moments of correlated columns, of ``rank`` independent ones, and weights W⁰."""
    g = torch.Generator().manual_seed(seed)
    X = torch.randn(4 * n * k, rank or n * k, generator=g, dtype=F64)
    X = X @ torch.randn(X.shape[1], n * k, generator=g, dtype=F64)
    W0 = torch.randn(n * k, outputs, generator=g, dtype=F64)
    noise = torch.randn(len(X), outputs, generator=g, dtype=F64)
    return pk.Moments().update(X, X @ W0 + 5 * noise), W0


def at_once(moments, k, W0, ridge, score):
    """The greedy path with H and W whole at every step; errors from their definition."""
    squares = LeastSquares.from_moments(moments, W0, ridge=ridge)
    factor, lam = squares.factorise()
    H = torch.cholesky_inverse(factor)
    W = H @ (squares.cross + lam[:, None] * W0)
    left, order, errors = list(range(len(H) // k)), [], [squares.error(W)]
    while left:
        costs = removal_costs(H, W if score == "output" else None, torch.tensor(left), k)
        order.append(left.pop(int(costs.argmin())))
        remove(H, W, slice(order[-1] * k, order[-1] * k + k))
        errors.append(squares.error(W))
    return torch.tensor(order), torch.tensor(errors, dtype=F64).diff()


@pytest.mark.parametrize("waiting", [1, 7, 10_000])
@pytest.mark.parametrize(("n", "k", "ridge"), [(9, 4, 1e-2), (12, 1, 1e-5), (5, 9, 0.0)])
@pytest.mark.parametrize("score", ["output", "behavior"])
def test_the_path_is_that_of_downdates_at_once(monkeypatch, waiting, n, k, ridge, score):
    monkeypatch.setattr(delayed, "WAITING", waiting)
    moments, W0 = problem(n, k, 6)
    path = pk.eliminate(moments, k, weights=W0, ridge=ridge, score=score)
    order, errors = at_once(moments, k, W0, ridge, score)
    assert torch.equal(path.order, order)
    torch.testing.assert_close(path.errors, errors, rtol=1e-6, atol=1e-7 * errors.sum().item())


@pytest.mark.parametrize("waiting", [3, 10_000])
def test_dependent_columns_while_downdates_wait(monkeypatch, waiting):
    """Half of the channels say what the others say: they go first and cost nothing."""
    monkeypatch.setattr(delayed, "WAITING", waiting)
    moments, W0 = problem(12, 2, 3, rank=12)
    path = pk.eliminate(moments, 2, weights=W0)
    left = LeastSquares.from_moments(moments).error(path.weights_at(6)[0])
    best = LeastSquares.from_moments(moments, ridge=1e-12).error(path.weights_at(12)[0])
    assert path.errors[:6].abs().sum() < 1e-6 * moments.scatter_yy.sum()
    assert left == pytest.approx(best, rel=1e-3)


@pytest.mark.parametrize("waiting", [1, 10_000])
def test_recorded_covers_are_the_least_squares_of_a_channel(monkeypatch, waiting):
    monkeypatch.setattr(delayed, "WAITING", waiting)
    moments, W0 = problem(6, 2, 3)
    path = pk.eliminate(moments, 2, weights=W0, ridge=0.0, record=True)
    G, gone = moments.scatter_xx, []
    for step in path.steps[:-1]:
        mine = [2 * step.gone, 2 * step.gone + 1]
        rest = [i for i in range(12) if i // 2 not in gone and i not in mine]
        want = torch.zeros(12, 2, dtype=F64)
        want[rest] = torch.linalg.solve(G[rest][:, rest], G[rest][:, mine])
        torch.testing.assert_close(step.coefficients, want, rtol=1e-6, atol=1e-6)
        gone.append(step.gone)
