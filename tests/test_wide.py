"""Layers whose second moments do not fit into memory: one coefficient per channel, or a refusal."""

import warnings

import pytest
import torch
from torch import nn

import prunekit as pk
from prunekit.algebra.moments import Moments
from prunekit.network import memory, own


@pytest.fixture
def net():
    """A convolution of eight channels, and a layer that takes 288 columns of them."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5)
    ).eval()


IMAGES = torch.randn(60, 3, 6, 6, generator=torch.Generator().manual_seed(1))
HALF = {"pruning_ratio": 0.5, "progress": False}
ROOM = 1_000_000  # bytes: enough for 27 columns, too little for 288


def room(monkeypatch, bytes_):
    monkeypatch.setattr(memory, "free_bytes", lambda device: bytes_)


@pytest.mark.parametrize("repair", ["network", "least_squares"])
def test_each_channel_gets_one_coefficient_and_a_warning_says_so(net, repair, monkeypatch):
    wanted = pk.prune(net, IMAGES[:1], IMAGES, coefficients="channel", repair=repair, **HALF)
    silent = pk.prune(net, IMAGES[:1], IMAGES, repair="none", **HALF).model
    room(monkeypatch, ROOM)
    with pytest.warns(UserWarning, match=r"^3 takes .* would take 0\.0 GB.*gets one coefficient"):
        result = pk.prune(net, IMAGES[:1], IMAGES, repair=repair, **HALF)
    assert [row.kept for row in result.report.rows] == [row.kept for row in wanted.report.rows]
    torch.testing.assert_close(result.model[3].weight, wanted.model[3].weight)
    rows = {row.name: row for row in result.report.rows}
    assert rows["0"].columns == 8  # not 288
    with torch.no_grad():
        error = (result.model(IMAGES) - net(IMAGES)).square().sum()
        assert error < (silent(IMAGES) - net(IMAGES)).square().sum()


def test_nothing_of_its_size_is_allocated(net, monkeypatch):
    room(monkeypatch, ROOM)
    merged = []
    update = Moments.update
    monkeypatch.setattr(
        Moments, "update", lambda self, X, Y=None: merged.append(X.shape[1]) or update(self, X, Y)
    )
    with pytest.warns(UserWarning, match="one coefficient"):
        pk.prune(net, IMAGES[:1], IMAGES, **HALF)
    assert max(merged) <= 27


def test_pro_measures_such_layers_in_the_same_way(net, monkeypatch):
    how = {"target_macs": 0.6, "progress": False}
    wanted = pk.optimize_ratios(net, IMAGES[:1], IMAGES, coefficients="channel", **how)
    room(monkeypatch, ROOM)
    with pytest.warns(UserWarning, match="one coefficient"):
        found = pk.optimize_ratios(net, IMAGES[:1], IMAGES, **how)
    assert found.curves["0"] == pytest.approx(wanted.curves["0"])


def test_what_has_no_maps_is_refused_with_the_estimate_and_the_cure(monkeypatch):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 400), nn.ReLU(), nn.Linear(400, 3)).eval()
    X = torch.randn(50, 6)
    before = [p.clone() for p in net.parameters()]
    room(monkeypatch, ROOM)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=r"2 takes .*ignored_layers=\['2'\]"):
            pk.prune(net, X[:1], X, **HALF)
        small = pk.prune(net, X[:1], X, method="l1", **HALF).model  # never asks for moments
    assert small[0].out_features == 200
    assert all(map(torch.equal, before, net.parameters()))


@pytest.mark.parametrize("call", ["prune", "optimize_ratios"])
def test_what_does_not_fit_in_either_way_is_refused(net, monkeypatch, call):
    room(monkeypatch, 300_000)  # 32 copies of 8·288·5 bytes do not fit
    how = HALF if call == "prune" else {"target_macs": 0.6, "progress": False}
    with (
        pytest.warns(UserWarning, match="one coefficient"),
        pytest.raises(ValueError, match=r"3 takes .* GB are free.*ignored_layers=\['3'\]"),
    ):
        getattr(pk, call)(net, IMAGES[:1], IMAGES, **how)


def test_maps_are_made_some_rows_at_a_time(net, monkeypatch):
    how = {"coefficients": "channel", **HALF}
    wanted = pk.prune(net, IMAGES[:1], IMAGES, **how).model
    monkeypatch.setattr(own, "AT_ONCE", 500)
    found = pk.prune(net, IMAGES[:1], IMAGES, **how).model
    torch.testing.assert_close(found[3].weight, wanted[3].weight)
