"""How long a widget takes to answer a move of a control: logic alone, and with its picture.

    python -m benchmarks.widgets

Median of 20 moves, each to a new setting, on two threads. The widgets are those of the notebooks;
"to make" is what comes before the first move, once.
"""

from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch

import prunekit as pk
from prunekit.classroom import data, widgets
from prunekit.classroom.pretrained import pretrained
from prunekit.classroom.widgets.view import Interactive, Slider
from prunekit.network import layers
from prunekit.network.recording import record
from prunekit.results.report import text_table

MOVES = 20
KEPT = (0.4, 0.7)


def neurons_that_agree() -> Interactive:
    model, images = pretrained("mlp-digits"), data.digits("train").inputs
    return widgets.neurons_that_agree(pk.behaviors(model, "1", images), model[3].weight.T)


def elimination() -> Interactive:
    model, images = pretrained("resnet20-shapes32"), data.shapes32("train", 100).inputs
    layer = model.get_submodule("layer3.0.conv2")
    ((taken, given),) = record(model, {"layer3.0.conv2": 1}, images)["layer3.0.conv2"]
    X, Y = layers.consumer_inputs(layer, taken), layers.consumer_outputs(layer, given)
    return widgets.elimination(pk.Moments().update(X, Y), layer.weight.flatten(1).T, 9)


def before_and_after() -> Interactive:
    model, images = pretrained("small_cnn-shapes32"), data.shapes32("train", 100).inputs
    options = dict(example_inputs=images[:1], calibration=images, progress=False)
    options |= {"distribution": "uniform"}
    pruned = {
        repair: {kept: pk.prune(model, **options, target_macs=kept, repair=repair) for kept in KEPT}
        for repair in ("none", "network")
    }
    shown = data.shapes32("test").sample(100)
    return widgets.before_and_after(model, pruned, shown, "10", site="8")


def the_budget() -> Interactive:
    model, images = pretrained("small_cnn-shapes32"), data.shapes32("train", 100).inputs
    ratios = pk.optimize_ratios(
        model, images[:1], images, target_macs=0.4, step=1 / 12, probes=100, progress=False
    )
    return widgets.the_budget(ratios, model, images, data.shapes32("test", 500))


WIDGETS: dict[str, Callable[[], Interactive]] = {
    "neurons that agree": neurons_that_agree,
    "duals in the plane": widgets.duals_in_the_plane,
    "elimination": elimination,
    "before and after": before_and_after,
    "the budget": the_budget,
}


def moves(widget: Interactive) -> list[dict]:
    """Settings: from one end of each control to the other, all of them at once."""
    found = []
    for move in range(MOVES):
        part = move / (MOVES - 1)
        setting = {}
        for name, control in widget.controls.items():
            if isinstance(control, Slider):
                steps = round(part * (control.high - control.low) / control.step)
                setting[name] = control.low + steps * control.step
            else:
                values = [value for _, value in control.options]
                setting[name] = values[round(part * (len(values) - 1))]
        found.append(setting)
    return found


def milliseconds(task: Callable[..., object], settings: list[dict]) -> float:
    """Median time of one call."""
    times = []
    for setting in settings:
        start = perf_counter()
        task(**setting)
        times.append(1000 * (perf_counter() - start))
    return median(times)


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(2)
    rows = [("widget", "to make, s", "logic, ms", "with picture, ms", "picture, KB")]
    for name, make in WIDGETS.items():
        start = perf_counter()
        widget = make()
        made = perf_counter() - start
        settings = moves(widget)
        picture, _ = widget.answer(**settings[0])  # the first one loads fonts
        logic, whole = (milliseconds(task, settings) for task in (widget.at, widget.answer))
        size = len(picture) / 1024
        rows.append((name, f"{made:.1f}", f"{logic:.2f}", f"{whole:.0f}", f"{size:.0f}"))
    print(text_table(rows, "<>>>>"))


if __name__ == "__main__":
    main()
