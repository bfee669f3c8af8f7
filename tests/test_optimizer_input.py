"""What optimize_ratios() refuses, with a message that says why, and that nothing changes then."""

import pytest
import torch

from .networks import TwoHeads
from .test_optimizer import model, optimize


def breaks(site):
    raise RuntimeError("no")


def test_kl_needs_one_output():
    inputs = torch.randn(20, 6)
    with pytest.raises(ValueError, match="criterion='kl' needs a network with one output"):
        optimize(TwoHeads().eval(), inputs, target_macs=0.8, criterion="kl", method="l1")


def test_ignored_layers_may_be_modules_or_come_from_a_generator():
    net = model()
    by_name = optimize(net, target_params=0.8, ignored_layers=["0"])
    for layers in ([net[0]], (layer for layer in [net[0]])):
        assert optimize(net, target_params=0.8, ignored_layers=layers) == by_name
    assert set(by_name) == {"3", "7"}


def test_where_there_is_no_step_no_error_is_too_large():
    with pytest.raises(ValueError, match="met by no step, for there is none.*lower round_to"):
        optimize(model(), max_error=1.0, round_to=64)
