"""Whatever is wrong is refused: the argument, what came and the cure are named; nothing changes."""

import pytest
import torch
from torch import nn

import prunekit as pk

from .networks import chain
from .refusals.arrays import ARRAYS
from .refusals.calibration import CALIBRATION
from .refusals.networks import IMAGES, NETWORKS
from .test_pipeline import assert_untouched, snapshot


def named(rows):
    """An id for each row: the function, and how its message begins."""
    return [f"{row[0].__name__}: {row[-1][:40]}" for row in rows]


@pytest.mark.parametrize(("function", "args", "options", "message"), ARRAYS, ids=named(ARRAYS))
def test_arrays(function, args, options, message):
    arrays = [value for value in args if isinstance(value, torch.Tensor)]
    before = [array.clone() for array in arrays]
    with pytest.raises(ValueError, match=message):
        function(*args, **options)
    for array, was in zip(arrays, before, strict=True):
        torch.testing.assert_close(array, was, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    ("function", "args", "options", "error", "message"), NETWORKS, ids=named(NETWORKS)
)
def test_networks(function, args, options, error, message):
    model = chain().train()
    model[3].weight.requires_grad_(False)
    before, dice = snapshot(model), torch.get_rng_state()
    with pytest.raises(error, match=message) as raised:
        function(model, *args, **options)
    assert_untouched(model, before)
    assert torch.equal(torch.get_rng_state(), dice)
    if "model cannot take" in str(raised.value):
        assert isinstance(raised.value.__cause__, RuntimeError | TypeError | ValueError)


@pytest.mark.parametrize("case", CALIBRATION)
def test_calibration(case):
    misuse, message = CALIBRATION[case]
    with pytest.raises((TypeError, ValueError), match="calibration") as raised:
        misuse()
    assert raised.match(message)


NO_NETWORK = [
    lambda: pk.prune("network", IMAGES[:1], IMAGES, pruning_ratio=0.5),
    lambda: pk.optimize_ratios("network", IMAGES[:1], IMAGES, target_macs=0.5),
    lambda: pk.find_sites("network", IMAGES[:1]),
    lambda: pk.behaviors("network", "0", IMAGES),
    lambda: pk.count_macs("network", IMAGES[:1]),
    lambda: pk.recalibrate_batchnorm("network", IMAGES),
]


@pytest.mark.parametrize("misuse", NO_NETWORK, ids=range(len(NO_NETWORK)))
def test_what_is_no_network(misuse):
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, got str"):
        misuse()


@pytest.mark.parametrize("name", ["gram", "cross", "mean_x"])
def test_empty_moments(name):
    with pytest.raises(ValueError, match=r"moments are empty: call update\(X, Y\) first"):
        getattr(pk.Moments(), name)


def test_ignoring_the_whole_network_is_an_error_with_reasons():
    model = chain()
    with pytest.raises(ValueError, match=r"no channels that can be pruned:\n  0: it is in ignored"):
        pk.prune(model, IMAGES[:1], IMAGES, pruning_ratio=0.5, ignored_layers=[model, nn.Linear])
