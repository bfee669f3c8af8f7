"""Networks of few digits: what these cost is in the report, and is said where it is much."""

import copy
import warnings

import pytest
import torch
from torch import nn

import prunekit as pk
from prunekit.pipeline import precision

from .jitter.jitter import torch_mode

X = torch.randn(300, 6, generator=torch.Generator().manual_seed(0))


def alike(spread):
    """Channels that say nearly the same, of which only the differences count."""
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(6, 16), nn.Linear(16, 5))
    with torch.no_grad():
        net[0].weight.copy_(net[0].weight[:1] + spread * net[0].weight)
        net[1].weight.sub_(net[1].weight.mean(1, keepdim=True))
    return net


def pruned(net, dtype):
    x = X.to(dtype)
    net = copy.deepcopy(net).to(dtype)
    return net, pk.prune(net, x[:1], x, pruning_ratio=0.5, progress=False)


def error(net, small, dtype):
    """The relative error of the layer that takes the channels, on what it really takes."""
    said, made = net(X.to(dtype)).double(), small(X.to(dtype)).double()
    return ((said - made).square().sum() / (said - said.mean(0)).square().sum()).item()


def test_where_few_digits_cost_much_it_is_said(monkeypatch):
    monkeypatch.setattr(precision, "MUCH", 1.2)  # other processors round otherwise
    words = r"bfloat16, whose few digits cost 1 of 1 .*model\.float"
    with pytest.warns(UserWarning, match=words) as said:
        net, result = pruned(alike(0.003), torch.bfloat16)
    assert len(said) == 1 and said[0].filename == __file__
    (row,) = (row for row in result.report.rows if row.error is not None)
    assert error(net, result.model, torch.bfloat16) == pytest.approx(row.error, rel=2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_where_they_cost_little_nothing_is_said(dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pruned(alike(1.0), dtype)


def cancelling():
    """Two channels that say the same, of which much is taken twice with opposite signs."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 5))
    with torch.no_grad():
        net[0].weight[1], net[0].bias[1] = net[0].weight[0], net[0].bias[0]
        net[2].weight[:, 0] += 1e5
        net[2].weight[:, 1] -= 1e5
    return net


def test_where_roundings_are_large_a_cut_is_judged_in_float64():
    how = {"channels": {"0": [3, 4]}, "repair": "none", "progress": False}
    with torch_mode(0)():
        result = pk.prune(cancelling(), X[:1], X, **how)
    assert result.model[0].out_features == 14
