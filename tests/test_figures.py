"""Every figure draws what it is told: read back from its artists, not from its pixels."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import torch
from matplotlib.colors import to_hex
from PIL import Image

from prunekit.classroom import data, figures
from prunekit.classroom.figures import style
from prunekit.results.report import Report, Row

SITES = (
    Row("first", 16, 8, tuple(range(8)), 0.1, 50, None, 72),
    Row("left", 32, 32, tuple(range(32)), None, None, "it has a reason"),
    Row("last", 64, 16, tuple(range(16)), 0.2, None, None),
)
REPORT = Report(
    SITES, "reap", "network", macs_before=100, macs_after=50, params_before=10, params_after=5
)
ACCURACIES = {"intact": 94.4, "L1": 17.25, "L1 repaired": 60.0, "REAP": 91.0}
MACS = {"conv1": 2_000_000, "conv2": 4_000_000, "linear": 10}
PARAMS = {"linear": 500, "conv2": 7_000, "conv1": 1_000}  # another order: names count
CURVES = {"L1": [(50.0, 20.0), (100.0, 94.0), (75.0, 80.0)], "REAP": [(100.0, 94.0), (50.0, 91.0)]}
PRODUCER, CONSUMER = np.arange(12.0).reshape(3, 4) - 6, np.arange(6.0).reshape(2, 3)
SAID = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])

DRAWN = {
    "accuracy_against_macs": lambda: figures.accuracy_against_macs(CURVES, chance=10),
    "accuracy_bars": lambda: figures.accuracy_bars(ACCURACIES, chance=10, title="Half the MACs"),
    "changes": lambda: figures.changes({"a": (-1.0, 0.5), "b": (2.0, 0.25)}, "default"),
    "costs": lambda: figures.costs(MACS, PARAMS),
    "error_against_channels": lambda: figures.error_against_channels(
        {"REAP": ([3, 2, 1], [0.0, 0.1, 0.4]), "L1": ([3, 2, 1], [0.0, 0.2, 0.9])}
    ),
    "images": lambda: figures.images(data.digits("test"), per_class=2),
    "removal": lambda: figures.removal(PRODUCER, CONSUMER, removed=[1]),
    "stand_ins": lambda: figures.stand_ins(SAID, SAID + 1, errors=[0.5, 1.25]),
    "training_curve": lambda: figures.training_curve([2.0, 0.5, 0.1]),
    "widths": lambda: figures.widths(REPORT),
}


def bars(axis):
    return [bar.get_width() for bar in axis.patches]


def texts(axis):
    return [text.get_text().strip() for text in axis.texts]


def labels(axis):
    return [label.get_text() for label in axis.get_yticklabels()]


def points(line):
    return list(zip(*line.get_data(), strict=True))


def test_colours_and_markers_are_distinct():
    assert len(set(style.COLOURS)) == len(style.COLOURS) == len(set(style.MARKERS))
    _, axis = figures.new()
    lines = [axis.plot([0, 1])[0] for _ in range(len(style.COLOURS))]
    assert [line.get_color() for line in lines] == list(style.COLOURS)
    assert [line.get_marker() for line in lines] == list(style.MARKERS)


def test_accuracy_bars():
    (axis,) = DRAWN["accuracy_bars"]().axes
    assert bars(axis) == list(ACCURACIES.values()) and labels(axis) == list(ACCURACIES)
    assert texts(axis) == ["94.4 %", "17.2 %", "60.0 %", "91.0 %", "chance"]
    assert axis.lines[0].get_xdata()[0] == 10
    assert axis.get_title(loc="left") == "Half the MACs"
    first, *others, last = [to_hex(bar.get_facecolor()) for bar in axis.patches]
    assert len({first, last, *others}) == 3 and len(set(others)) == 1


def test_widths_leave_out_sites_that_were_left_alone():
    (axis,) = DRAWN["widths"]().axes
    assert bars(axis) == [16, 64, 8, 16]  # before, then after
    assert labels(axis) == ["first", "last"]
    assert texts(axis) == ["8 of 16", "16 of 64"]
    assert "filled" in axis.get_xlabel() and "outline" in axis.get_xlabel()


def test_widths_of_sites_with_long_names_keep_room_for_the_bars():
    name = "backbone." + "block." * 12 + "conv1"
    row = Row(name, 1024, 4, (0, 1, 2, 3), 0.1, None, None)
    figure = figures.widths(replace(REPORT, rows=(*SITES, row)))
    figure.draw_without_rendering()
    (axis,) = figure.axes
    assert labels(axis)[-1].startswith("backbone.…") and labels(axis)[-1].endswith(".conv1")
    width = figure.bbox.width
    assert axis.bbox.width > 0.5 * width
    boxes = [t.get_window_extent() for t in (*axis.texts, *axis.get_yticklabels())]
    assert all(0 <= box.x0 and box.x1 <= width for box in boxes)


def test_costs_put_the_same_layer_in_the_same_row():
    left, right = DRAWN["costs"]().axes
    assert labels(left) == list(MACS)
    assert bars(left) == [2.0, 4.0, 1e-5] and texts(left) == ["2.0", "4.0", "0.0"]
    assert bars(right) == [1.0, 7.0, 0.5] and texts(right) == ["1.0", "7.0", "0.5"]
    assert left.get_xlabel() == "MACs, millions"
    assert right.get_xlabel() == "parameters, thousands"


def test_images_has_a_column_for_each_class():
    digits = data.digits("test")
    axes = np.array(DRAWN["images"]().axes).reshape(2, 10)
    assert [axis.get_title() for axis in axes[0]] == list("0123456789")
    second_three = digits.images[digits.labels == 3][1, 0]
    assert np.array_equal(axes[1, 3].images[0].get_array(), second_three)


def test_images_may_have_colours():
    shapes = data.shapes32("test", 20)
    figure = figures.images(shapes, per_class=1)
    first = shapes.images[shapes.labels == 0][0].permute(1, 2, 0)
    assert np.array_equal(figure.axes[0].images[0].get_array(), first)


def test_training_curve():
    (axis,) = DRAWN["training_curve"]().axes
    assert points(axis.lines[0]) == [(1, 2.0), (2, 0.5), (3, 0.1)]
    assert axis.get_yscale() == "log"


def test_removal_hatches_a_row_and_a_column():
    left, right = DRAWN["removal"]().axes
    assert np.array_equal(left.images[0].get_array(), abs(PRODUCER))
    assert np.array_equal(right.images[0].get_array(), abs(CONSUMER))
    (row,), (column,) = left.patches, right.patches
    assert row.get_bbox().extents.tolist() == [-0.5, 0.5, 3.5, 1.5]
    assert column.get_bbox().extents.tolist() == [0.5, -0.5, 1.5, 1.5]
    assert left.images[0].get_clim() == right.images[0].get_clim() == (0, 6)


def test_accuracy_against_macs_sorts_its_points():
    (axis,) = DRAWN["accuracy_against_macs"]().axes
    l1, reap, chance = axis.lines
    assert points(l1) == [(50, 20), (75, 80), (100, 94)]
    assert points(reap) == [(50, 91), (100, 94)]
    assert chance.get_ydata()[0] == 10
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["L1", "REAP"]


def test_error_against_channels():
    (axis,) = DRAWN["error_against_channels"]().axes
    assert points(axis.lines[1]) == [(3, 0.0), (2, 0.2), (1, 0.9)]
    assert axis.xaxis_inverted()
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["REAP", "L1"]


def test_changes_draws_two_standard_errors():
    (axis,) = DRAWN["changes"]().axes
    (container,) = axis.containers
    assert container.lines[0].get_xdata().tolist() == [-1.0, 2.0]
    (segments,) = (bar.get_segments() for bar in container.lines[2])
    assert [segment[:, 0].tolist() for segment in segments] == [[-2.0, 0.0], [1.5, 2.5]]
    assert labels(axis) == ["a", "b"] and texts(axis) == ["default"]


def test_stand_ins_has_a_panel_for_each_neuron():
    axes = DRAWN["stand_ins"]().axes
    assert [axis.get_title(loc="left")[-4:] for axis in axes] == ["0.50", "1.25"]
    said, guessed = axes[1].lines
    assert said.get_ydata().tolist() == [1, 3, 5] and guessed.get_ydata().tolist() == [2, 4, 6]


def shown(figure, monkeypatch):
    """What `show` gives to the notebook."""
    from IPython import display

    given = []
    monkeypatch.setattr(display, "display", given.append)
    figures.show(figure, alt="one sentence")
    (image,) = given
    return Image.open(BytesIO(image.data))


def test_show_prints_the_sentence_and_gives_a_picture(monkeypatch, capsys):
    picture = shown(DRAWN["widths"](), monkeypatch)
    assert capsys.readouterr().out == "one sentence\n"
    assert picture.format == "PNG" and picture.mode == "P"  # few colours: a palette
    colours = picture.convert("RGB").getcolors(1024)
    assert max(colours)[1] == (255, 255, 255)
    assert any(np.allclose(rgb, (0, 0x72, 0xB2), atol=2) for _, rgb in colours)


def test_show_keeps_every_colour_of_photographs(monkeypatch):
    noise = torch.randint(256, (10, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    photographs = data.ImageSet(
        noise.to(torch.uint8), torch.arange(10), tuple("0123456789"), (0.5,) * 3, (0.25,) * 3
    )
    picture = shown(figures.images(photographs, per_class=1), monkeypatch)
    assert picture.mode == "RGB"
