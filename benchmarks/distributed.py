"""Two processes against one, and what many would cost: see docs/distributed.md.

    PRUNEKIT_DATA=FOLDER python -m benchmarks.distributed
    python -m benchmarks.distributed --estimate

The first part prunes the ResNet-20 of `benchmarks.accuracy` with one process and with two, each on
one thread: the same kept channels, how far weights differ, the ratio of times. The second part runs
nothing: it counts floating-point operations and bytes from the shapes of layers, and divides them
by rates that are assumed (``--tflops``, ``--gigabytes``), for ResNet-50 and for the MLP layers of a
language model with 7 billion parameters.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

import prunekit as pk
from benchmarks.accuracy import network
from benchmarks.large import resnet50
from prunekit.classroom import data
from prunekit.network.ranks import is_first
from prunekit.pipeline.fitting import ROUNDS

PROCESSES = 8


def worker(folder: Path, images: int, dtype: str) -> None:
    """What one of the processes does."""
    dist.init_process_group("gloo")
    torch.set_num_threads(1)
    model = network()[1].to(getattr(torch, dtype))
    x = data.cifar10("train").sample(images).inputs.to(getattr(torch, dtype))
    start = time.perf_counter()
    how = {"target_macs": 0.5, "distribution": "uniform", "progress": False}
    result = pk.prune(model, x[:1], x, **how)
    if is_first():
        kept = {row.name: row.kept for row in result.report.rows}
        found = result.model.state_dict(), kept, time.perf_counter() - start
        torch.save(found, folder / f"{dist.get_world_size()}.pt")
    dist.destroy_process_group()


def measure(images: int, dtype: str) -> None:
    """Run both, and compare."""
    with tempfile.TemporaryDirectory() as folder:
        for processes in (1, 2):
            torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
            worker_of = ["-m", "benchmarks.distributed", "--worker", folder]
            asked = ["--images", str(images), "--dtype", dtype]
            subprocess.run([sys.executable, *torchrun, *worker_of, *asked], check=True)
        (one, kept, alone), (two, its_kept, shared) = (
            torch.load(Path(folder, f"{processes}.pt")) for processes in (1, 2)
        )
    off = max(
        ((two[name] - value).norm() / value.norm()).item()
        for name, value in one.items()
        if value.is_floating_point() and value.any()
    )
    print(
        f"{dtype}, {images} images: {'the same' if kept == its_kept else 'OTHER'} kept channels; "
        f"weights differ by {off:.1e} of their size; {alone:.0f} s with one process, {shared:.0f} "
        f"with two: {shared / alone:.2f} of the time",
        flush=True,
    )


def shapes_of(model: nn.Module, size: int) -> list[tuple[int, int, int]]:
    """(columns of X, outputs, positions in an image) of every layer."""
    found = []

    def note(layer: nn.Module, _: object, out: torch.Tensor) -> None:
        found.append((layer.weight[0].numel(), len(layer.weight), out[0].numel() // out.shape[1]))

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(note)
    with torch.no_grad():
        model(torch.zeros(1, 3, size, size))
    return found


def estimate(name: str, layers: list[tuple[int, int, int]], samples: int, asked) -> None:
    """Print the cost of pruning such layers from so many samples."""
    products = sums = algebra = sent = 0.0
    for d, outputs, positions in layers:
        rows = samples * positions
        # two networks forward; XᵀX and XᵀY; in each round the layer again, and its gradient
        products += 2 * rows * d * outputs * (2 + 2 * ROUNDS)
        sums += 2 * rows * d * (d + outputs)
        # an inverse and its downdates, eight factors (seven ridges and the last)
        algebra += 2 * d**3 * 2 + 8 * d**3 / 3
        # moments of what is learned from and held back, and XᵀE in each round, to and fro
        sent += 2 * 8 * (2 * d * (d + outputs) + ROUNDS * d * outputs)
    seconds = {
        "layers": products / PROCESSES / asked.tflops / 1e12,
        "moments": sums / PROCESSES / asked.tflops / 1e12,
        "algebra, on every process": algebra / asked.tflops64 / 1e12,
        "sums over processes": sent / asked.gigabytes / 1e9,
    }
    print(
        f"{name}, {samples:,} samples, {PROCESSES} GPUs: {sum(seconds.values()):.0f} s: "
        + ", ".join(f"{part} {value:.0f} s" for part, value in seconds.items())
        + f"; moments of the largest layer {max(d for d, _, _ in layers) ** 2 * 8 / 1e9:.2f} GB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.distributed", description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--dtype", help=argparse.SUPPRESS)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--estimate", action="store_true", help="only the second part")
    parser.add_argument("--tflops", type=float, default=15, help="float32, sustained, assumed")
    parser.add_argument("--tflops64", type=float, default=8, help="float64, sustained, assumed")
    parser.add_argument(
        "--gigabytes", type=float, default=50, help="a second between GPUs, assumed"
    )
    asked = parser.parse_args()
    if asked.worker:
        worker(asked.worker, asked.images, asked.dtype)
        return
    if not asked.estimate:
        for dtype in ("float32", "float64"):
            measure(asked.images, dtype)
    estimate("ResNet-50 at 224 × 224", shapes_of(resnet50().eval(), 224), 10_000, asked)
    # of each of 32 layers: gate and up from 4,096 to 11,008, down back again
    mlp = 32 * [(4096, 2 * 11008, 1), (11008, 4096, 1)]
    estimate("MLP layers of a 7-billion-parameter language model", mlp, 128 * 2048, asked)


if __name__ == "__main__":
    main()
