"""Costs against the formulas of a textbook."""

import copy
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.backends.cuda import flash_sdp_enabled
from torch.utils.flop_counter import FlopCounterMode

import prunekit as pk
from prunekit.classroom import models
from prunekit.network.cost import FORMULAS

from .networks import TwoInputs, chain


def test_macs_and_params_by_hand():
    conv1, conv2 = 8 * 3 * 9 * 8 * 8, 6 * 8 * 9 * 4 * 4
    linear = 24 * 10 + 10 * 4
    assert pk.count_macs(chain(), torch.randn(1, 3, 8, 8)) == conv1 + conv2 + linear
    params = 8 * 3 * 9 + 2 * 8 + 6 * 8 * 9 + (24 * 10 + 10) + (10 * 4 + 4)
    assert pk.count_params(chain()) == params


def test_macs_are_per_sample_and_modes_stay():
    model = chain().train()
    assert pk.count_macs(model, torch.randn(7, 3, 8, 8)) == pk.count_macs(
        model, torch.randn(1, 3, 8, 8)
    )
    assert all(module.training for module in model.modules())
    assert model[1].num_batches_tracked == 0


def test_published_size_of_resnet20():
    model = models.resnet20()
    assert round(pk.count_macs(model, torch.randn(1, 3, 32, 32)) / 1e6, 1) == 40.6
    assert pk.count_params(model) == 269_722


def test_macs_of_several_inputs():
    a, b = torch.randn(5, 4), torch.randn(5, 3)
    want = 4 * 8 + 8 * 8 + 3 * 8 + 16 * 2
    for example in ((a, b), {"a": a, "b": b}):
        assert pk.count_macs(TwoInputs(), example) == want


def test_latency_is_a_median_with_a_range():
    model = chain().train()
    latency = pk.measure_latency(model, torch.randn(4, 3, 8, 8), repeats=9, warmup=1)
    assert 0 < latency.low <= latency.median <= latency.high
    assert "ms" in str(latency) and model.training
    with pytest.raises(ValueError, match="repeats must be 1 or more"):
        pk.measure_latency(model, torch.randn(1, 3, 8, 8), repeats=0)


def test_the_range_is_the_middle_half_of_the_timed_runs(monkeypatch):
    now, clock = 0, []
    for seconds in (100, 3, 8, 1, 6, 4, 7, 2, 5):  # the first one warms up
        clock += [now, now + seconds]
        now += seconds
    timer = SimpleNamespace(perf_counter=iter(clock).__next__)
    monkeypatch.setattr("prunekit.network.cost.time", timer)
    latency = pk.measure_latency(chain(), torch.randn(1, 3, 8, 8), repeats=8, warmup=1)
    assert (latency.low, latency.median, latency.high) == (3, 4.5, 7)


def test_recalibration_equals_the_statistics_of_the_data():
    model = chain().train()
    images = torch.randn(200, 3, 8, 8) * 2 + 1
    model(images - 5)  # what it saw before is forgotten
    state = {name: value.clone() for name, value in model.state_dict().items()}
    fresh = pk.recalibrate_batchnorm(model, images)
    taken = model[0](images)
    torch.testing.assert_close(fresh[1].running_mean, taken.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    batches = torch.stack([h.var((0, 2, 3)) for h in taken.split(100)]).mean(0)
    torch.testing.assert_close(fresh[1].running_var, batches, rtol=1e-4, atol=1e-5)
    assert fresh[1].momentum == model[1].momentum and fresh.training
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_macs_of_a_fused_encoder_layer_are_counted():
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()
    tokens = torch.randn(1, 5, 16)
    # query, key, value and output projections, and the two layers of the MLP
    assert pk.count_macs(layer, tokens) >= 5 * (4 * 16 * 16 + 2 * 16 * 32)
    small = pk.prune(
        nn.Sequential(layer, nn.Linear(16, 2)),
        tokens,
        torch.randn(20, 5, 16),
        pruning_ratio=0.5,
        progress=False,
    )
    assert small.model[0].linear1.out_features == 16
    assert small.report.macs_before - small.report.macs_after == 5 * 2 * 16 * 16


class Last(nn.Module):
    """A recurrent classifier."""

    def __init__(self, kind, **how):
        super().__init__()
        self.body = kind(32, 64, batch_first=True, **how)
        self.head = nn.Linear(128 if how.get("bidirectional") else 64, 8)

    def forward(self, x):
        return self.head(self.body(x)[0][:, -1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_macs_of_recurrent_layers_by_hand(kind, gates, dtype):
    steps = torch.randn(3, 20, 32, dtype=dtype)
    want = 20 * gates * 64 * (32 + 64) + 64 * 8
    assert pk.count_macs(Last(kind).to(dtype), steps) == want
    both = {"num_layers": 2, "bidirectional": True}
    want = 2 * 20 * gates * 64 * ((32 + 64) + (128 + 64)) + 128 * 8
    assert pk.count_macs(Last(kind, **both).to(dtype), steps) == want


def test_macs_of_recurrent_layers_on_a_gpu_from_the_same_shapes():
    shapes = [tuple(p.shape) for p in nn.LSTM(32, 64, num_layers=2).parameters()]
    want = 2 * 20 * 4 * 64 * ((32 + 64) + (64 + 64))
    assert FORMULAS[torch.ops.aten._cudnn_rnn]((20, 1, 32), shapes, 4, None) == want


def test_a_budget_counts_recurrent_layers_too():
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), Last(nn.LSTM))
    steps, lstm = torch.randn(40, 20, 8), 20 * 4 * 64 * (32 + 64)
    half = 1 - 20 * 32 * (8 + 32) / 2 / pk.count_macs(model, steps)  # what the rest can give
    report = pk.prune(model, steps[:1], steps, target_macs=half, progress=False).report
    assert lstm < report.macs_after <= half * report.macs_before


class Attends(nn.Module):
    def forward(self, x):
        return F.scaled_dot_product_attention(x, x, x, is_causal=True)


def test_macs_of_attention_and_of_bilinear_layers_by_hand():
    query, want = torch.randn(1, 1, 10, 4), 2 * 10 * 10 * 4
    assert pk.count_macs(Attends(), query) == want
    with FlopCounterMode(display=False) as counter:  # of torch, fused
        Attends()(query)
    assert counter.get_total_flops() == 2 * want
    assert pk.count_macs(Both(), torch.randn(2, 4)) == 4 * 5 * 6


class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Bilinear(4, 5, 6)

    def forward(self, x):
        return self.layer(x, x[:, :1].expand(-1, 5))


def test_threads_that_count_leave_the_settings_of_torch_alone():
    """Nothing is switched off globally and on again, which threads would undo for each other."""
    layer, tokens = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), torch.randn(1, 5, 16)
    switches, seen = (torch.backends.mha.get_fastpath_enabled, flash_sdp_enabled), set()

    class Watch(nn.Module):
        def forward(self, x):
            seen.add(tuple(switch() for switch in switches))
            return x

    with ThreadPoolExecutor(4) as pool:
        models = [nn.Sequential(copy.deepcopy(layer), Watch()) for _ in range(16)]
        assert len(set(pool.map(lambda model: pk.count_macs(model, tokens), models))) == 1
        list(pool.map(lambda model: pk.find_sites(model, tokens), models[:4]))
    assert seen == {(True, True)}
