"""A network whose layers say what they are told, whatever they take.

One forward pass is written down: what each layer took and what it gave. Then the network is
played again and again, each layer giving the answer that stands in the script, or another one. So
whatever happens between layers happens in the network's own code, and costs next to nothing; what
one layer says never reaches farther than the next layers; and no weight matters.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from prunekit.network.called import is_depthwise
from prunekit.network.dice import own_dice
from prunekit.network.inputs import Inputs, call, device_of, flat_outputs
from prunekit.network.layers import LAYERS
from prunekit.network.state import State
from prunekit.network.unfused import Unfused

__all__ = ["Script", "Stage", "axis", "plain_paths"]

# modules that pass channels on one by one, each with a parameter of its own
PASSING = (_NormBase, nn.GroupNorm, nn.PReLU)

Take = Callable[[str, int, Tensor], None]  # name of a layer, number of the call, what it takes


@dataclass
class Script:
    """What layers took and gave, call by call, and what the network said."""

    taken: dict[str, list[Tensor]]
    given: dict[str, list[Tensor]]
    outputs: list[Tensor]


def axis(module: nn.Module, values: Tensor) -> int:
    """Which dimension of what a layer takes or gives counts its channels."""
    if isinstance(module, nn.Linear):
        return values.ndim - 1
    kernel = getattr(module, "kernel_size", None)
    return min(1, values.ndim - 1) if kernel is None else values.ndim - 1 - len(kernel)


class Stage:
    """A network, ready to be played on one example.

    Attributes
    ----------
    layers : those that mix channels, by name, in the order of the network's modules
    passing : norms, activations and depthwise convolutions, which pass channels on one by one
    """

    def __init__(self, model: nn.Module, example: Inputs) -> None:
        self.model, self.example, self._state = model, example, State(model.modules())
        self._mode: AbstractContextManager = Unfused()
        modules = dict(model.named_modules())
        layers = {name: m for name, m in modules.items() if isinstance(m, LAYERS)}
        self.layers = {name: m for name, m in layers.items() if not is_depthwise(m)}
        self.passing = {
            name: m
            for name, m in modules.items()
            if (isinstance(m, PASSING) and getattr(m, "num_parameters", 2) > 1)
            or (name in layers and is_depthwise(m))
        }

    def write(self) -> Script:
        """Write down one forward pass."""
        script = Script({}, {}, [])

        def say(name: str, number: int, layer: Callable, args: tuple, kwargs: dict) -> Tensor:
            answer = layer(*args, **kwargs)
            script.given.setdefault(name, []).append(answer.clone())
            return answer

        def take(name: str, number: int, values: Tensor) -> None:
            script.taken.setdefault(name, []).append(values.clone())

        script.outputs = self._play(say, take)
        if isinstance(self._mode, Unfused) and not self._mode.matters(self.model):
            self._mode = nullcontext()  # which is quicker
        return script

    def loosened(self, script: Script) -> Script:
        """The same pass with other answers, where all channels have something to say."""
        dice, other = torch.Generator().manual_seed(0), Script({}, {}, [])
        for name, answers in script.given.items():
            noise = (torch.randn(a.shape, generator=dice).to(a) for a in answers)
            scales = (a.std() if a.numel() > 1 and a.any() else 1 for a in answers)
            other.given[name] = [a + s * z for a, s, z in zip(answers, scales, noise, strict=True)]

        def take(name: str, number: int, values: Tensor) -> None:
            other.taken.setdefault(name, []).append(values.clone())

        other.outputs = self.play(lambda name, number: other.given[name][number].clone(), take)
        return other

    def play(self, say: Callable[[str, int], Tensor], take: Take, shifts: bool = True) -> list:
        """The network's outputs when layer ``name`` answers ``say(name, number of the call)``.

        Without ``shifts``, what only passes channels on makes nothing of nothing: its biases and
        running means are zero.
        """
        return self._play(lambda name, number, *_: say(name, number), take, shifts)

    @torch.no_grad()
    def _play(self, say: Callable[..., Tensor], take: Take, shifts: bool = True) -> list:
        calls: Counter[str] = Counter()

        def actor(name: str, own: Callable[..., Tensor]) -> Callable[..., Tensor]:
            def forward(*args: Any, **kwargs: Any) -> Tensor:
                number = calls[name]
                calls[name] += 1
                values = (*args, *kwargs.values())
                take(name, number, next(v for v in values if isinstance(v, Tensor)))
                if name in self.passing:
                    return own(*args, **kwargs)
                return say(name, number, own, args, kwargs)

            return forward

        try:
            with own_dice(device_of(self.model), 0), self._mode:
                for name, module in (*self.layers.items(), *self.passing.items()):
                    vars(module)["forward"] = actor(name, module.forward)
                if not shifts:
                    self._without_shifts()
                return flat_outputs(call(self.model, self.example))
        finally:
            self._state.restore()

    def _without_shifts(self) -> None:
        for module in self.passing.values():
            for values in (module._parameters, module._buffers):
                for key in ("bias", "running_mean"):
                    if values.get(key) is not None:
                        values[key] = torch.zeros_like(values[key])


@contextmanager
def plain_paths(device: torch.device, seed: int = 0) -> Iterator[None]:
    """Layers are called one by one, not fused, and the same dice are thrown every time."""
    with own_dice(device, seed), Unfused():
        yield
