"""Is a site what the trace says it is? Channels removed must act exactly as channels silenced."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from prunekit import surgery
from prunekit.inputs import Inputs, call, flat_outputs, frozen_copy, map_tensors

__all__ = ["verify"]


def verify(model: nn.Module, site: Any, example: Inputs) -> str | None:
    """None when removing every second channel acts exactly as silencing it, else what went wrong.

    Random inputs take the place of ``example``, where zeros could hide a difference.
    """
    removed = frozen_copy(model)
    with torch.no_grad():
        for attempt in range(8):  # until the channels have something to say
            half = range(attempt % 2, site.channels, 2)
            inputs = map_tensors(_noise(torch.Generator().manual_seed(attempt)), example)
            silenced = frozen_copy(model)
            surgery.silence(silenced, {site: half})
            intact, wanted = flat_outputs(call(model, inputs)), flat_outputs(call(silenced, inputs))
            if not all(torch.equal(a, b) for a, b in zip(intact, wanted, strict=True)):
                break
        else:
            return "silencing its channels changes nothing, so it cannot be verified"
        try:
            surgery.remove(removed, {site: half})
            got = flat_outputs(call(removed, inputs))
        except Exception as error:  # any failure of foreign code means: leave this site alone
            return f"the network fails without a channel ({type(error).__name__}: {error})"[:160]
    if [t.shape for t in wanted] != [t.shape for t in got]:
        return "its channels are outputs of the network"
    for a, b in zip(wanted, got, strict=True):
        tolerance = 1e-4 * (1 + a.abs().max().item()) if a.numel() else 0.0
        if not torch.allclose(a, b, rtol=0, atol=tolerance):
            return (
                "removing channels does not act as silencing them (a norm or softmax over "
                "channels, or an operation that the trace missed)"
            )
    return None


def _noise(generator: torch.Generator) -> Callable[[Tensor], Tensor]:
    """A function from a tensor to random numbers of its shape; whole numbers stay as they are."""

    def noise(value: Tensor) -> Tensor:
        random = torch.randn(value.shape, generator=generator)
        return random.to(value) if value.is_floating_point() else value

    return noise
