"""An error for each site instead of a ratio: by hand, on channels that nothing can make up for."""

import pytest
import torch
from torch import nn

import prunekit as pk


@pytest.mark.parametrize(
    ("max_error", "kept"),
    [
        # the first site loses 0.04; so does the second, beside what is silent by then
        (0.05, {"0": (0, 2), "1": (0,)}),
        (0.09, {"0": (0,), "1": (0,)}),
    ],
)
def test_each_site_gives_what_its_own_error_allows(max_error, kept):
    model = nn.Sequential(*(nn.Linear(3, 3) for _ in range(3))).double()
    for layer in model:
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)
    signs = torch.tensor([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]).double()  # orthogonal
    inputs = (signs * torch.tensor([0.92, 0.04, 0.04]).double().sqrt()).repeat(25, 1)
    options = {"max_error": max_error, "repair": "none", "progress": False}
    options["weigh_outputs"] = False  # channels tie, and no estimate decides between them
    assert dict(pk.prune(model, inputs[:1], inputs, **options).plan) == kept


def test_an_error_that_no_site_keeps_within_is_refused():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).double()
    inputs = torch.randn(50, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="max_error=1e-09 is met at no site"):
        pk.prune(model, inputs[:1], inputs, max_error=1e-9, progress=False)
