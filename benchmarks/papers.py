"""The three papers' methods beside twelve baselines, without retraining; and PRO beside uniform.

    PRUNEKIT_DATA=FOLDER python -m benchmarks.papers

Part 1, for each network: accuracy of every selection with every repair, at 25, 50 and 75 % of the
channels removed, so that what selection is worth and what repair is worth can be told apart.
Part 2: uniform ratios beside PRO, at 0.75, 0.5 and 0.3 of the MACs, with the default method.

Same network, calibration images and seed in every cell; 2,000 test images in part 1 (a standard
error of about one point), all of them in part 2. ``--cache FILE`` keeps cells that were measured,
so that an interrupted run can go on. About an hour and a half on one core.
"""

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn
from tqdm.auto import tqdm

import prunekit as pk
from benchmarks.accuracy import network
from prunekit.classroom import data
from prunekit.classroom.pretrained import pretrained
from prunekit.classroom.training import accuracy
from prunekit.pipeline.methods import METHODS
from prunekit.results.report import text_table

TESTED = 2000  # test images of part 1; part 2 takes all
RATIOS = (0.25, 0.5, 0.75)
TARGETS = (0.75, 0.5, 0.3)
FORMS = ["uniform", "greedy", "curves"]
REPAIRS = {"none": "none", "batchnorm": "batch norm", "least_squares": "least squares"}
SELECTIONS = {  # row → options of prune
    "REAP": {"method": "reap"},
    "REAP, channel coefficients": {"method": "reap", "coefficients": "channel"},
    **{name: {"method": name} for name in METHODS if name not in ("reap", "merging", "lbyl")},
}
OWN = {  # what comes with weights of its own, or refits more than the next layers
    "unify, own weights": {"method": "unify"},
    "merging, own weights": {"method": "merging"},
    "lbyl, own weights": {"method": "lbyl"},
    "l1, all layers refitted": {"method": "l1", "repair": "network"},
    "REAP, all layers refitted": {"method": "reap", "repair": "network"},
}


@dataclass(frozen=True)
class Setting:
    """A network with its images: what is pruned, on what, and tested on what."""

    name: str
    model: nn.Module
    train: data.ImageSet
    test: data.ImageSet

    @property
    def example(self) -> Tensor:
        return self.train.sample(1).inputs


def setting(name: str) -> Setting:
    """ "digits", "shapes32" or "cifar10"."""
    train, test = data.load(name, "train"), data.load(name, "test")
    if name == "digits":
        return Setting("MLP on digits", pretrained("mlp-digits"), train, test)
    if name == "shapes32":
        return Setting("ResNet-20 on shapes32", pretrained("resnet20-shapes32"), train, test)
    title, model = network()
    return Setting(f"{title}, CIFAR-10", model, train, test)


class Cells:
    """Accuracies by name, measured once; kept in a file if there is one."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.found = json.loads(file.read_text("utf-8")) if file and file.exists() else {}

    def get(self, key: str, measure: Callable[[], float]) -> float:
        if key not in self.found:
            self.found[key] = measure()
            if self.file:
                part = self.file.with_suffix(".part")
                part.write_text(json.dumps(self.found, indent=1), "utf-8")
                os.replace(part, self.file)
        return self.found[key]


def methods(of: Setting, cells: Cells, images: int, seed: int) -> str:
    """Part 1 for one network."""
    calibration = of.train.sample(images, seed).inputs
    tested = of.test if len(of.test) <= TESTED else of.test.sample(TESTED, seed)
    has_norm = any("Norm" in type(m).__name__ for m in of.model.modules())
    repairs = {key: REPAIRS[key] for key in REPAIRS if has_norm or key != "batchnorm"}

    def cell(row: str, repair: str | None, ratio: float, options: dict[str, str]) -> float:
        def measure() -> float:
            result = pk.prune(
                of.model,
                of.example,
                calibration,
                pruning_ratio=ratio,
                progress=False,
                **({"repair": repair} if repair else {}),
                **options,
            )
            return accuracy(result.model, tested)

        return cells.get(f"{of.name} | {row} | {repair} | {ratio} | {images} | {seed}", measure)

    table = []
    bar = tqdm(total=len(RATIOS) * (len(SELECTIONS) * len(repairs) + len(OWN)), desc=of.name)
    for row, options in SELECTIONS.items():
        line = [row]
        for ratio in RATIOS:
            for repair in repairs:
                line.append(f"{cell(row, repair, ratio, options):.1f}")
                bar.update()
        table.append(line)
    rest = []
    for row, options in OWN.items():
        line = [row]
        for ratio in RATIOS:
            line.append(f"{cell(row, None, ratio, options):.1f}")
            bar.update()
        rest.append(line)
    head = ["selection", *(f"{r:.0%} {name}" for r in RATIOS for name in repairs.values())]
    intact = cells.get(f"{of.name} | intact", lambda: accuracy(of.model, tested))
    return (
        f"{of.name}: {images} unlabelled images (seed {seed}), {len(tested):,} test images, "
        f"accuracy in %, intact {intact:.2f}\nper cent of channels removed, then the repair\n\n"
        f"{text_table([head, *table])}\n\n"
        f"{text_table([['', *(f'{r:.0%}' for r in RATIOS)], *rest])}\n"
    )


def ratios(
    of: Setting, cells: Cells, images: int, seed: int, forms: list[str], folder: Path | None
) -> str:
    """Part 2 for one network."""
    calibration = of.train.sample(images, seed).inputs
    given = (of.model, of.example, calibration)
    short = of.name.split()[-1].lower()

    def cell(form: str, target: float) -> list[float]:
        def measure() -> list[float]:
            if form == "uniform":
                result = pk.prune(
                    *given, target_macs=target, distribution="uniform", progress=False
                )
            else:
                file = folder / f"pro-{short}-{images}-{seed}.json" if folder else None
                chosen = pk.optimize_ratios(*given, target_macs=target, form=form, file=file)
                result = pk.prune(*given, pruning_ratio=chosen, progress=False)
            kept = result.report.macs_after / result.report.macs_before
            return [accuracy(result.model, of.test), kept]

        return cells.get(f"{of.name} | PRO {form} | {target} | {images} | {seed}", measure)

    table = [["", *(f"{target:g} of the MACs" for target in TARGETS)]]
    for form in forms:
        found = [cell(form, target) for target in TARGETS]
        name = form if form == "uniform" else f"PRO, {form}"
        table.append([name, *(f"{value:.2f} ({kept:.3f})" for value, kept in found)])
    return (
        f"{of.name}: REAP with {images} unlabelled images (seed {seed}), {len(of.test):,} test "
        f"images, accuracy in % (and MACs kept)\n\n{text_table(table)}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.papers", description=__doc__)
    parser.add_argument("--networks", nargs="+", default=["digits", "shapes32", "cifar10"])
    parser.add_argument(
        "--parts", nargs="+", choices=["methods", "pro"], default=["methods", "pro"]
    )
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS, help="of part 2")
    parser.add_argument("--images", type=int, default=200, help="calibration images, part 1")
    parser.add_argument("--pro-images", type=int, default=2000, help="calibration images, part 2")
    parser.add_argument("--seed", type=int, default=0, help="which calibration images")
    parser.add_argument("--cache", type=Path, help="keep measured cells in this file")
    options = parser.parse_args()
    cells = Cells(options.cache)
    folder = options.cache.parent if options.cache else None
    for name in options.networks:
        of = setting(name)
        if "methods" in options.parts:
            print("\n" + methods(of, cells, options.images, options.seed), flush=True)
        if "pro" in options.parts:
            count = min(options.pro_images, len(of.train))
            found = ratios(of, cells, count, options.seed, options.forms, folder)
            print("\n" + found, flush=True)


if __name__ == "__main__":
    main()
