"""Is a site what the trace says it is? Channels removed must act exactly as channels silenced."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from prunekit.network import surgery
from prunekit.network.inputs import Inputs, call, flat_outputs, map_tensors

__all__ = ["verify"]


def verify(model: nn.Module, site: Any, example: Inputs) -> str | None:
    """None when removing every second channel acts exactly as silencing it, else what went wrong.

    Random inputs take the place of ``example``, where zeros could hide a difference. ``model``, a
    frozen copy of the user's, is as before afterwards.
    """
    touched = {cut.module: model.get_submodule(cut.module) for cut in site.cuts}.values()
    with torch.no_grad():
        for attempt in range(8):  # until the channels have something to say
            half = range(attempt % 2, site.channels, 2)
            inputs = map_tensors(_noise(attempt), example)
            intact = flat_outputs(call(model, inputs))
            with _restored(touched):
                surgery.silence(model, {site: half})
                wanted = flat_outputs(call(model, inputs))
            if not all(torch.equal(a, b) for a, b in zip(intact, wanted, strict=True)):
                break
        else:
            return "silencing its channels changes nothing, so it cannot be verified"
        try:
            with _restored(touched):
                surgery.remove(model, {site: half})
                got = flat_outputs(call(model, inputs))
        except Exception as error:  # any failure of foreign code means: leave this site alone
            return f"the network fails without a channel ({type(error).__name__}: {error})"[:160]
    if [t.shape for t in wanted] != [t.shape for t in got]:
        return "its channels are outputs of the network"
    for a, b in zip(wanted, got, strict=True):
        tolerance = (
            max(1e-4, 16 * torch.finfo(a.dtype).eps) * (1 + a.abs().max().item())
            if a.numel() and a.is_floating_point()
            else 0.0
        )
        if not torch.allclose(a, b, rtol=0, atol=tolerance):
            return (
                "removing channels does not act as silencing them (a norm or softmax over "
                "channels, or an operation that the trace missed)"
            )
    return None


@contextmanager
def _restored(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Modules that may be silenced and cut inside, and are as before afterwards.

    Far cheaper than a copy of a whole network for every site. Weights are silenced in place, so
    layers that share them show it.
    """
    saved = [(m, dict(vars(m)), dict(m._parameters), dict(m._buffers)) for m in modules]
    values = {
        p: p.clone() for _, _, parameters, _ in saved for p in parameters.values() if p is not None
    }
    try:
        yield
    finally:
        for module, attributes, *both in saved:
            for kept, old in zip((module._parameters, module._buffers), both, strict=True):
                kept.clear()
                kept.update(old)
            vars(module).clear()
            vars(module).update(attributes)
        for parameter, value in values.items():
            parameter.copy_(value)


def _noise(attempt: int) -> Callable[[Tensor], Tensor]:
    """A function from a tensor to random numbers of its shape; whole numbers stay as they are.

    Later attempts also move the mean of each sample's channels, ever further: averages over noise
    are all alike, and what comes after one may then be silent.
    """
    generator = torch.Generator().manual_seed(attempt)

    def noise(value: Tensor) -> Tensor:
        random = torch.randn(value.shape, generator=generator)
        means = torch.randn([*value.shape[:2], *[1] * (value.ndim - 2)], generator=generator)
        random = random + (attempt // 2) * means
        return random.to(value) if value.is_floating_point() else value

    return noise
