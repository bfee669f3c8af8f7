"""A repair that fails, for whatever reason, leaves the weights that it found."""

import pytest
import torch

import prunekit as pk
from prunekit.algebra.least_squares import LeastSquares

from .networks import chain

IMAGES = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def pruned(repair):
    options = {"method": "l1", "pruning_ratio": {"0": 0.5}, "progress": False}
    return pk.prune(chain().eval(), IMAGES[:1], IMAGES, repair=repair, **options).model


@pytest.mark.parametrize("repair", ["least_squares", "network"])
def test_a_fit_that_makes_it_worse_is_not_taken(monkeypatch, repair):
    plain = pruned("none")
    monkeypatch.setattr(LeastSquares, "solve", lambda self, _: torch.full_like(self.weights, 1e3))
    with pytest.warns(UserWarning, match="least squares did not lower the error of"):
        kept = pruned(repair)
    assert torch.equal(kept(IMAGES), plain(IMAGES))
