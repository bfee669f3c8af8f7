"""ResNet-50 and VGG-16 at the size of ImageNet, pruned end to end: time and peak memory.

    python -m benchmarks.large --images 64

Random weights: time and memory do not ask what a network has learned. Half of the channels, one
ratio, every layer refitted. Each network in a process of its own; peak memory is what the system
counted for it, beside the memory before pruning. ``--layers`` adds a line for each layer. The layer
of VGG-16 that takes 25,088 inputs is left alone where it does not fit, as `prune` advises then.
"""

import argparse
import multiprocessing
import resource
import time
from functools import wraps

import torch
from torch import nn

import prunekit as pk
from prunekit.network.turn import Turn

__all__ = ["NETWORKS", "resnet50", "vgg16"]


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1, and what goes around them."""

    def __init__(self, inputs: int, inside: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * inside
        self.conv1 = nn.Conv2d(inputs, inside, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inside)
        self.conv2 = nn.Conv2d(inside, inside, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inside)
        self.conv3 = nn.Conv2d(inside, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.around = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.around = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        return (self.bn3(self.conv3(y)) + self.around(x)).relu()


def resnet50() -> nn.Module:
    """He, Zhang, Ren & Sun, CVPR 2016, with the stride at the 3×3 convolution."""
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, 2, 1))
    inputs = 64
    for inside, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for block in range(blocks):
            layers.append(Bottleneck(inputs, inside, stride if block == 0 else 1))
            inputs = 4 * inside
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


def vgg16() -> nn.Module:
    """Simonyan & Zisserman, ICLR 2015; its first linear layer takes 25,088 inputs."""
    layers, inputs = [], 3
    for outputs, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
            inputs = outputs
        layers.append(nn.MaxPool2d(2))
    layers += [nn.Flatten(), nn.Linear(25088, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(4096, 1000))


NETWORKS = {"ResNet-50": resnet50, "VGG-16": vgg16}


def peak() -> float:
    """The most memory that this process has had, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def measure(name: str, count: int, each: bool) -> None:
    """Prune one network and print what it took."""
    torch.manual_seed(0)
    model, images = NETWORKS[name]().eval(), torch.randn(count, 3, 224, 224)
    with torch.no_grad():
        start = time.perf_counter()
        for batch in images.split(16):
            model(batch)
    forward, before = time.perf_counter() - start, peak()
    if each:
        _show_layers()
    batches = images.split(16)
    start = time.perf_counter()
    how, alone = {"pruning_ratio": 0.5, "progress": False}, ""
    try:
        result = pk.prune(model, images[:1], batches, **how)
    except ValueError as error:
        alone = str(error).partition(" ")[0]
        print(f"{name}: {error}", flush=True)
        result = pk.prune(model, images[:1], batches, ignored_layers=[alone], **how)
    took = time.perf_counter() - start
    kept = result.report.macs_after / result.report.macs_before
    print(
        f"{name}{f' without {alone}' if alone else ''}: {kept:.2f} of the MACs; {took:.0f} s, as "
        f"{took / forward:.1f} passes over the {count} images; peak {peak():.2f} GB, "
        f"{before:.2f} GB of it before",
        flush=True,
    )


def _show_layers() -> None:
    """Print time and peak memory when a layer is done."""
    made, start = Turn.__init__, time.perf_counter()

    @wraps(made)
    def shown(self: Turn, walk: object, name: str, *args: object) -> None:
        print(f"  {time.perf_counter() - start:7.1f} s {peak():6.2f} GB  before {name}", flush=True)
        made(self, walk, name, *args)

    Turn.__init__ = shown


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.large", description=__doc__)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--layers", action="store_true")
    options = parser.parse_args()
    start = multiprocessing.get_context("spawn")
    for name in options.networks:
        one = start.Process(target=measure, args=(name, options.images, options.layers))
        one.start()
        one.join()
        if one.exitcode:
            print(f"{name}: the process ended with {one.exitcode}", flush=True)


if __name__ == "__main__":
    main()
