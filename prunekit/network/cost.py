"""What a network costs: multiply-accumulates, parameters, seconds."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils.flop_counter import (
    FlopCounterMode,
    flop_registry,
    register_flop_formula,
    sdpa_flop_count,
)

from prunekit.algebra.arguments import kind, takes, whole
from prunekit.network.given import undisturbed
from prunekit.network.inputs import call, check_example, first_pass, map_tensors
from prunekit.network.unfused import Unfused

__all__ = [
    "Latency",
    "count_macs",
    "count_params",
    "macs_by_layer",
    "measure_latency",
    "take_turns",
]

Shape = Sequence[int]


def _mkldnn_rnn(taken: Shape, to_gates: Shape, from_state: Shape, *_: Any, **__: Any) -> int:
    """FLOPs of one recurrent layer; taken (steps, samples, features)."""
    return 2 * prod(taken[:-1]) * (prod(to_gates) + prod(from_state))


def _cudnn_rnn(taken: Shape, weights: Sequence[Shape], *_: Any, **__: Any) -> int:
    """FLOPs of all layers and directions; biases are vectors."""
    return 2 * prod(taken[:-1]) * sum(prod(shape) for shape in weights if len(shape) > 1)


def _bilinear(taken: Shape, weight: Shape, *_: Any, **__: Any) -> int:
    return 2 * taken[0] * prod(weight)


def _attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


aten = torch.ops.aten
FORMULAS = {  # of fused layers that torch's counter does not know, in FLOPs
    aten.mkldnn_rnn_layer: _mkldnn_rnn,
    aten._cudnn_rnn: _cudnn_rnn,
    aten._trilinear: _bilinear,
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
}
for _operation, _formula in FORMULAS.items():
    if _operation not in flop_registry:
        register_flop_formula(_operation)(_formula)


def _network(model: object, name: str) -> None:
    """A network whose parameters are there, of whatever kind they are."""
    kind(nn.Module, words="a torch.nn.Module")(model, name)
    if any(map(is_lazy, model.parameters())):
        raise ValueError(f"{name} is lazy and has no weights yet: call it once, then ask again")


MOST = 1_000_000  # passes: no machine needs more to be timed


@undisturbed
def count_macs(model: nn.Module, example_inputs: Any) -> int:
    """Multiply-accumulates of one forward pass at batch size 1.

    Counted by ``torch.utils.flop_counter`` (2 of its FLOPs are 1 MAC), with formulas for what that
    does not know: convolutions, linear, bilinear and recurrent layers, and matrix products, those
    of attention among them; additions, batch norms and activations count nothing.
    """
    return _counted(model, example_inputs).get_total_flops() // 2


@undisturbed
def macs_by_layer(model: nn.Module, example_inputs: Any) -> dict[str, int]:
    """The same for each module by name, with all that it contains; "" is the whole network."""
    counts = _counted(model, example_inputs).get_flop_counts()
    root = type(model).__name__
    names = {key: key.removeprefix(root + ".") for key in counts if key not in ("Global", root)}
    layers = {name: sum(counts[key].values()) // 2 for key, name in names.items()}
    return {"": sum(counts["Global"].values()) // 2, **layers}


@torch.no_grad()
def _counted(model: nn.Module, example_inputs: Any) -> FlopCounterMode:
    """The counter after one forward pass of one sample."""
    example = check_example(example_inputs, model)
    inputs = map_tensors(lambda value: value[:1] if value.ndim else value, example)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with Unfused(), FlopCounterMode(display=False) as counter:
            first_pass(model, inputs)
    finally:
        for module, training in modes:
            module.training = training
    return counter


def count_params(model: nn.Module) -> int:
    """Numbers that training adjusts: elements of all parameters, shared ones once."""
    _network(model, "model")
    return sum(p.numel() for p in model.parameters())


@dataclass(frozen=True)
class Latency:
    """Seconds per forward pass: the median, and the range of the middle half of the runs."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{1e3 * self.median:.1f} ms ({1e3 * self.low:.1f} to {1e3 * self.high:.1f})"


@takes(model=_network, repeats=whole(1, MOST), warmup=whole(0, MOST))
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
    return take_turns((model,), example_inputs, repeats=repeats, warmup=warmup)[0]


@torch.no_grad()
def take_turns(
    models: Sequence[nn.Module], example_inputs: Any, *, repeats: int = 30, warmup: int = 5
) -> list[Latency]:
    """`measure_latency` of several networks, pass by pass in turn, so that they can be compared."""
    inputs = [check_example(example_inputs, model) for model in models]
    on_gpu = any(p.is_cuda for model in models for p in model.parameters())
    every = [module for model in models for module in model.modules()]
    modes = [(module, module.training) for module in every if hasattr(module, "training")]
    seconds: list[list[float]] = [[] for _ in models]
    for model in models:
        if hasattr(model, "training"):  # frozen scripts have no modes
            model.eval()
    try:
        for model, example in zip(models, inputs, strict=True):
            first_pass(model, example)  # or an error in the terms of the caller
        for _ in range(warmup + repeats):
            for model, example, times in zip(models, inputs, seconds, strict=True):
                start = time.perf_counter()
                call(model, example)
                if on_gpu:
                    torch.cuda.synchronize()
                times.append(time.perf_counter() - start)
    finally:
        for module, training in modes:
            module.training = training
    timed = [sorted(times[warmup:]) for times in seconds]
    return [Latency(median(t), t[len(t) // 4], t[(3 * len(t)) // 4]) for t in timed]
