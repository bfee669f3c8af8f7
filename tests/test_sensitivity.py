"""S = E[JᵀJ] against Jacobians, and a choice that weighs errors by it against plain projections."""

import torch
from torch import nn
from torch.func import jacrev

from prunekit.algebra.least_squares import columns_of
from prunekit.algebra.moments import Moments
from prunekit.network.sensitivity import sensitivities
from prunekit.reap import eliminate

F64 = torch.float64


def test_sensitivities_are_expected_jacobians():
    """With outputs that are linear in what a layer says, JᵀJ is W Wᵀ for every input."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3)).double()
    batches = list(torch.randn(20000, 4, dtype=F64).split(5000))
    found = sensitivities(model, batches)
    J = jacrev(model[1])(torch.zeros(5, dtype=F64))  # (3, 5)
    torch.testing.assert_close(found["0"][0] / 20000, J.T @ J, rtol=0.05, atol=0.02)
    torch.testing.assert_close(found["1"][0] / 20000, torch.eye(3, dtype=F64), rtol=0.05, atol=0.05)


def test_of_groups_of_layers_called_twice_and_in_place():
    torch.manual_seed(0)
    shared = nn.Conv2d(4, 4, 3, padding=1, groups=2)
    model = nn.Sequential(shared, nn.ReLU(inplace=True), shared, nn.Flatten(), nn.Linear(64, 2))
    x = torch.randn(6, 4, 4, 4)
    before = model(x)
    found = sensitivities(model.requires_grad_(False), [x])
    assert [S.shape for S in found["0"]] == [(2, 2), (2, 2)] and len(found["4"]) == 1
    assert torch.equal(model(x), before)


def test_no_derivative_no_sensitivity():
    class Decides(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x):
            return self.layer(x).argmax(1)

    assert sensitivities(Decides(), [torch.randn(4, 3)]) == {}


def test_a_matrix_of_weights_is_a_problem_with_mixed_outputs():
    """Scoring by ‖E·R‖² chooses as the plain score does where Y·R is what is to be said."""
    torch.manual_seed(0)
    X = torch.randn(200, 8, dtype=F64) @ torch.randn(8, 8, dtype=F64)
    Y, R = X @ torch.randn(8, 4, dtype=F64), torch.randn(4, 3, dtype=F64)
    weighed = eliminate(Moments().update(X, Y), 2, ridge=0.0, output_scale=R, exchanges=3)
    plain = eliminate(Moments().update(X, Y @ R), 2, ridge=0.0, exchanges=3)
    assert weighed.order.tolist() == plain.order.tolist()
    torch.testing.assert_close(weighed.errors, plain.errors)
    for keep in (1, 2, 3):
        assert weighed.kept_at(keep).tolist() == plain.kept_at(keep).tolist()
        W, _ = weighed.weights_at(keep)  # the fit is the same with any weights
        columns = columns_of(weighed.kept_at(keep), 2)
        best = torch.linalg.lstsq(X[:, columns] - X[:, columns].mean(0), Y - Y.mean(0)).solution
        torch.testing.assert_close(W[columns], best)
