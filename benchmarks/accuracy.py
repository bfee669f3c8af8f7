"""Accuracy without retraining: REAP beside its baselines, on real CIFAR-10.

    PRUNEKIT_DATA=FOLDER python -m benchmarks.accuracy

Same network, same calibration images, same budget, one run. The network is the public ResNet-20
``resnet20-12fca82f.th`` (github.com/akamaster/pytorch_resnet_cifar10) when FOLDER holds it, else
the shipped one. With ``--seeds`` every row is repeated with other calibration images: mean and
range.
"""

import argparse
import os
import time
from pathlib import Path
from statistics import mean

import torch
from torch import nn
from tqdm.auto import tqdm

import prunekit as pk
from prunekit.classroom import data, models
from prunekit.classroom.pretrained import pretrained
from prunekit.classroom.training import accuracy
from prunekit.results.report import text_table

PUBLIC = "resnet20-12fca82f.th"
ROWS = {  # name → options of prune
    "L1": {"method": "l1"},
    "L1 + batch-norm recalibration": {"method": "l1", "repair": "batchnorm"},
    "L1 + least squares, next layers only": {"method": "l1", "repair": "least_squares"},
    "L1 + least squares, all layers": {"method": "l1", "repair": "network"},
    "REAP, next layers only": {"method": "reap", "repair": "least_squares"},
    "REAP, all layers": {"method": "reap"},
    "REAP, PRO's ratios: the default": {"method": "reap", "distribution": "pro"},
    "… and 40 epochs without labels": {"method": "reap", "distribution": "pro", "refine": 40},
}


def network() -> tuple[str, nn.Module]:
    """The public ResNet-20 if it is found, else the shipped one; and its name."""
    path = Path(os.environ.get("PRUNEKIT_DATA", "")) / PUBLIC
    if not path.is_file():
        return "shipped ResNet-20", pretrained("resnet20-cifar10")
    state = torch.load(path, weights_only=True, map_location="cpu")["state_dict"]
    model = models.resnet20()
    model.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    return f"public ResNet-20 ({PUBLIC})", model.eval()


def _mean_and_range(found: list[float]) -> str:
    spread = f" ({min(found):.2f} to {max(found):.2f})" if len(found) > 1 else ""
    return f"{mean(found):.2f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.accuracy", description=__doc__)
    parser.add_argument("--macs", type=float, nargs="+", default=[0.75, 0.5, 0.35])
    parser.add_argument("--images", type=int, default=1000, help="unlabelled calibration images")
    parser.add_argument("--seeds", type=int, default=1, help="calibration sets to repeat with")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    options = parser.parse_args()

    name, model = network()
    train, test = data.cifar10("train"), data.cifar10("test")
    example = train.sample(1).inputs
    results = {(row, macs): [] for row in options.rows for macs in options.macs}
    seconds: dict[str, list[float]] = {row: [] for row in options.rows}
    with tqdm(total=len(results) * options.seeds, desc="networks") as bar:
        for seed in range(options.seeds):
            calibration = train.sample(options.images, seed).inputs
            for row, macs in results:
                start = time.perf_counter()
                same = {"target_macs": macs, "distribution": "uniform", "progress": False}
                result = pk.prune(model, example, calibration, **same | ROWS[row])
                seconds[row].append(time.perf_counter() - start)
                results[row, macs].append(accuracy(result.model, test))
                bar.set_postfix_str(f"{row} at {macs}: {results[row, macs][-1]:.2f} %")
                bar.update()

    print(f"\n{name}, CIFAR-10, {options.images:,} unlabelled training images, no labels,")
    print(
        f"{len(test):,} test images, {options.seeds} calibration set(s), one ratio for all layers"
    )
    print("unless PRO is named, mean")
    print(f"(and range), in %. Intact: {accuracy(model, test):.2f} %\n")
    head = ["", *(f"{macs:g} of the MACs" for macs in options.macs), "seconds to prune"]
    cells = [
        [
            row,
            *(_mean_and_range(results[row, macs]) for macs in options.macs),
            f"{mean(seconds[row]):.0f}",
        ]
        for row in options.rows
    ]
    print(text_table([head, *cells]))


if __name__ == "__main__":
    main()
