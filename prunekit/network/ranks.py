"""Many processes, one result: batches are dealt out, what is summed over them is summed over all.

Every process of a `torch.distributed` group calls the same functions with the same arguments. Each
runs its own batches through the network. Sums, decisions and weights are the same everywhere, so
all end with the same network. Without a group there is one process, and nothing happens here.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from prunekit.algebra.moments import Moments

__all__ = [
    "agreed",
    "alike",
    "from_first",
    "gathered",
    "is_first",
    "mine",
    "one_voice",
    "summed",
    "together",
]

T = TypeVar("T")


def _many() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def is_first() -> bool:
    """Whether this process is the one that writes and prints."""
    return not _many() or dist.get_rank() == 0


def mine(batches: Sequence[T]) -> Iterator[tuple[int, T]]:
    """The batches of this process, with their numbers: they are dealt out like cards."""
    rank, processes = (dist.get_rank(), dist.get_world_size()) if _many() else (0, 1)
    for number in range(rank, len(batches), processes):
        yield number, batches[number]


def gathered(value: T) -> list[T]:
    """What every process has to say, in their order."""
    if not _many():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    with _answering():
        dist.all_gather_object(values, value)
    return values


def agreed(make: Callable[[], T]) -> T:
    """What the first process makes of it, errors included; the others take its word."""
    if not _many():
        return make()
    said: list[Any] = [None, None]
    if is_first():
        try:
            said[0] = make()
        except Exception as error:
            said[1] = error
    with _answering():
        dist.broadcast_object_list(said, src=0)
    if said[1] is not None:
        raise said[1]
    return said[0]


def from_first(*values: Tensor) -> list[Tensor]:
    """Each tensor as the first process has it; they have the same shapes everywhere."""
    if not _many():
        return [*values]
    copies = [_there(value) for value in values]
    with _answering():
        for copy in copies:
            dist.broadcast(copy, src=0)
    return [copy.to(value.device) for copy, value in zip(copies, values, strict=True)]


@torch.no_grad()
def alike(model: nn.Module) -> None:
    """Give a network the weights that it has in the first process, to the last bit."""
    state = [*model.parameters(), *model.buffers()]
    for value, first in zip(state, from_first(*state), strict=True):
        if first is not value:
            value.copy_(first)


def summed(*values: Tensor | float) -> list[Tensor]:
    """Each value, summed over all processes, in float64."""
    values = [torch.as_tensor(value, dtype=torch.float64) for value in values]
    if not _many():
        return values
    sums = [_there(value) for value in values]
    with _answering():
        for value in sums:
            dist.all_reduce(value)
    return [total.to(value.device) for total, value in zip(sums, values, strict=True)]


def together(moments: Moments, device: torch.device) -> Moments:
    """The moments of the samples of all processes; ``device`` is where they are."""
    if not _many():
        return moments
    sizes = gathered((moments.count, *_widths(moments), moments.rounding))
    count = sum(size[0] for size in sizes)
    if not count:
        return moments
    n, outputs, rounding = (max(size[i] for size in sizes) for i in (1, 2, 3))
    if not moments.count:  # none of the batches came here
        moments, zeros = Moments(), torch.zeros(n + 1, max(n, outputs), device=device)
        moments.mean_x, moments.mean_y = zeros[0, :n], zeros[0, :outputs]
        moments.scatter_xx, moments.scatter_xy = zeros[:n, :n], zeros[:n, :outputs]
        moments.scatter_yy = zeros[0, :outputs]
    all_of, share = Moments(), moments.count
    all_of.count, all_of.rounding = count, rounding
    sums = summed(share * moments.mean_x, share * moments.mean_y)
    all_of.mean_x, all_of.mean_y = (value / count for value in sums)
    dx, dy = moments.mean_x - all_of.mean_x, moments.mean_y - all_of.mean_y
    # Σ over all = Σ of each part + its count·(its mean − the mean of all)²
    all_of.scatter_xx, all_of.scatter_xy, all_of.scatter_yy = summed(
        moments.scatter_xx + share * torch.outer(dx, dx),
        moments.scatter_xy + share * torch.outer(dx, dy),
        moments.scatter_yy + share * dy * dy,
    )
    return all_of


@contextmanager
def one_voice() -> Iterator[None]:
    """Only the first process warns."""
    with nullcontext() if is_first() else warnings.catch_warnings():
        if not is_first():
            warnings.simplefilter("ignore")
        yield


def _there(value: Tensor) -> Tensor:
    """A copy that the group can send: NVIDIA's library takes nothing that is not on a GPU."""
    value = value.detach().clone(memory_format=torch.contiguous_format)
    return value.cuda() if dist.get_backend() == "nccl" else value


def _widths(moments: Moments) -> tuple[int, int]:
    return tuple(moments.scatter_xy.shape) if moments.count else (0, 0)


@contextmanager
def _answering() -> Iterator[None]:
    """A process that is gone, or does not answer in time, is an error with a cure."""
    try:
        yield
    except RuntimeError as error:
        raise RuntimeError(
            f"process {dist.get_rank()} of {dist.get_world_size()} waited for another one in vain: "
            "it has ended, or its timeout has passed (init_process_group(timeout=…)); its own "
            "output says why. Start all of them again; optimize_ratios(file=…) goes on from what "
            f"was measured ({error})"
        ) from error
