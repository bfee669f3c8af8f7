"""The figures of the REAP notebook: read back what was drawn."""

import numpy as np
import pytest

from prunekit.classroom import figures


def test_stand_ins_draw_what_was_said_and_what_the_others_say():
    said = np.array([[1.0, 3.0, 2.0], [4.0, 0.0, 2.5]])
    guessed = said + 0.5
    figure = figures.stand_ins(said, guessed, [0.25, 1.0, 4.0])
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles == ["neuron 0: ΔE = 0.25", "neuron 1: ΔE = 1.00", "neuron 2: ΔE = 4.00"]
    for j, axis in enumerate(figure.axes):
        drawn = [line.get_ydata() for line in axis.lines]
        np.testing.assert_array_equal(drawn, [said[:, j], guessed[:, j]])


@pytest.mark.parametrize("log", [False, True])
def test_error_against_channels_prunes_from_left_to_right(log):
    curves = {"REAP": ([3, 2, 1], [0.1, 0.2, 0.4]), "L1": ([3, 1], [0.3, 0.9])}
    axis = figures.error_against_channels(curves, log=log).axes[0]
    for line, (name, (left, errors)) in zip(axis.lines, curves.items(), strict=True):
        assert line.get_label() == name
        assert line.get_xdata().tolist() == left
        assert line.get_ydata().tolist() == errors
    assert axis.xaxis_inverted()
    assert axis.get_yscale() == ("log" if log else "linear")
    assert [text.get_text() for text in axis.get_legend().get_texts()] == list(curves)


def test_changes_draw_two_standard_errors_on_each_side():
    axis = figures.changes({"a": (-3.0, 0.5), "b": (1.0, 0.25)}, "REAP").axes[0]
    (bars,) = axis.containers
    points, _, (spans,) = bars.lines
    assert points.get_xdata().tolist() == [-3.0, 1.0]
    assert [segment[:, 0].tolist() for segment in spans.get_segments()] == [[-4, -2], [0.5, 1.5]]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b"]
    assert axis.yaxis_inverted() and axis.texts[0].get_text() == "REAP"


def test_lines_differ_in_more_than_colour():
    curves = {str(i): ([2, 1], [0.1 * i, 0.2 * i]) for i in (1, 2, 3)}
    lines = figures.error_against_channels(curves).axes[0].lines
    assert len({line.get_marker() for line in lines}) == 3
