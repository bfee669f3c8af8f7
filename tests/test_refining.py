"""refine(): nearer to the original on samples that it has not seen, and never farther."""

import copy

import pytest
import torch
from torch import nn

import prunekit as pk
from prunekit.pipeline import refining
from prunekit.pipeline.refining import refined

from .networks import chain

G = torch.Generator().manual_seed(0)
IMAGES = torch.randn(200, 3, 8, 8, generator=G)
FRESH = torch.randn(400, 3, 8, 8, generator=G)


def distance(a, b, x=FRESH):
    with torch.no_grad():
        return (a(x) - b(x)).square().sum(1).mean().item()


def small(model, images=IMAGES):
    options = {"pruning_ratio": 0.5, "progress": False}
    return pk.prune(model, images[:1], images, **options)


def test_it_comes_nearer_on_fresh_images():
    model = chain(seed=3).eval()
    result = small(model)
    before = copy.deepcopy(result.model.state_dict())
    better = pk.refine(result, model, IMAGES, epochs=40, progress=False)
    assert distance(better.model, model) < 0.99 * distance(result.model, model)
    assert better.plan == result.plan and not better.model.training
    for name, value in result.model.state_dict().items():
        assert torch.equal(value, before[name])
    norms = [(m.running_mean, m.weight) for m in result.model if isinstance(m, nn.BatchNorm2d)]
    after = [(m.running_mean, m.weight) for m in better.model if isinstance(m, nn.BatchNorm2d)]
    for (mean, _), (frozen, _) in zip(norms, after, strict=True):
        assert torch.equal(mean, frozen)


@pytest.mark.parametrize("rates", [(10.0,), (1e3, 1e2)])
def test_steps_that_are_too_long_leave_it_as_it_was(monkeypatch, rates):
    monkeypatch.setattr(refining, "RATES", rates)
    model = chain(seed=3).eval()
    result = small(model)
    kept = pk.refine(result, model, IMAGES, epochs=2, progress=False).model
    held = torch.cat([b[-(len(b) // 5) :] for b in IMAGES.split(100)])
    assert distance(kept, model, held) <= distance(result.model, model, held)


def test_modes_flags_and_seeds():
    model = chain(seed=3).train()
    model[9].weight.requires_grad_(False)
    result = small(model)
    one, two = (pk.refine(result, model, IMAGES, epochs=1, seed=4, progress=False) for _ in "ab")
    assert one.model.training and not one.model[9].weight.requires_grad
    assert one.model[0].weight.requires_grad and one.model[0].weight.grad is None
    for a, b in zip(one.model.parameters(), two.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_inputs_that_are_no_images():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 3)).eval()
    x = torch.randn(300, 6)
    result = pk.prune(model, x[:1], x, pruning_ratio=0.5, progress=False)
    better = pk.refine(result, model, x, epochs=5, progress=False)
    fresh = torch.randn(500, 6)
    assert distance(better.model, model, fresh) < distance(result.model, model, fresh)


def test_what_is_refused():
    model = chain(seed=3).eval()
    result = small(model)
    with pytest.raises(TypeError, match="result must be what prune"):
        pk.refine(result.model, model, IMAGES)
    with pytest.raises(ValueError, match="epochs must be 1 or more"):
        pk.refine(result, model, IMAGES, epochs=0)
    with pytest.raises(ValueError, match="ten calibration samples"):
        refined(result.model, model, [IMAGES[:9]], 1)
