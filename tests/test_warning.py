"""Every warning points at the line that called prunekit, and says what to do."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import prunekit as pk
from prunekit.network import memory

X = torch.randn(64, 3, 6, 6, generator=torch.Generator().manual_seed(0))
PRUNEKIT = Path(pk.__file__).parent


def net():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(8 * 36, 5))
    model(X)
    return model.eval()


def prune(model=None, images=X, **options):
    options = {"pruning_ratio": 0.5, "progress": False} | options
    return pk.prune(net() if model is None else model, X[:1], images, **options)


def too_wide(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1_000_000)
    prune()


CASES = {
    "too few to refit": lambda _: prune(images=X[:3]),
    "holds 3 samples": lambda _: prune(images=X[:3], repair="least_squares"),
    "times the variance": lambda _: prune(images=X * 1e3),
    "one coefficient": too_wide,
    "is wrapped by DataParallel": lambda _: prune(nn.DataParallel(net())),
}


@pytest.mark.parametrize("words", CASES)
def test_it_points_at_whoever_called(words, monkeypatch):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        CASES[words](monkeypatch)
    assert any(words in str(warning.message) for warning in said)
    assert {warning.filename for warning in said} == {__file__}


def test_there_is_one_way_to_warn():
    ways = [path for path in PRUNEKIT.rglob("*.py") if "warnings.warn(" in path.read_text("utf-8")]
    assert ways == [PRUNEKIT / "algebra" / "warning.py"]
