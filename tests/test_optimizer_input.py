"""What optimize_ratios() refuses, with a message that says why, and that nothing changes then."""

import pytest
import torch

from .networks import TwoHeads, chain
from .test_optimizer import IMAGES, model, optimize
from .test_pipeline import assert_untouched, snapshot


def breaks(site):
    raise RuntimeError("no")


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({}, ValueError, "give one of target_macs, target_params, target_latency and max_error"),
        ({"target_macs": 0.5, "max_error": 1.0}, ValueError, "give one of"),
        ({"target_macs": 0.5, "target_params": 0.5}, ValueError, "give one of"),
        ({"target_macs": 50.0}, ValueError, r"target_macs.*did you mean 0\.50"),
        ({"target_params": 50.0}, ValueError, r"target_params.*did you mean 0\.50"),
        ({"target_latency": 50.0}, ValueError, r"target_latency.*did you mean 0\.50"),
        ({"target_params": -0.1}, ValueError, "0 < t ≤ 1"),
        ({"target_macs": float("nan")}, ValueError, "0 < t ≤ 1"),
        ({"target_macs": "half"}, TypeError, "target_macs must be a float"),
        ({"target_macs": True}, TypeError, "target_macs must be a float"),
        ({"target_macs": 50}, ValueError, "between 1,880 and 21,016 MACs"),
        ({"target_macs": 1879}, ValueError, "target_macs=1879 cannot be reached"),
        ({"target_macs": -5}, ValueError, "cannot be reached"),
        ({"target_params": 40}, ValueError, r"between 52 and 958 parameters \(0\.054 to 1"),
        ({"max_error": 0}, ValueError, "max_error must be a number above 0, got 0"),
        ({"max_error": -1.0}, ValueError, "above 0, got -1"),
        ({"max_error": float("nan")}, ValueError, "above 0, got nan"),
        ({"max_error": float("inf")}, ValueError, "above 0, got inf"),
        ({"max_error": 1e-30}, ValueError, "max_error=1e-30 is met by no step"),
        ({"target_macs": 0.5, "step": 0}, ValueError, "step must lie between 0 and 1.*step=0"),
        ({"target_macs": 0.5, "step": 1.0}, ValueError, r"step=1\.0"),
        ({"target_macs": 0.5, "step": 6}, ValueError, "step=6"),
        ({"target_macs": 0.5, "probes": 0}, ValueError, "1 or more.*probes=0"),
        ({"target_macs": 0.5, "form": "magic"}, ValueError, "form must be one of 'curves'"),
        ({"target_macs": 0.5, "criterion": "mae"}, ValueError, "criterion must be one of 'mse'"),
        ({"target_macs": 0.5, "method": "magic"}, ValueError, "method must be one of 'reap'"),
        ({"target_macs": 0.5, "repair": "glue"}, ValueError, "repair must be one of"),
        ({"target_macs": 0.5, "coefficients": "all"}, ValueError, "coefficients must be 'kernel'"),
        ({"target_macs": 0.5, "ridge": -1.0}, ValueError, "ridge must be 0 or more"),
        ({"target_macs": 0.5, "method": lambda site: "no"}, ValueError, "return an Elimination"),
        ({"target_macs": 0.5, "method": breaks}, RuntimeError, "no"),
        ({"target_macs": 0.5, "inputs": IMAGES * torch.nan}, ValueError, "finite numbers"),
        ({"target_macs": 0.5, "ignored_layers": ["0", "3", "7"]}, ValueError, "no channels that"),
        ({"target_macs": 0.5, "ignored_layers": ["12"]}, ValueError, "is not a layer"),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(kwargs, error, message):
    net = chain().train()
    net[3].weight.requires_grad_(False)
    before = snapshot(net)
    with pytest.raises(error, match=message):
        optimize(net, **kwargs)
    assert_untouched(net, before)


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
