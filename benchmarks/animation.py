"""Draw the film of the README: REAP on one layer, channel after channel.

    python -m benchmarks.animation

Writes benchmarks/elimination.gif, from the shipped ResNet-20 and shapes32; nothing is downloaded.
"""

from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

import prunekit as pk
from prunekit.classroom import data
from prunekit.classroom.figures import style
from prunekit.classroom.pretrained import pretrained
from prunekit.classroom.widgets.elimination import Eliminated, Film
from prunekit.classroom.widgets.view import png
from prunekit.network import layers
from prunekit.network.recording import record

LAYER, PRODUCER = "layer2.1.conv2", "layer2.1.conv1"  # 32 channels of 16×16 pixels, 3×3 kernels
ROWS, COLUMNS = 4, 8
SECONDS, LAST = 0.6, 3.0  # that a picture stays, and the last one
TARGET = Path(__file__).with_name("elimination.gif")


def film(images: torch.Tensor) -> tuple[Film, np.ndarray]:
    """The elimination, and the feature maps (32, 16, 16) of the first image."""
    model = pretrained("resnet20-shapes32")
    layer, producer = (model.get_submodule(name) for name in (LAYER, PRODUCER))
    with torch.no_grad():
        ((taken, given),) = record(model, {LAYER: 1}, images)[LAYER]
    moments = pk.Moments()
    moments.update(layers.consumer_inputs(layer, taken), layers.consumer_outputs(layer, given))
    norms = producer.weight.detach().abs().sum((1, 2, 3))  # what L1 orders channels by
    W = layer.weight.detach().flatten(1).T  # (n·k², outputs)
    return Film.from_moments(moments, W, 9, norms), taken[0].numpy()


def draw(state: Eliminated, maps: np.ndarray, tops: np.ndarray) -> Figure:
    """On the left the channels that are there, on the right the error so far."""
    with matplotlib.rc_context(style.STYLE):
        figure = Figure(figsize=(8.4, 3.1))
        left, right = figure.subfigures(1, 2, width_ratios=(1.45, 1))
    grid = left.subplots(ROWS, COLUMNS)
    left.subplots_adjust(0.02, 0.03, 0.98, 0.86, wspace=0.12, hspace=0.12)
    marks = dict.fromkeys(state.covers, style.COLOURS[2]) | {state.next: style.COLOURS[1]}
    for j, axis in enumerate(grid.flat):
        axis.set(xticks=[], yticks=[])
        if np.isnan(state.scores[j]):
            axis.set_visible(False)
            continue
        axis.imshow(maps[j], cmap="cividis", vmin=0, vmax=tops[j])
        axis.spines[:].set_visible(j in marks)
        axis.spines[:].set(color=marks.get(j), linewidth=3)
    words = (("▪ goes next", 1, 0.36), ("▪ cover for it", 2, 0.62))
    left.text(0.02, 0.91, f"{state.left} channels left", weight="bold")
    for text, colour, x in words:
        left.text(x, 0.91, text, weight="bold", color=style.COLOURS[colour])
    _curve(right, state)
    return figure


def _curve(part, state: Eliminated) -> None:
    """Errors of both orders, as far as the film has come."""
    axis = part.subplots()
    part.subplots_adjust(0.2, 0.19, 0.97, 0.86)
    shown = len(state.lefts) - state.left + 1
    for errors, name, i in ((state.rival, "L1's order, refitted", 1), (state.reap, "REAP", 0)):
        colour = style.COLOURS[i]
        axis.plot(state.lefts[:shown], errors[:shown], color=colour, marker="", label=name)
        axis.plot(state.left, errors[shown - 1], style.MARKERS[i], color=colour)
    axis.plot(state.lefts, state.bound, ":", color="black", marker="", label="bound (SVD)")
    axis.set(xlim=(len(state.lefts) + 1, 0), ylim=(0, 1), xlabel="channels left")
    axis.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(loc="upper left", frameon=False, fontsize=8)
    axis.set_title("error of the next layer's answers", loc="left", fontsize=10, weight="bold")


def main() -> None:
    found, maps = film(data.shapes32("train", 200).inputs)
    tops = maps.max((1, 2)).clip(1e-6)
    steps = range(len(found.order))
    frames = [Image.open(BytesIO(png(draw(found.at(step), maps, tops)))) for step in steps]
    palette = Image.fromarray(np.vstack([np.asarray(frame) for frame in frames[::8]])).quantize(256)
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    times = [int(1000 * SECONDS)] * (len(frames) - 1) + [int(1000 * LAST)]
    frames[0].save(
        TARGET, save_all=True, append_images=frames[1:], duration=times, loop=0, optimize=True
    )
    half = found.at(len(steps) // 2)
    print(f"{TARGET.name}: {len(frames)} pictures, {TARGET.stat().st_size / 2**20:.2f} MiB")
    print("half of the channels gone:", {k: f"{v:.1%}" for k, v in half.errors.items()})


if __name__ == "__main__":
    main()
