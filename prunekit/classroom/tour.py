"""A tour in a minute: one trained network, pruned in three ways, in one table."""

from dataclasses import dataclass

from torch import Tensor, nn
from tqdm.auto import tqdm

import prunekit as pk
from prunekit.classroom import data
from prunekit.classroom.pretrained import pretrained
from prunekit.classroom.training import accuracy
from prunekit.pipeline.budget import check_target
from prunekit.results.report import text_table

__all__ = ["Line", "compare", "main", "table"]

CALIBRATION = 500  # unlabelled training images
LATENCY_BATCH = 64


@dataclass(frozen=True)
class Line:
    """One network of the tour: accuracy in percent, cost, and seconds for a batch of 64."""

    name: str
    accuracy: float
    macs: int
    params: int
    latency: pk.Latency


def compare(
    model: nn.Module,
    calibration: Tensor,
    test: data.ImageSet,
    target_macs: float,
    *,
    progress: bool = True,
) -> list[Line]:
    """The network as it is, and pruned to ``target_macs`` by L1, L1 + recalibration and REAP."""
    example = calibration[:1]

    def pruned(method: str, repair: str | None = None) -> nn.Module:
        return pk.prune(
            model,
            example,
            calibration,
            method=method,
            repair=repair,
            target_macs=target_macs,
            distribution="uniform",
            progress=progress,
        ).model

    makers = {
        "intact": lambda: model,
        "L1": lambda: pruned("l1"),
        "L1 + batch-norm recalibration": lambda: pruned("l1", "batchnorm"),
        "REAP": lambda: pruned("reap"),
    }
    lines = []
    bar = tqdm(makers.items(), desc="networks", disable=not progress)
    for name, make in bar:
        bar.set_postfix_str(name)
        network = make()
        lines.append(
            Line(
                name,
                accuracy(network, test),
                pk.count_macs(network, example),
                pk.count_params(network),
                pk.measure_latency(network, calibration[:LATENCY_BATCH], repeats=15),
            )
        )
    return lines


def table(lines: list[Line]) -> str:
    """The lines as text, with what is kept of the first one in brackets."""
    first = lines[0]
    head = ("", "accuracy", "MACs", "parameters", f"latency, {LATENCY_BATCH} images")
    cells = [
        (
            line.name,
            f"{line.accuracy:.1f} %",
            f"{line.macs:,} ({line.macs / first.macs:.2f})",
            f"{line.params:,} ({line.params / first.params:.2f})",
            str(line.latency),
        )
        for line in lines
    ]
    return text_table([head, *cells])


def main(name: str = "shapes32", target_macs: float = 0.5, *, download: bool = False) -> None:
    """Print the tour: ``name`` is "shapes32" (comes with the package) or "cifar10"."""
    check_target(target_macs)
    train, test = (data.load(name, split, download=download) for split in ("train", "test"))
    print(
        f"A ResNet-20 trained on {name}, pruned to {target_macs:.0%} of its multiply-accumulates "
        f"(MACs),\nwithout retraining, from {CALIBRATION} unlabelled images; "
        f"accuracy on {len(test):,} test images.\n",
        flush=True,
    )
    calibration = train.sample(CALIBRATION).inputs
    print(table(compare(pretrained(f"resnet20-{name}"), calibration, test, target_macs)))
    print("\nNext: `make lab` opens the course, `python -m prunekit doctor` checks this machine.")
