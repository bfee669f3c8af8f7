"""The figures of the last notebooks: read back what was drawn."""

import numpy as np

from prunekit.classroom.figures import beyond as figures

IMAGE = np.zeros((4, 4, 3), np.uint8)
ROWS = {"lost": [(IMAGE, "cat", "dog"), (IMAGE, "ship", "truck")], "won": [(IMAGE, "frog", "bird")]}
BEFORE, AFTER = {"cat": 80.0, "ship": 95.0, "dog": 85.0}, {"cat": 60.0, "ship": 97.0, "dog": 80.0}
CURVES = {
    "old": {100: (80.0, 1.0), 10: (50.0, 2.0)},
    "new": {10: (60.0, 0.5), 100: (85.0, 0.5)},
}
SAID = np.linspace(-1, 1, 5)

DRAWN = {
    "against_images": lambda: figures.against_images(CURVES, "accuracy, %", ("intact", 90.0)),
    "answers": lambda: figures.answers(ROWS),
    "by_class": lambda: figures.by_class(BEFORE, AFTER),
    "guesses": lambda: figures.guesses({"a": (SAID, SAID**2), "b": (SAID, SAID)}, "said"),
}


def test_answers_has_a_row_per_entry_and_both_answers_under_each_picture():
    axes = np.array(DRAWN["answers"]().axes).reshape(2, 2)
    assert [row[0].get_ylabel() for row in axes] == ["lost", "won"]
    assert [axis.get_xlabel().split("\n→ ") for axis in axes.flat[:3]] == [
        ["cat", "dog"],
        ["ship", "truck"],
        ["frog", "bird"],
    ]
    assert [len(axis.images) for axis in axes.flat] == [1, 1, 1, 0]


def test_by_class_puts_the_worst_loss_on_top():
    axis = DRAWN["by_class"]().axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["cat", "dog", "ship"]
    old, new = axis.lines
    assert old.get_xdata().tolist() == [80, 85, 95] and new.get_xdata().tolist() == [60, 80, 97]
    assert [text.get_text() for text in axis.texts] == ["−20", "−5", "+2"]
    assert axis.yaxis_inverted()


def test_against_images_draws_two_standard_errors_in_the_order_of_counts():
    axis = DRAWN["against_images"]().axes[0]
    first = axis.containers[0]
    assert first.lines[0].get_xydata().tolist() == [[10, 50], [100, 80]]
    ends = [segment[:, 1].tolist() for segment in first.lines[2][0].get_segments()]
    assert ends == [[46, 54], [78, 82]]
    assert [text.get_text() for text in axis.texts] == ["old", "new", "intact"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["10", "100"]


def test_against_images_writes_names_beside_the_lines():
    axis = figures.against_images(
        {"up": {1: (1.0, 0.0), 9: (2.0, 0.0)}, "down": {1: (4.0, 0.0), 9: (3.0, 0.0)}}, "error"
    ).axes[0]
    assert [(text.get_va(), *text.xy) for text in axis.texts] == [("top", 1, 1), ("bottom", 1, 4)]


def test_against_images_without_errors_draws_none():
    figure = figures.against_images({"a": {1: (1.0, 0.0), 9: (100.0, 0.0)}}, "error", log=True)
    (line,) = figure.axes[0].containers
    assert not line.has_yerr and figure.axes[0].get_yscale() == "log"


def test_guesses_draws_every_sample_and_the_diagonal():
    left, right = DRAWN["guesses"]().axes
    dots, diagonal = left.lines
    np.testing.assert_allclose(dots.get_xydata(), np.stack([SAID, SAID**2], 1))
    assert diagonal.get_xydata().tolist() == [[-1, -1], [1, 1]]
    assert left.get_ylabel() == "said" and not right.get_ylabel()
