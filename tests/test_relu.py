"""Least squares through a ReLU, against plain minimisation and by hand."""

import copy
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

import prunekit as pk
from prunekit.algebra.least_squares import LeastSquares
from prunekit.algebra.moments import Moments
from prunekit.algebra.relu import passing_error, step_through
from prunekit.network.layers import consumer_inputs, consumer_outputs
from prunekit.network.turn import _products
from prunekit.pipeline import fitting

G = torch.Generator().manual_seed(0)


def test_what_passes_by_hand():
    z, guess = torch.tensor([2.0, 2.0, -1.0, -1.0]), torch.tensor([1.0, -1.0, -5.0, 3.0])
    assert passing_error(z, guess).tolist() == [1.0, 3.0, 0.0, -3.0]


def test_rounds_lower_the_error_behind_the_relu():
    """Every one of them, and far below what plain least squares leaves."""
    X = torch.randn(500, 6, dtype=torch.float64, generator=G)
    Z = X @ torch.randn(6, 4, dtype=torch.float64, generator=G) - 1.0
    columns = torch.arange(4)  # two of them went
    problem = LeastSquares.from_moments(Moments().update(X, Z), ridge=1e-9)
    W = problem.solve(columns)
    b, factor = problem.bias(W), problem.factorise(columns)[0]
    errors = []
    for _ in range(30):
        E = passing_error(Z, X @ W + b)
        errors.append(E.square().sum().item())
        assert (Z.relu() - (X @ W + b).relu()).square().sum() <= errors[-1] * (1 + 1e-9)
        dW, db = step_through(problem, factor, columns, W, X.T @ E, E.mean(0))
        W, b = W + dW, b + db
    assert all(after <= before * (1 + 1e-9) for before, after in pairwise(errors))
    assert errors[-1] < 0.9 * errors[0] and not W[4:].any()
    # at the least of a convex loss its gradient is zero
    assert (X[:, :4].T @ E).abs().max() < 1e-2 * (X[:, :4].T @ Z).abs().max()


def test_rounds_without_a_relu_in_the_way_stay_where_they_are():
    """Where everything is above zero the solution of least squares is the end, ridge or not."""
    X = torch.randn(200, 5, dtype=torch.float64, generator=G)
    Z = X @ torch.randn(5, 3, dtype=torch.float64, generator=G)
    Z = Z + Z.abs().max() * 2
    columns, W0 = torch.arange(3), torch.randn(5, 3, dtype=torch.float64, generator=G)
    problem = LeastSquares.from_moments(Moments().update(X, Z), W0, ridge=0.1)
    W, factor = problem.solve(columns), problem.factorise(columns)[0]
    E = passing_error(Z, X @ W + problem.bias(W))
    steps = step_through(problem, factor, columns, W, X.T @ E, E.mean(0))
    assert max(step.abs().max() for step in steps) < 1e-9


def test_products_are_those_of_unfolded_inputs():
    layers = [
        (nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), torch.randn(3, 4, 7, 7, generator=G)),
        (nn.ConvTranspose2d(4, 3, 3, stride=2), torch.randn(3, 4, 5, 5, generator=G)),
        (nn.Conv1d(2, 3, 3, padding="same", padding_mode="circular"), torch.randn(3, 2, 9)),
        (nn.Linear(4, 3), torch.randn(3, 5, 4, generator=G)),
    ]
    for layer, taken in layers:
        layer, taken = layer.double(), taken.double()
        found = _products(layer, taken, lambda said: said.square())
        E = layer(taken).detach().square()
        groups = getattr(layer, "groups", 1)
        for g, (cross, total) in enumerate(found):
            size = 4 // groups
            mine = torch.arange(g * size, g * size + size) if groups > 1 else None
            X, rows = consumer_inputs(layer, taken, mine), consumer_outputs(layer, E, g)
            torch.testing.assert_close(cross, X.T @ rows)
            torch.testing.assert_close(total, rows.sum(0))


def test_a_network_errs_less_behind_its_relus(monkeypatch):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 12), nn.ReLU(), nn.Linear(12, 3)
    )
    X = torch.randn(600, 8)
    errors = []
    for rounds in (0, 8):
        monkeypatch.setattr(fitting, "ROUNDS", rounds)
        options = {"pruning_ratio": {"0": 0.75}, "progress": False}
        small = pk.prune(copy.deepcopy(model), X[:1], X, **options).model
        errors.append((F.relu(small[:3](X)) - F.relu(model[:3](X))).square().sum().item())
    assert errors[1] < 0.97 * errors[0]
