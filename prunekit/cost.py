"""What a network costs: multiply-accumulates, parameters, seconds."""

import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from prunekit.inputs import call, check_example, map_tensors

__all__ = ["Latency", "count_macs", "count_params", "measure_latency"]


@torch.no_grad()
def count_macs(model: nn.Module, example_inputs: Any) -> int:
    """Multiply-accumulates of one forward pass at batch size 1.

    Counted by ``torch.utils.flop_counter`` (2 of its FLOPs are 1 MAC): convolutions, linear layers
    and matrix products; additions, batch norms and activations count nothing.
    """
    inputs = map_tensors(lambda value: value[:1], check_example(example_inputs, model))
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with FlopCounterMode(display=False) as counter:
            call(model, inputs)
    finally:
        for module, training in modes:
            module.training = training
    return counter.get_total_flops() // 2


def count_params(model: nn.Module) -> int:
    """Numbers that training adjusts: elements of all parameters, shared ones once."""
    return sum(p.numel() for p in model.parameters())


@dataclass(frozen=True)
class Latency:
    """Seconds per forward pass: the median, and the range of the middle half of the runs."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{1e3 * self.median:.1f} ms ({1e3 * self.low:.1f} to {1e3 * self.high:.1f})"


@torch.no_grad()
def measure_latency(
    model: nn.Module, example_inputs: Any, *, repeats: int = 30, warmup: int = 5
) -> Latency:
    """Time forward passes of ``example_inputs`` as they are, whatever their batch size.

    Parameters
    ----------
    repeats, warmup : passes that are timed, and passes before them that are not

    Returns
    -------
    Latency in seconds. The machine's other work shows: compare medians measured in one run.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be 1 or more, got {repeats}")
    inputs = check_example(example_inputs, model)
    on_gpu = any(p.is_cuda for p in model.parameters())
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        seconds = []
        for _ in range(warmup + repeats):
            start = time.perf_counter()
            call(model, inputs)
            if on_gpu:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
    finally:
        for module, training in modes:
            module.training = training
    timed = sorted(seconds[warmup:])
    return Latency(median(timed), timed[len(timed) // 4], timed[(3 * len(timed)) // 4])
