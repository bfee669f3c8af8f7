"""Nothing is shown that nobody asked for, and what was given stays, whatever forward() does."""

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

import prunekit as pk

from .networks import chain

IMAGES = torch.randn(30, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ONE = IMAGES[:1].clone()
STEPS = {"step": 0.5, "method": "l1"}
CALLS = {
    "prune": lambda model, **o: pk.prune(model, ONE, IMAGES, pruning_ratio=0.5, **o),
    "curves": lambda model, **o: pk.optimize_ratios(
        model, ONE, IMAGES, target_macs=0.5, **STEPS, **o
    ),
    "greedy": lambda model, **o: pk.optimize_ratios(
        model, ONE, IMAGES, target_macs=0.5, form="greedy", **STEPS, **o
    ),
    "seconds": lambda model, **o: pk.optimize_ratios(
        model, ONE, IMAGES, target_latency=0.75, **STEPS, **o
    ),
    "recalibration": lambda model, **o: pk.recalibrate_batchnorm(model, IMAGES, **o),
}


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Time goes by in layers only, a second for each weight: however busy the machine is."""
    now = [0.0]

    def tick(layer, *_):
        now[0] += sum(p.numel() for p in layer.parameters(recurse=False))

    hook = register_module_forward_hook(tick)
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    yield
    hook.remove()


@pytest.mark.parametrize("name", CALLS)
def test_progress_is_shown_where_it_is_asked_for(name, capsys):
    CALLS[name](chain(), progress=False)
    assert capsys.readouterr() == ("", "")
    CALLS[name](chain(), progress=True)
    assert "%" in capsys.readouterr().err


class Overwrites(nn.Module):
    """Normalises its input in place."""

    def __init__(self):
        super().__init__()
        self.inner = chain()

    def forward(self, x):
        return self.inner(x.sub_(0.5).div_(0.25))


@pytest.mark.parametrize("name", CALLS)
def test_what_a_network_does_to_its_input_stays_inside(name):
    images, one = IMAGES.clone(), ONE.clone()
    CALLS[name](Overwrites(), progress=False)
    pk.count_macs(Overwrites(), ONE)
    pk.behaviors(Overwrites(), "inner.0", IMAGES)
    assert torch.equal(images, IMAGES) and torch.equal(one, ONE)
