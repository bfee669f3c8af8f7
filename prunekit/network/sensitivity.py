"""How much the network's outputs feel an error in what a layer says: S = E[JᵀJ].

J is the derivative of the outputs z by what the layer says at one position. With v drawn from a
normal distribution E[vvᵀ] = I, so the gradient g = Jᵀv of ⟨v, z⟩ has E[ggᵀ] = E[JᵀJ]: one backward
pass tells it of all layers, without labels.

Source: random projections of a Jacobian are Hutchinson's, Comm. Stat. 18(3), 1989; that REAP's
score weighs outputs so is our choice.
"""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from prunekit.algebra.moments import float64
from prunekit.network.dice import own_dice
from prunekit.network.inputs import Inputs, call, device_of, flat_outputs, map_tensors, samples_of
from prunekit.network.layers import LAYERS, consumer_outputs, groups_of
from prunekit.network.ranks import gathered, mine, summed

__all__ = ["sensitivities"]


def sensitivities(
    model: nn.Module, batches: Sequence[Inputs], seed: int = 0
) -> dict[str, list[Tensor]]:
    """S (outputs, outputs) of each group of each layer that a pass calls, summed over positions.

    Empty where the outputs have no derivative.
    """
    found = _felt_here(model, batches, seed)
    sizes = gathered(found and {name: [len(S) for S in groups] for name, groups in found.items()})
    if any(size is None for size in sizes):
        return {}
    device, everywhere = device_of(model), {name: n for size in sizes for name, n in size.items()}
    nothing = {
        name: [torch.zeros(n, n, dtype=torch.float64, device=device) for n in groups]
        for name, groups in everywhere.items()
    }
    return {name: summed(*found.get(name, zeros)) for name, zeros in nothing.items()}


def _felt_here(
    model: nn.Module, batches: Sequence[Inputs], seed: int
) -> dict[str, list[Tensor]] | None:
    """S of the batches of this process; None where the outputs have no derivative."""
    found: dict[str, list[Tensor]] = {}
    device, firsts = device_of(model), [0, *accumulate(map(samples_of, batches))]
    for number, batch in mine(batches):
        felt: list[tuple[str, Tensor]] = []
        hooks = [
            layer.register_forward_hook(_feeler(name, felt))
            for name, layer in model.named_modules()
            if isinstance(layer, LAYERS)
        ]
        try:
            with torch.enable_grad(), own_dice(device, number):
                z = flat_outputs(call(model, map_tensors(lambda v: v.to(device), batch)))
                z = [value for value in z if value.requires_grad]
        finally:
            for hook in hooks:
                hook.remove()
        if not z:
            return None
        numbers = range(firsts[number], firsts[number + 1])
        v = [_projection(value, [seed + number for number in numbers]) for value in z]
        try:
            gradients = torch.autograd.grad(z, [e for _, e in felt], v, allow_unused=True)
        except RuntimeError:  # of a network that overwrites what a derivative needs
            return None
        for (name, _), gradient in zip(felt, gradients, strict=True):
            if gradient is not None:
                _add(found, name, model.get_submodule(name), gradient)
    return found


def _projection(z: Tensor, seeds: Sequence[int]) -> Tensor:
    """v, of normal numbers; each sample has its own, in whatever batch it comes."""
    dice = torch.Generator()
    if z.shape[:1] != (len(seeds),):
        return torch.randn(z.shape, generator=dice.manual_seed(seeds[0])).to(z)
    return torch.stack(
        [torch.randn(z.shape[1:], generator=dice.manual_seed(seed)) for seed in seeds]
    ).to(z)


def _feeler(name: str, felt: list[tuple[str, Tensor]]):
    """A hook that adds an error of zero to what a layer says."""

    def feel(_layer: nn.Module, _args: tuple, said: Tensor) -> Tensor:
        felt.append((name, torch.zeros_like(said, requires_grad=True)))
        return said + felt[-1][1]

    return feel


def _add(found: dict[str, list[Tensor]], name: str, layer: nn.Module, gradient: Tensor) -> None:
    """S ← S + Σ ggᵀ over images and positions, group by group."""
    rows = [float64(consumer_outputs(layer, gradient, g)) for g in range(groups_of(layer))]
    squares = [g.T @ g for g in rows]  # (outputs, outputs)
    known = found.get(name)
    found[name] = squares if known is None else [a + b for a, b in zip(known, squares, strict=True)]
