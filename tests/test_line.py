"""The whole line on trained networks: what pruning costs, and what REAP keeps."""

import os
from pathlib import Path

import pytest
import torch

import prunekit as pk
from prunekit.classroom import data, models
from prunekit.classroom.pretrained import pretrained
from prunekit.classroom.training import accuracy


def pruned_accuracy(model, calibration, test, **kwargs):
    result = pk.prune(model, calibration[:1], calibration, progress=False, **kwargs)
    return accuracy(result.model, test), result


def test_shapes32_is_hard_enough_to_tell_methods_apart():
    model, test = pretrained("resnet20-shapes32"), data.shapes32("test", 1000)
    calibration = data.shapes32("train").sample(300).inputs
    intact = accuracy(model, test)
    assert 90 <= intact <= 97
    l1, small = pruned_accuracy(model, calibration, test, method="l1", target_macs=0.5)
    reap, same = pruned_accuracy(model, calibration, test, target_macs=0.5, distribution="uniform")
    assert small.report.macs_after == same.report.macs_after <= 0.5 * small.report.macs_before
    assert intact - l1 > 30
    assert intact - reap < 8


def public_resnet20():
    path = Path(os.environ.get("PRUNEKIT_DATA", "")) / "resnet20-12fca82f.th"
    if not path.is_file() or data.find_cifar10() is None:
        pytest.skip("PRUNEKIT_DATA holds no CIFAR-10 with the public ResNet-20 checkpoint")
    state = torch.load(path, weights_only=True, map_location="cpu")["state_dict"]
    model = models.resnet20()
    model.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    return model.eval()


def test_public_resnet20_on_real_cifar10():
    model, test = public_resnet20(), data.cifar10("test")
    calibration, part = data.cifar10("train").sample(300).inputs, test.sample(2000)
    assert accuracy(model, test) == pytest.approx(91.73, abs=0.03)
    reap, _ = pruned_accuracy(model, calibration, part, target_macs=0.75, distribution="uniform")
    assert accuracy(model, part) - reap < 4
