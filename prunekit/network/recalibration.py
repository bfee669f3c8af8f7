"""Batch-norm recalibration: the repair that costs no algebra, and a baseline of its own."""

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from tqdm.auto import tqdm

from prunekit.algebra.arguments import flag, takes
from prunekit.network.calibration import calibration_batches
from prunekit.network.given import copied, undisturbed
from prunekit.network.inputs import (
    check_example,
    check_numbers,
    device_of,
    first_pass,
    map_tensors,
)

__all__ = ["recalibrate_batchnorm"]


@undisturbed
@takes(progress=flag)
@torch.no_grad()
def recalibrate_batchnorm(
    model: nn.Module, calibration: Any, example_inputs: Any = None, *, progress: bool = False
) -> nn.Module:
    """A copy of ``model`` whose batch norms hold the statistics of ``calibration``.

    Parameters
    ----------
    calibration : inputs without labels, as in `prunekit.prune`
    example_inputs : what one call of the network takes; needed when it takes several tensors
    progress : show a progress bar

    Returns
    -------
    A new network, in the mode of the one given and equal in all else. Without batch norm it is a
    plain copy. Every batch (100 samples) counts equally.

    Notes
    -----
    Source: the fair baseline of pruning without retraining, e.g. Li, Wu, Su & Wang, "EagleEye",
    ECCV 2020.
    """
    model = copied(model, hooks=True)
    modes = [(module, module.training) for module in model.modules()]
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    check_numbers(model)
    example = None if example_inputs is None else check_example(example_inputs, model)
    batches = calibration_batches(calibration, example, model)
    model.eval()
    if example is not None:
        first_pass(model, example)
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over batches
        norm.train()
    for inputs in tqdm(batches, desc="batch norm", disable=not progress):
        there = map_tensors(lambda value: value.to(device_of(model)), inputs)
        first_pass(model, there, "calibration")
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for module, training in modes:
        module.training = training
    return model
