"""The figures of comparisons: read back what was drawn."""

import numpy as np
from matplotlib.colors import to_hex

from prunekit.classroom.figures import compare as figures
from prunekit.classroom.figures.style import COLOURS, GREY

POINTS = {
    "mine": [(80.0, True), (60.0, True)],
    "a rival with a long name": [(79.0, True), (40.0, False)],
    "broken": [None, None],
}
TABLE = np.array([[10.0, 20.4], [30.0, 90.6]])
DRAWS = {"one": [50.0, 52.0], "two": [70.0, 60.0]}

DRAWN = {
    "draws": lambda: figures.draws(DRAWS, {"one": 1.0, "two": 0.5}),
    "grid": lambda: figures.grid(TABLE, ["random", "l1"], ["none", "batchnorm"]),
    "leaderboard": lambda: figures.leaderboard(POINTS, [0.75, 0.5], intact=90.0),
}


def texts(axis):
    return [text.get_text().strip() for text in axis.texts]


def rows(axis):
    return [label.get_text() for label in axis.get_yticklabels()]


def test_leaderboard_has_a_marker_per_cell_full_where_it_ties():
    axis = DRAWN["leaderboard"]().axes[0]
    full, hollow = set(), set()
    for line in axis.lines[:-1]:
        marks = {(x, y, line.get_color()) for x, y in line.get_xydata().tolist()}
        (hollow if line.get_markerfacecolor() == "none" else full).update(marks)
    first, second = COLOURS[:2]
    assert full == {(80.0, 0.0, first), (79.0, 1.0, first), (60.0, 0.0, second)}
    assert hollow == {(40.0, 1.0, second)}
    assert rows(axis) == list(POINTS) and texts(axis) == ["failed", "intact"]
    assert axis.lines[-1].get_xdata() == [90, 90] and axis.yaxis_inverted()


def test_leaderboard_tells_budgets_apart_by_colour_and_marker():
    figure = figures.leaderboard({"a": [(float(b), True) for b in range(7)]}, range(7), 90.0)
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert entries == [f"{budget} of the MACs" for budget in range(7)]
    lines = [line for line in figure.axes[0].lines if line.get_label().endswith("MACs")]
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == 7


def test_grid_writes_its_numbers_where_they_can_be_read():
    axis = DRAWN["grid"]().axes[0]
    assert axis.images[0].get_array().tolist() == TABLE.tolist()
    assert texts(axis) == ["10 %", "20 %", "30 %", "91 %"]
    for text in axis.texts:
        red, green, blue, _ = axis.images[0].to_rgba(TABLE)[text.get_position()[::-1]]
        light = 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.35
        assert text.get_color() == ("black" if light else "white")
    assert rows(axis) == ["random", "l1"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["none", "batchnorm"]


def test_draws_has_a_dot_each_and_two_standard_errors_behind():
    axis = DRAWN["draws"]().axes[0]
    assert [line.get_xdata().tolist() for line in axis.lines] == list(DRAWS.values())
    assert [set(line.get_ydata()) for line in axis.lines] == [{0}, {1}]
    assert [(bar.get_x(), bar.get_width()) for bar in axis.patches] == [(49, 4), (64, 2)]
    assert all(to_hex(bar.get_facecolor()) == GREY.lower() for bar in axis.patches)
    assert axis.get_xlim()[0] < 49 and axis.get_xlim()[1] > 70 and rows(axis) == ["one", "two"]
