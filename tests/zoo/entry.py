"""What an entry of the zoo is, and how its network is brought to life without training."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrize import is_parametrized

Batch = Tensor | tuple[Tensor, ...] | dict[str, Tensor]


@dataclass(frozen=True)
class Entry:
    """A small network for the tests.

    Attributes
    ----------
    make : builds the network, the same one every time, in eval mode
    inputs : count → a batch of that many samples, the same one every time
    notes : the trap it holds, in one line
    """

    make: Callable[[], nn.Module]
    inputs: Callable[[int], Batch]
    notes: str


def entry(build: Callable[[], nn.Module], inputs: Callable[[int], Batch], notes: str) -> Entry:
    """An Entry whose network is built from one seed and settled on its own inputs."""
    return Entry(partial(_make, build, inputs), inputs, notes)


def floats(*shape: int) -> Callable[[int], Tensor]:
    """count → random numbers of shape (count, *shape); each sample's channels have own means."""

    def draw(count: int) -> Tensor:
        generator = torch.Generator().manual_seed(count)
        means = torch.randn(count, shape[0], *[1] * (len(shape) - 1), generator=generator)
        return means + torch.randn(count, *shape, generator=generator)

    return draw


def tokens(vocabulary: int, length: int) -> Callable[[int], Tensor]:
    """count → random whole numbers below ``vocabulary`` of shape (count, length)."""

    def draw(count: int) -> Tensor:
        generator = torch.Generator().manual_seed(count)
        return torch.randint(vocabulary, (count, length), generator=generator)

    return draw


def call(model: nn.Module, batch: Batch):
    """The network's output for one batch, whatever form the batch has."""
    if isinstance(batch, dict):
        return model(**batch)
    return model(*batch) if isinstance(batch, tuple) else model(batch)


def _make(build: Callable[[], nn.Module], inputs: Callable[[int], Batch]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build().eval()
        settle(model, inputs(16))
    return model


@torch.no_grad()
def settle(model: nn.Module, batch: Batch) -> None:
    """Norms as if trained, and layers whose outputs have a standard deviation of about 1."""
    for module in model.modules():
        if "Norm" in type(module).__name__ and getattr(module, "weight", None) is not None:
            module.weight.uniform_(0.5, 1.5)
        if isinstance(module, nn.PReLU):
            module.weight.uniform_(0.05, 0.6)
    for parameter in model.parameters():
        if not parameter.any():  # biases that start at zero
            parameter.uniform_(-0.3, 0.3)
    counts = Counter(p for m in model.modules() for p in m.parameters(recurse=False))
    fixed = {p for p, count in counts.items() if count > 1}
    done: set[nn.Module] = set()

    def scale(layer: nn.Module, _: tuple, out: Tensor) -> Tensor | None:
        if layer in done or is_parametrized(layer) or layer.weight in fixed:
            return None
        done.add(layer)
        if out.ndim == 2 and layer.bias is not None:  # else what differs between samples is small
            mean = 0.8 * out.mean(0)
            layer.bias.sub_(mean)
            out = out - mean
        size = out.std()
        layer.weight.div_(size)
        if layer.bias is not None:
            layer.bias.div_(size)
        return out / size

    def see(norm: _BatchNorm, args: tuple[Tensor, ...]) -> None:
        if norm in done:
            return
        done.add(norm)
        x = args[0].transpose(0, 1).flatten(1)  # (channels, samples and positions)
        spread = x.std(1)
        norm.running_mean.copy_(x.mean(1) + 0.2 * spread * torch.randn(len(x)))
        norm.running_var.copy_((spread**2 + 0.01) * torch.empty(len(x)).uniform_(0.6, 1.6))

    hooks = [
        *(m.register_forward_hook(scale) for m in model.modules() if _is_layer(m)),
        *(m.register_forward_pre_hook(see) for m in model.modules() if isinstance(m, _BatchNorm)),
    ]
    call(model, batch)
    for hook in hooks:
        hook.remove()


def _is_layer(module: nn.Module) -> bool:
    return isinstance(module, _ConvNd | nn.Linear)
