"""The ridge chosen on samples held back, against fits one by one; and few images."""

import pytest
import torch

import prunekit as pk
from prunekit.algebra.held_back import RIDGES, best_ridge
from prunekit.algebra.moments import Moments

from .networks import chain

F64 = torch.float64


def ridge_fit(X, Y, W0, b0, ridge):
    """min ‖Y − XW − b‖² + λ‖W − W⁰‖², by plain algebra."""
    A, B = X - X.mean(0), Y - Y.mean(0)
    G = A.T @ A
    lam = ridge * G.diagonal().mean() * torch.eye(len(G), dtype=F64)
    W = torch.linalg.solve(G + lam, A.T @ B + lam @ W0)
    return W, Y.mean(0) - X.mean(0) @ W


@pytest.mark.parametrize("noise", [0.0, 0.5, 3.0])
def test_it_is_the_one_that_errs_least(noise):
    torch.manual_seed(1)
    X, W0, b0 = torch.randn(60, 12, dtype=F64), torch.randn(12, 3, dtype=F64), torch.zeros(3)
    Y = X @ (W0 + 0.3 * torch.randn(12, 3, dtype=F64)) + noise * torch.randn(60, 3, dtype=F64)
    (X1, X2), (Y1, Y2), b0 = X.split([40, 20]), Y.split([40, 20]), b0.double()
    parts = [Moments().update(x, y) for x, y in ((X1, Y1), (X2, Y2))]
    found = best_ridge(*parts, (W0, b0), torch.arange(12))
    errors = []
    for ridge in RIDGES:
        W, b = ridge_fit(X1, Y1, W0, b0, ridge)
        errors.append((Y2 - X2 @ W - b).square().sum().item())
    plain = (Y2 - X2 @ W0 - b0).square().sum().item()
    if found is None:
        assert min(errors) >= plain
    else:
        assert errors[RIDGES.index(found)] <= min(errors) * 1.021 < plain * 1.021


def test_a_fit_to_noise_is_not_trusted():
    torch.manual_seed(0)
    X, W0 = torch.randn(30, 25, dtype=F64), torch.zeros(25, 2, dtype=F64)
    Y = torch.randn(30, 2, dtype=F64)
    parts = [Moments().update(X[:26], Y[:26]), Moments().update(X[26:], Y[26:])]
    before = (W0, Y[26:].mean(0))
    found = best_ridge(*parts, before, torch.arange(25))
    assert found is None or found >= 1.0
    assert best_ridge(parts[0], Moments(), before, torch.arange(25)) is None


@pytest.mark.filterwarnings("ignore:.* calibration samples are too few")
@pytest.mark.parametrize("count", [1, 2, 5, 20])
@pytest.mark.parametrize("seed", range(3))
def test_few_images_never_make_it_worse_than_no_repair(count, seed):
    torch.manual_seed(seed)
    model, images = chain(seed=seed).eval(), torch.randn(count, 3, 8, 8)
    fresh, options = torch.randn(500, 3, 8, 8), {"pruning_ratio": 0.5, "progress": False}
    with torch.no_grad():
        small = [
            pk.prune(model, images[:1], images, repair=repair, **options).model(fresh)
            for repair in ("network", "none")
        ]
        repaired, plain = ((z - model(fresh)).square().sum().item() for z in small)
    assert repaired <= plain


def test_too_few_say_how_many_would_do():
    model, images = chain(seed=0).eval(), torch.randn(2, 3, 8, 8)
    with pytest.warns(UserWarning, match="2 calibration samples are too few to refit 3"):
        pk.prune(model, images[:1], images, pruning_ratio={"0": 0.5}, progress=False)
