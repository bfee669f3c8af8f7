"""What is said to somebody who got an argument wrong: its name, what came, and the cure."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import prunekit as pk

from .networks import TwoInputs, chain

IMAGES = torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ONE = IMAGES[:1]
LABELS = torch.zeros(12, dtype=torch.long)
A, B = torch.randn(12, 4), torch.randn(12, 3)


def prune(model=None, example=ONE, calibration=IMAGES, **kwargs):
    model = chain() if model is None else model
    amount = {} if {"target_macs", "pruning_ratio"} & kwargs.keys() else {"pruning_ratio": 0.5}
    return pk.prune(model, example, calibration, progress=False, **amount, **kwargs)


def two(calibration, example=(A[:1], B[:1])):
    torch.manual_seed(0)
    return prune(TwoInputs(), example, calibration)


CALIBRATION = {
    "tuple example, one tensor": (lambda: two([(A,)]), "batches of 2 tensors.*got a tuple"),
    "tuple example, tensor batch": (lambda: two(A), r"batches of 2 tensors.*tensor \(12, 4\)"),
    "different counts": (lambda: two([(A, B[:5])]), r"equally many samples.*\(12, 4\).*\(5, 3\)"),
    "dicts, tensor example": (lambda: prune(calibration=[{"x": IMAGES}]), "give tensors.*dict"),
    "dict example, tensors": (lambda: two([A], {"a": A[:1], "b": B[:1]}), "dicts with the keys"),
    "an empty tuple": (lambda: prune(calibration=[()]), r"give tensors or \(inputs, labels\)"),
    "arrays": (lambda: prune(calibration=[IMAGES.numpy()]), "ndarray.*torch.from_numpy"),
    "one array": (lambda: prune(calibration=IMAGES.numpy()), "ndarray.*torch.from_numpy"),
    "float64 images": (
        lambda: prune(calibration=IMAGES.double()),
        r"float64, expected torch.float32.*\.to\(torch.float32\)",
    ),
    "a dataset": (
        lambda: prune(calibration=TensorDataset(IMAGES, LABELS)),
        r"DataLoader\(dataset, batch_size=100\)",
    ),
    "single samples": (
        lambda: prune(calibration=list(IMAGES)),
        r"shape \(3, 8, 8\).*single sample.*DataLoader",
    ),
    "a single dict": (lambda: two({"a": A, "b": B}), r"got a dict.*into a list, \[batch\]"),
    "inputs and labels bare": (lambda: prune(calibration=(IMAGES, LABELS)), r"batch 1 .*\(12,\)"),
    "a network as calibration": (lambda: prune(calibration=chain()), "calibration"),
}


@pytest.mark.parametrize("case", CALIBRATION)
def test_calibration(case):
    misuse, message = CALIBRATION[case]
    with pytest.raises((TypeError, ValueError), match="calibration") as raised:
        misuse()
    assert raised.match(message)


def test_inputs_beside_labels_are_understood():
    (first, second) = two([((A, B), LABELS)]), two([(A, B, LABELS)])
    assert first.plan == second.plan == two([(A, B)]).plan
    loader = DataLoader(TensorDataset(IMAGES, LABELS), batch_size=5)
    assert prune(calibration=loader).model[0].out_channels == 4


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (IMAGES[0], r"a tensor \([31], 8, 8\) of torch.float32.*x\[None\] adds a batch"),
        (ONE.double(), r"float64.*parameters are torch.float32: convert.*\.to\(torch.float32\)"),
        (ONE[:, :2], r"\(1, 2, 8, 8\).*expected input.* to have 3 channels"),
        ((ONE, ONE), r"a tuple \(a tensor .*, a tensor .*\)"),
        ({"x": ONE}, r"a dict \{'x': a tensor .*unexpected keyword"),
        (ONE.numpy(), r"got a ndarray of shape \(1, 3, 8, 8\).*torch.from_numpy"),
        ([ONE.numpy()], "got a tuple .*ndarray"),
        (((ONE, ONE), LABELS), "must be a tensor, a tuple of tensors"),
    ],
)
@pytest.mark.parametrize("door", [pk.find_sites, pk.count_macs])
def test_example_inputs(example, message, door):
    with pytest.raises((TypeError, ValueError), match=f"example_inputs.*{message}") as raised:
        door(chain().eval(), example)
    if "model cannot take" in str(raised.value):
        assert isinstance(raised.value.__cause__, RuntimeError | TypeError | ValueError)


def twice():
    return prune(pruning_ratio=0.5, target_macs=0.5)


@pytest.mark.parametrize(
    ("misuse", "error", "message"),
    [
        (lambda: prune(method=["l1"]), ValueError, r"method must be one of.*got \['l1'\]"),
        (lambda: prune(method=None), ValueError, "method must be one of.*got None"),
        (lambda: prune(repair=[1]), ValueError, r"repair must be one of.*got \[1\]"),
        (lambda: prune(ignored_layers=[3]), TypeError, "ignored_layers must hold names.*got 3"),
        (lambda: prune(ignored_layers=3), TypeError, "ignored_layers must hold names.*got 3"),
        (lambda: prune(ignored_layers=[nn.Linear(2, 2)]), ValueError, "is not a layer of this"),
        (lambda: pk.Moments().gram, ValueError, r"moments are empty: call update\(X, Y\) first"),
        (lambda: pk.Moments().cross, ValueError, "moments are empty"),
        (twice, ValueError, "give one of.*got pruning_ratio=0.5 and target_macs=0.5"),
        (lambda: prune(pruning_ratio=None), ValueError, "give one of.*got none"),
        (lambda: prune(target_macs=2.0), ValueError, "fraction kept, 0 < t ≤ 1, got 2.0"),
        (lambda: prune(target_macs=10**9), ValueError, "target_macs=1000000000.*MACs"),
        (lambda: prune(target_macs=0), ValueError, "target_macs=0 cannot be reached"),
        (lambda: pk.measure_latency(chain(), ONE, warmup=-1), ValueError, "warmup 0 or more"),
        (lambda: pk.measure_latency(chain(), ONE, repeats=0), ValueError, "repeats must be 1"),
        (lambda: pk.recalibrate_batchnorm("net", IMAGES), TypeError, "model must be a torch"),
        (lambda: pk.recalibrate_batchnorm(chain(), []), ValueError, "calibration is empty"),
        (lambda: pk.recalibrate_batchnorm(chain(), 3), TypeError, "calibration must be"),
        (lambda: pk.recalibrate_batchnorm(chain(), IMAGES, "x"), TypeError, "example_inputs must"),
        (
            lambda: pk.recalibrate_batchnorm(chain(), IMAGES[:, :2]),
            ValueError,
            r"cannot take.*\(12, 2, 8, 8\)",
        ),
    ],
)
def test_other_arguments(misuse, error, message):
    with pytest.raises(error, match=message):
        misuse()


def test_ignoring_the_whole_network_is_an_error_with_reasons():
    model = chain()
    with pytest.raises(ValueError, match=r"no channels that can be pruned:\n  0: it is in ignored"):
        prune(model, ignored_layers=[model])


def test_macs_of_a_fused_encoder_layer_are_counted():
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()
    tokens = torch.randn(1, 5, 16)
    # query, key, value and output projections, and the two layers of the MLP
    assert pk.count_macs(layer, tokens) >= 5 * (4 * 16 * 16 + 2 * 16 * 32)
    assert torch.backends.mha.get_fastpath_enabled()
    small = prune(nn.Sequential(layer, nn.Linear(16, 2)), tokens, torch.randn(20, 5, 16))
    assert small.model[0].linear1.out_features == 16
    assert small.report.macs_before - small.report.macs_after == 5 * 2 * 16 * 16


def test_arrays_of_numpy_are_not_taken_for_numbers():
    with pytest.raises(TypeError, match="pruning_ratio must be a number"):
        prune(pruning_ratio=np.ones(3))
