"""The figures of the notebook on dual vectors: read back what was drawn."""

import numpy as np

from prunekit.classroom.figures import duals as figures

X = np.array([[2.0, 2.0], [0.0, 2.0]])
DUALS = np.array([[0.5, 0.0], [-0.5, 0.5]])
GUESS = np.array([1.0, 1.0])
SCORES = np.array([[1.0, 100.0, 10.0], [np.nan, 1000.0, 10.0], [np.nan, 10.0, np.nan]])
SAID = np.array([0.0, 1.0, 4.0])

DRAWN = {
    "best_ratio": lambda: figures.best_ratio(
        [3, 2, 1], {"greedy": [1, 1.5, 1], "exchanges": [1] * 3}
    ),
    "dual_without": lambda: figures.dual_without(X[:, 0], *DUALS.T, np.array([0.5, 0.0])),
    "duals": lambda: figures.duals({"wide": (X, DUALS), "again": (X, DUALS)}),
    "film": lambda: figures.film(SCORES, order=[0, 2, 1]),
    "guess": lambda: figures.guess(X[:, 0], X[:, 1], GUESS, DUALS[:, 0]),
    "guesses": lambda: figures.guesses({"one": (SAID, SAID / 2, "by 2"), "two": (SAID, SAID, "")}),
}


def texts(axis):
    return [text.get_text() for text in axis.texts if text.get_text()]


def arrows(axis):
    """(from, to) of every arrow."""
    drawn = [text for text in axis.texts if getattr(text, "arrow_patch", None) is not None]
    return [(tuple(arrow.xyann), tuple(arrow.xy)) for arrow in drawn]


def test_duals_draws_vectors_and_duals_at_one_scale():
    left, right = DRAWN["duals"]().axes
    assert left.get_title(loc="left") == "wide" and left.get_xlim() == right.get_xlim()
    assert left.get_aspect() == 1
    ends = [end for _, end in arrows(left)]
    assert ends == [(2, 0), (0.5, -0.5), (2, 2), (0, 0.5)]
    assert texts(left) == ["$x_0$", r"$\tilde{x}_0$", "$x_1$", r"$\tilde{x}_1$"]


def test_duals_marks_right_angles_between_each_dual_and_the_other_vector():
    axis = DRAWN["duals"]().axes[0]
    marks = [np.array(line.get_data()).T for line in axis.lines if len(line.get_xdata()) == 3]
    assert len(marks) == 2
    for (along_vector, corner, along_dual), other, own in zip(marks, (1, 0), (0, 1), strict=True):
        for mark, vector in ((along_vector, X[:, other]), (along_dual, DUALS[:, own])):
            lengths = np.linalg.norm(mark) * np.linalg.norm(vector)
            assert np.isclose(mark @ vector, lengths)  # they point the same way
        assert np.allclose(corner, along_vector + along_dual)


def test_guess_draws_the_residual_from_the_guess_to_the_vector():
    axis = DRAWN["guess"]().axes[0]
    assert arrows(axis)[-1] == ((1, 1), (2, 0))
    assert [point for line in axis.lines for point in line.get_xydata().tolist()][-1] == [1, 1]
    assert {"residual", "guess"} <= set(texts(axis))


def test_dual_without_shows_before_and_after():
    axis = DRAWN["dual_without"]().axes[0]
    assert [end for _, end in arrows(axis)] == [(2, 0), (0, 0.5), (0.5, -0.5), (0.5, 0)]
    assert axis.lines[-1].get_xydata().tolist() == [[0.5, -0.5], [0.5, 0]]


def test_film_puts_neurons_in_their_order_of_leaving():
    axis, bar = DRAWN["film"]().axes
    drawn = axis.images[0].get_array().filled(np.nan)
    expected = [[0, 1, 2], [np.nan, 1, 3], [np.nan, np.nan, 1]]
    np.testing.assert_array_equal(drawn, expected)
    assert bar.get_ylabel() == "cost of removal ΔE"


def test_film_leaves_out_costs_of_nothing():
    drawn = figures.film(np.array([[0.0, 10.0]]), [0, 1]).axes[0].images[0].get_array()
    assert drawn.mask.tolist() == [[True, False]]


def test_guesses_draws_points_and_the_line_where_they_should_lie():
    one, two = DRAWN["guesses"]().axes
    line, points = one.lines
    assert line.get_xydata().tolist() == [[0, 0], [4, 4]]
    assert points.get_xdata().tolist() == [0, 1, 4] and points.get_ydata().tolist() == [0, 0.5, 2]
    assert texts(one) == ["by 2"] and two.get_title(loc="left") == "two"


def test_best_ratio_prunes_from_left_to_right():
    (axis,) = DRAWN["best_ratio"]().axes
    greedy, better, best = axis.lines
    assert greedy.get_ydata().tolist() == [1, 1.5, 1]
    assert better.get_ydata().tolist() == [1, 1, 1]
    assert best.get_ydata()[0] == 1 and axis.xaxis_inverted()
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["greedy", "exchanges"]
