"""What each ingredient of the repair is worth, in points of accuracy and in seconds.

    PRUNEKIT_DATA=FOLDER python -m benchmarks.ablation

One network, one set of unlabelled calibration images, PRO's ratios measured once for each budget;
each row adds an ingredient to the row before; ``--best`` leaves out all but the last and what
refinement adds. D is the mean squared distance of the logits from the
original's, on test images, which tells rows apart that differ by less than accuracy can show.
``--network shipped`` takes our own ResNet-20, on which settings were chosen; the public one was
only measured. ``--cache FOLDER`` keeps PRO's measurements.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn

import prunekit as pk
from benchmarks.accuracy import network
from prunekit.classroom import data
from prunekit.classroom.pretrained import pretrained
from prunekit.network.behind import behind
from prunekit.pipeline import fitting, pruning
from prunekit.results.report import text_table


@dataclass(frozen=True)
class Setting:
    """A network, its calibration images, and how far the ingredients are switched on."""

    model: nn.Module
    images: Tensor
    ratios: dict[str, float]
    repair: str = "network"
    ridge: float | None = 1e-5
    sums: bool = False
    rounds: int = 0
    mirrored: bool = False
    weigh: bool = False
    method: str = "reap"

    def prune(self) -> pk.PruningResult:
        images = torch.cat([self.images, self.images.flip(-1)]) if self.mirrored else self.images
        look = behind if self.sums else _without_sums
        with mock.patch.object(pruning, "behind", look), _rounds(self.rounds):
            return pk.prune(
                self.model,
                images[:1],
                images,
                method=self.method,
                pruning_ratio=self.ratios,
                repair=self.repair,
                ridge=self.ridge,
                weigh_outputs=self.weigh,
                progress=False,
            )


def _without_sums(model: nn.Module, example: Tensor) -> dict:
    """What comes behind each layer, with additions overlooked."""
    found = behind(model, example)
    return {k: replace(v, adds=False, relu=v.relu and not v.adds) for k, v in found.items()}


@contextmanager
def _rounds(count: int) -> Iterator[None]:
    with mock.patch.object(fitting, "ROUNDS", count):
        yield


def rows(start: Setting, pro: dict[str, float]) -> Iterator[tuple[str, Setting]]:
    """Each ingredient's name, and the setting with all of them so far."""
    setting = replace(start, repair="least_squares")
    yield "uniform ratios, next layers refitted", setting
    steps: list[tuple[str, dict]] = [
        ("+ PRO's ratios", {"ratios": pro}),
        ("+ all layers refitted", {"repair": "network"}),
        ("+ aiming at the sum", {"sums": True}),
        ("+ ridge chosen on held-back images", {"ridge": None}),
        ("+ five rounds through the ReLU", {"rounds": 5}),
        ("+ selection that knows the outputs", {"weigh": True}),
        ("+ mirrored copies of the images", {"mirrored": True}),
    ]
    for name, options in steps:
        setting = replace(setting, **options)
        yield name, setting
    yield "all of it, but channels chosen by L1", replace(setting, method="l1")


class Judge:
    """Accuracy on test images, and D."""

    def __init__(self, model: nn.Module, test: data.ImageSet) -> None:
        self.batches = list(test.batches(250))
        self.before = self.said(model)

    @torch.no_grad()
    def said(self, model: nn.Module) -> Tensor:
        return torch.cat([model(inputs) for inputs, _ in self.batches])

    def __call__(self, model: nn.Module) -> tuple[float, float]:
        z, labels = self.said(model), torch.cat([labels for _, labels in self.batches])
        right = (z.argmax(1) == labels).float().mean().item()
        return 100 * right, (z - self.before).square().sum(1).mean().item()


def timed(work: Callable[[], object]) -> tuple[object, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def table(model: nn.Module, images: Tensor, judge: Judge, target: float, options) -> str:
    """All rows at one budget."""
    example, given = images[:1], {"target_macs": target, "progress": False}
    file = options.cache and options.cache / f"ablation-{options.network}-{len(images)}.json"
    pro, seconds = timed(partial(pk.optimize_ratios, model, example, images, file=file, **given))
    uniform = _uniform(model, images, target)
    lines = [["", "accuracy", "D", "seconds"]]
    found = list(rows(Setting(model, images, uniform), pro))
    for name, setting in found[-2:-1] if options.best else found:
        result, spent = timed(setting.prune)
        accuracy, D = judge(result.model)
        lines.append([name, f"{accuracy:.2f}", f"{D:.2f}", f"{spent:.0f}"])
        print(*lines[-1], sep="  ", flush=True)
        if name == found[-2][0] and options.epochs:
            learn = partial(pk.refine, result, model, images, epochs=options.epochs, progress=False)
            refined, spent = timed(learn)
            accuracy, D = judge(refined.model)
            name = f"+ refined without labels, {options.epochs} epochs"
            lines.append([name, f"{accuracy:.2f}", f"{D:.2f}", f"{spent:.0f}"])
            print(*lines[-1], sep="  ", flush=True)
    return f"{target:g} of the MACs (PRO: {seconds:.0f} s)\n\n{text_table(lines)}\n"


def _uniform(model: nn.Module, images: Tensor, target: float) -> dict[str, float]:
    """The ratios of one uniform ratio that meets a budget."""
    options = {"method": "l1", "target_macs": target, "progress": False}
    rows = pk.prune(model, images[:1], images[:1], **options).report.rows
    return {r.name: 1 - len(r.kept) / r.channels_before for r in rows if r.reason is None}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.ablation", description=__doc__)
    parser.add_argument("--network", choices=["public", "shipped"], default="public")
    parser.add_argument("--macs", type=float, nargs="+", default=[0.5])
    parser.add_argument("--images", type=int, default=2000, help="unlabelled calibration images")
    parser.add_argument("--seed", type=int, default=0, help="which calibration images")
    parser.add_argument("--tested", type=int, default=10_000, help="test images")
    parser.add_argument("--epochs", type=int, default=30, help="of refinement; 0 leaves it out")
    parser.add_argument("--best", action="store_true", help="only the row with all of it")
    parser.add_argument("--cache", type=Path, help="keep PRO's measurements in this folder")
    options = parser.parse_args()
    title, model = "shipped ResNet-20", pretrained("resnet20-cifar10")
    if options.network == "public":
        title, model = network()
    images = data.cifar10("train").sample(options.images, options.seed).inputs
    test = data.cifar10("test")
    test = test if options.tested >= len(test) else test.sample(options.tested, 1)
    judge = Judge(model, test)
    found = [table(model, images, judge, target, options) for target in options.macs]
    intact, _ = judge(model)
    print(f"\n{title}, CIFAR-10, {options.images:,} unlabelled images (seed {options.seed}),")
    print(f"{len(test):,} test images, intact {intact:.2f} %\n")
    print("\n".join(found))


if __name__ == "__main__":
    main()
