"""What pruning costs, in plain forward passes over the same images, and where the time goes.

    python -m benchmarks.speed                            # ResNet-20 and ResNet-56, 2,000 images
    PYTHONPATH=OLDER python benchmarks/speed.py --depths 20    # another version of the library

A forward pass of one network over all images is the unit. Two are the least that a walk can do: the
original's and that of the network being pruned. "run" is what the convolutions and linear layers
really computed, counted in MACs; all else are seconds of the processor, which other work on the
machine hardly touches; one thread, medians (and ranges).
"""

import argparse
import contextlib
import functools
from collections.abc import Callable, Iterator
from statistics import median
from time import process_time

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

import prunekit as pk
from prunekit.classroom import models

LAYERS = (nn.Conv2d, nn.Linear)
CALLS: dict[str, Callable] = {
    "prune": functools.partial(pk.prune, target_macs=0.5, distribution="uniform"),
    "optimize_ratios": functools.partial(pk.optimize_ratios, target_macs=0.5),
}


def network(depth: int) -> nn.Module:
    """A ResNet for images of 32 × 32 as it is made; speed does not ask what it has learned."""
    torch.manual_seed(0)
    model = {20: models.resnet20, 32: models.resnet32, 56: models.resnet56}[depth]()
    model.train()(torch.randn(64, 3, 32, 32))  # batch-norm statistics of some images
    return model.eval()


@torch.no_grad()
def plain_pass(model: nn.Module, images: Tensor) -> None:
    for batch in images.split(100):
        model(batch)


@contextlib.contextmanager
def macs_run() -> Iterator[list[int]]:
    """Collects the MACs of every convolution and linear layer that runs meanwhile."""
    found = []

    def count(layer: nn.Module, _: object, out: Tensor) -> None:
        if isinstance(layer, LAYERS):
            found.append(out.numel() * layer.weight[0].numel())

    hook = register_module_forward_hook(count)
    try:
        yield found
    finally:
        hook.remove()


@contextlib.contextmanager
def clocked(owner: type, name: str) -> Iterator[list[float]]:
    """Collects the seconds of every call of a method meanwhile."""
    method, found = getattr(owner, name), []

    @functools.wraps(method)
    def timed(*args: object, **kwargs: object) -> object:
        start = process_time()
        try:
            return method(*args, **kwargs)
        finally:
            found.append(process_time() - start)

    setattr(owner, name, timed)
    try:
        yield found
    finally:
        setattr(owner, name, method)


def seconds(call: Callable[[], object]) -> float:
    start = process_time()
    call()
    return process_time() - start


def walk_only(model: nn.Module, images: Tensor) -> Callable[[], None] | None:
    """A walk at which nothing is done; None where this version has no walk."""
    try:
        from prunekit.network.walk import Walk
    except ImportError:
        return None
    names = [name for name, layer in model.named_modules() if isinstance(layer, LAYERS)]

    def walk() -> None:
        batches = images.split(100)
        with torch.no_grad(), Walk(model, model, dict.fromkeys(names, 1), batches) as one:
            for name in names:
                for _ in one.pairs(name):
                    pass

    return walk


def measure(depth: int, images: Tensor, calls: list[str], repeats: int) -> None:
    """Print one network's table."""
    model, example = network(depth), images[:1]
    whole = pk.count_macs(model, example) * len(images)
    unit = median(seconds(lambda: plain_pass(model, images)) for _ in range(repeats))
    print(f"\nResNet-{depth}, {len(images):,} images: a forward pass takes {unit:.2f} s")

    def show(name: str, found: list[float], note: str = "") -> None:
        found = [value / unit for value in found]
        print(f"  {name:34}{median(found):7.1f} ({min(found):.1f} to {max(found):.1f}) {note}")

    walk = walk_only(model, images)
    if walk:
        show("the walk alone", [seconds(walk) for _ in range(repeats)], "passes")
    for name in calls:
        totals, passes, statistics = [], [], []
        for _ in range(repeats):
            with macs_run() as macs, clocked(pk.Moments, "update") as updates:
                call = functools.partial(CALLS[name], model, example, images, progress=False)
                totals.append(seconds(call))
            passes.append(sum(macs) / whole)
            statistics.append(sum(updates))
        show(name, totals, f"passes' time, of which run: {median(passes):.1f}")
        show("  second moments", statistics)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.speed", description=__doc__)
    parser.add_argument("--depths", type=int, nargs="+", default=[20, 56])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--calls", nargs="+", choices=CALLS, default=list(CALLS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    draw = torch.Generator().manual_seed(0)
    images = torch.rand(options.images, 3, 32, 32, generator=draw)
    for depth in options.depths:
        measure(depth, images, options.calls, options.repeats)


if __name__ == "__main__":
    main()
