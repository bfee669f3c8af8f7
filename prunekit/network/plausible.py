"""Is calibration data what it should be? What cannot be right is said, before it is fitted to."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from prunekit.algebra.moments import float64
from prunekit.algebra.warning import warn
from prunekit.network.dice import own_dice
from prunekit.network.inputs import Inputs, call, device_of, map_tensors, samples_of, tensors
from prunekit.network.recording import Stop
from prunekit.network.state import undone

__all__ = ["warn_if_implausible"]

FEW = 10  # samples
LOUD, QUIET = 100.0, 1e-3  # times the variance that a batch norm has seen in training


def warn_if_implausible(
    model: nn.Module, batches: Sequence[Inputs], *, few_are_said: bool = False
) -> None:
    """Warn where next to no two samples differ, or all are of another scale than in training.

    Parameters
    ----------
    few_are_said : a repair says itself when there are too few
    """
    different, count = _different(batches), sum(map(samples_of, batches))
    if different < min(FEW, count + 1) and not (few_are_said and different == count):
        alike = ", all the same" if different == 1 else f", of which only {different} differ"
        warn(
            f"calibration holds {count} samples{alike if different < count else ''}: what is "
            "fitted to so few holds for no others; give a few hundred that differ"
        )
    ratio = _spread(model, batches[0])
    if not QUIET < ratio < LOUD:
        warn(
            f"the first batch norm takes {ratio:.1e} times the variance that it saw in training: "
            "normalise calibration data as the network was trained"
        )


def _different(batches: Sequence[Inputs]) -> int:
    """How many samples differ, or the first number that is enough."""
    found: set[tuple[bytes, ...]] = set()
    for batch in batches:
        values = [value.detach().cpu().contiguous() for value in tensors(batch).values()]
        for i in range(samples_of(batch)):
            found.add(tuple(_bytes(value[i]) for value in values))
            if len(found) >= FEW:
                return FEW
    return len(found)


def _bytes(value: Tensor) -> bytes:
    return value.reshape(-1).view(torch.uint8).numpy().tobytes()


@torch.no_grad()
def _spread(model: nn.Module, batch: Inputs) -> float:
    """The median variance of what the first batch norm takes, beside what it has seen; else 1."""
    seen: list[tuple[_BatchNorm, Tensor]] = []

    def look(norm: _BatchNorm, args: tuple) -> None:
        seen.append((norm, args[0]))
        raise Stop

    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_var is not None]
    if not norms:
        return 1.0
    hooks = [norm.register_forward_pre_hook(look) for norm in norms]
    device = device_of(model)
    try:
        with own_dice(device), undone(model.modules()):
            call(model, map_tensors(lambda value: value.to(device), batch))
    except (Stop, Exception):  # one that takes no such batch is refused where it is pruned
        pass
    finally:
        for hook in hooks:
            hook.remove()
    if not seen:
        return 1.0
    norm, taken = seen[0]
    if (norm.running_mean == 0).all() and (norm.running_var == 1).all():  # it was never trained
        return 1.0
    now = float64(taken).transpose(0, 1).flatten(1).var(1)
    ratios = now / float64(norm.running_var).clamp(min=1e-300)
    return ratios.median().item() if ratios.isfinite().all() else 1.0
