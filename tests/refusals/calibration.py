"""Calibration data that does not fit the example: what the message says."""

import torch
from torch.utils.data import TensorDataset

import prunekit as pk

from ..networks import TwoInputs, chain
from .networks import IMAGES, LABELS, ONE

A, B = torch.randn(12, 4), torch.randn(12, 3)


def prune(calibration):
    return pk.prune(chain(), ONE, calibration, pruning_ratio=0.5, progress=False)


def two(calibration, example=(A[:1], B[:1])):
    torch.manual_seed(0)
    return pk.prune(TwoInputs(), example, calibration, pruning_ratio=0.5, progress=False)


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
    "inputs and labels bare": (lambda: prune(calibration=(IMAGES, LABELS)), r"batch 1 .*\(40,\)"),
    "a network as calibration": (lambda: prune(calibration=chain()), "calibration"),
}
