"""Draw the picture on top of the README: one channel spoken for, and what that is worth.

    python -m benchmarks.overview

Writes benchmarks/overview.png, from the shipped ResNet-20 and shapes32; nothing is downloaded.
"""

from pathlib import Path

import matplotlib
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from tqdm.auto import tqdm

import prunekit as pk
from prunekit.classroom import data
from prunekit.classroom.figures import style
from prunekit.classroom.pretrained import pretrained
from prunekit.classroom.training import accuracy
from prunekit.network.layers import consumer_inputs

BUDGETS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
METHODS = {
    "L1": {"method": "l1"},
    "L1 + batch norm": {"method": "l1", "repair": "batchnorm"},
    "REAP": {"method": "reap"},
}
LAYER = "layer2.1.conv2"  # takes 32 channels of 16×16 pixels


def spoken_for(model: nn.Module, train: Tensor, test: Tensor) -> tuple[Tensor, Tensor, int]:
    """One channel of the test images, and what the others say in its place, as learned on train.

    Returns
    -------
    two maps (count, 16, 16) and the channel, the one that its layer can best do without
    """
    taken: list[Tensor] = []
    hook = model.get_submodule(LAYER).register_forward_pre_hook(lambda _, x: taken.append(x[0]))
    with torch.no_grad():
        model(train), model(test)
    hook.remove()
    pointwise = nn.Conv2d(taken[0].shape[1], 1, 1)  # a 1×1 kernel takes one column per channel
    X, Z = (consumer_inputs(pointwise, maps).double() for maps in taken)
    scatter = torch.cov(X.T)
    H = scatter.inverse()
    explained = 1 - 1 / (H.diagonal() * scatter.diagonal())
    explained[(X > 0).double().mean(0) < 0.3] = -1  # a channel that is mostly silent is no picture
    j = int(explained.argmax())
    a = -H[:, j] / H[j, j]  # x_j ≈ Σ_{i≠j} a_i x_i
    a[j] = 0
    guess = (Z - X.mean(0)) @ a + X.mean(0)[j]
    shape = taken[1][:, 0].shape
    return taken[1][:, j], guess.view(shape), j


def draw(
    pictures: Tensor,
    said: Tensor,
    guess: Tensor,
    channel: int,
    curves: dict[str, list[tuple[float, float]]],
) -> Figure:
    """On the left images, a channel and its stand-in (count, …); on the right accuracy by MACs."""
    with matplotlib.rc_context(style.STYLE):
        figure = Figure(figsize=(10, 4), layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=(1.05, 1))
        grid = left.subplots(3, len(pictures))
        rows = {
            "image": pictures.permute(0, 2, 3, 1),
            f"channel {channel}": said,
            "what the\nothers say": guess,
        }
        top = float(said.max())
        for axes, (name, maps) in zip(grid, rows.items(), strict=True):
            axes[0].set_ylabel(name, rotation=0, ha="right", va="center")
            for axis, values in zip(axes, maps, strict=True):
                axis.imshow(values, vmin=0, vmax=top)
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_visible(False)
        left.suptitle("Find channels that the others can speak for…", weight="bold", size=11)
        axis = right.subplots()
        for name, points in curves.items():
            axis.plot(*zip(*points, strict=True), label=name)
            axis.annotate(name, points[4], (6, 6), textcoords="offset points", va="bottom")
        axis.set(xlabel="fraction of MACs kept", ylabel="accuracy, %", ylim=(0, 100))
        axis.invert_xaxis()
        right.suptitle("…take them out, repair the rest: no retraining", weight="bold", size=11)
    return figure


def main() -> None:
    model = pretrained("resnet20-shapes32")
    train, test = data.shapes32("train"), data.shapes32("test")
    calibration = train.sample(500).inputs
    curves = {name: [(1.0, accuracy(model, test))] for name in METHODS}
    for name, macs in tqdm([(name, macs) for name in METHODS for macs in BUDGETS]):
        same = {"target_macs": macs, "distribution": "uniform", "progress": False}
        result = pk.prune(model, calibration[:1], calibration, **same, **METHODS[name])
        kept = result.report.macs_after / result.report.macs_before
        curves[name].append((kept, accuracy(result.model, test)))
    picked = test.sample(3, seed=4)
    said, guess, channel = spoken_for(model, calibration[:200], picked.inputs)
    figure = draw(picked.images, said, guess, channel, curves)
    figure.savefig(Path(__file__).parent / "overview.png", dpi=130)
    for name, points in curves.items():
        print(name, *(f"{kept:.2f}: {percent:.1f} %" for kept, percent in points), sep="  ")


if __name__ == "__main__":
    main()
