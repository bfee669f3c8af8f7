"""The figures of the notebook on PRO: read back what was drawn."""

import numpy as np

from prunekit.classroom.figures import pro as figures

CHANNELS = {"first": 4, "second": 8}
CURVES = {"first": {3: 1.0, 2: 10.0, 1: 100.0}, "second": {6: 0.1, 4: 0.2, 2: 5.0}}
CHOSEN, UNIFORM = {"first": 3, "second": 2}, {"first": 2, "second": 4}
ERRORS = np.array([[0.0, 1.0, 10.0], [1.0, 2.0, 20.0]])  # (first, second)
INSIDE = np.array([[False, False, True], [False, True, True]])

DRAWN = {
    "against_uniform": lambda: figures.against_uniform(
        {"a": (40.0, 50.0), "b": (70.0, 71.0)}, {"a": (10.0, 1.0), "b": (1.0, 0.5)}, intact=90.0
    ),
    "curves": lambda: figures.curves(CURVES, CHANNELS, CHOSEN, UNIFORM),
    "pairs": lambda: figures.pairs(
        ERRORS, INSIDE, ([4, 2], [8, 4, 2]), [(4, 8), (4, 4), (2, 4)], (2, 4), ("one", "two")
    ),
    "widths": lambda: figures.widths(CHANNELS, {"uniform": UNIFORM, "PRO": CHOSEN}),
}


def texts(axis):
    return [text.get_text().strip() for text in axis.texts]


def test_curves_run_over_the_part_that_went():
    axis = DRAWN["curves"]().axes[0]
    first = axis.lines[0]
    assert first.get_xdata().tolist() == [0.25, 0.5, 0.75]
    assert first.get_ydata().tolist() == [1, 10, 100]
    assert axis.get_yscale() == "log" and texts(axis) == ["first", "second"]


def test_curves_mark_what_was_chosen_and_a_uniform_ratio():
    axis = DRAWN["curves"]().axes[0]
    rings = [line for line in axis.lines if line.get_markersize() == 13]
    marks = [np.hstack(line.get_data()).tolist() for line in rings]
    assert marks[0] == [0.25, 1.0] and marks[2] == [0.75, 5.0]  # chosen
    np.testing.assert_allclose([marks[1], marks[3]], [[0.5, 10.0], [0.5, 0.2]])  # uniform


def test_curves_leave_out_what_a_logarithm_cannot_show():
    figure = figures.curves({"first": {3: 0.0, 2: 1.0, 1: 2.0}}, {"first": 4})
    assert figure.axes[0].lines[0].get_ydata().tolist() == [1, 2]


def test_names_at_the_ends_of_curves_do_not_overlap():
    same = {name: {3: 1.0, 1: 100.0} for name in "abcdef"}
    figure = figures.curves(same, dict.fromkeys(same, 4))
    figure.draw_without_rendering()
    boxes = sorted((t.get_window_extent() for t in figure.axes[0].texts), key=lambda b: b.y0)
    assert all(low.y1 <= high.y0 + 2 for low, high in zip(boxes, boxes[1:], strict=False))


def test_pairs_hatches_what_is_over_budget():
    axis = DRAWN["pairs"]().axes[0]
    drawn = axis.images[0].get_array()
    assert drawn.shape == (3, 2) and drawn.mask[0, 0]
    np.testing.assert_allclose(drawn[1:], np.log10(ERRORS.T[1:]))
    (region,) = axis.collections
    assert region.get_hatch() == "///"
    path = region.get_paths()[0]
    for i in range(2):
        for j in range(3):
            assert path.contains_point((i, j)) == (not INSIDE[i, j])


def test_pairs_draws_the_path_and_the_best():
    axis = DRAWN["pairs"]().axes[0]
    path, best = axis.lines
    assert path.get_xydata().tolist() == [[0, 0], [0, 1], [1, 1]]
    assert best.get_xydata().tolist() == [[1, 1]]
    assert "one" in axis.get_xlabel() and "two" in axis.get_ylabel()


def test_widths_has_an_outline_and_a_bar_for_each_choice():
    figure = DRAWN["widths"]()
    axis = figure.axes[0]
    assert [bar.get_width() for bar in axis.patches] == [4, 8, 2, 4, 3, 2]
    assert texts(axis) == ["2", "4", "3", "2"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["uniform", "PRO"]


def test_against_uniform_draws_two_standard_errors():
    left, right = DRAWN["against_uniform"]().axes
    assert [line.get_xdata().tolist() for line in left.lines[:2]] == [[40, 70], [50, 71]]
    (bars,) = right.containers
    assert [segment[:, 0].tolist() for segment in bars.lines[2][0].get_segments()] == [
        [8, 12],
        [0, 2],
    ]
    assert [label.get_text() for label in left.get_yticklabels()] == ["a", "b"]
