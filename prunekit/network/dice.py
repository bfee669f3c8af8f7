"""Random numbers of a forward pass: from a seed, and none of the user's is used up."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["own_dice"]


@contextmanager
def own_dice(device: torch.device, seed: int | None = None) -> Iterator[None]:
    """Whatever is drawn inside is forgotten afterwards; with ``seed`` it starts from that."""
    is_cuda = device.type == "cuda"
    with torch.random.fork_rng([device] if is_cuda else []):
        if seed is not None:
            # not torch.manual_seed, which takes a millisecond for devices that are not there
            torch.default_generator.manual_seed(seed)
            if is_cuda:
                torch.cuda.manual_seed(seed)
        yield
