"""The figures of Neuro-Coding and Neuro-Unification: read back what was drawn."""

import numpy as np

from prunekit.classroom.figures import behavior as draw

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.random((6, 8, 8))
SAID = GENERATOR.random((6, 3)).round(3)
LABELS = np.array([2, 0, 1, 0, 2, 1])
MAPS = GENERATOR.random((2, 4, 5, 5))
PICTURES = GENERATOR.random((2, 8, 8, 3))
SIMILAR = np.array([[1.0, 0.5], [0.5, 1.0]])
ERRORS = np.array([[0.0, 0.25, 4.0], [0.125, 0.0, 8.0], [1.0, 2.0, 0.0]])
HISTORY = [(3, 1, 0.1), (1, 0, 0.2), (4, 2, 0.3), (5, 0, 0.4)]
PANELS = {
    "noise": {"correlation": np.array([0.0, 0.01]), "cosine": np.array([0.31, 0.33])},
    "network": {"correlation": np.array([-0.5, 0.5]), "cosine": np.array([0.2, 0.9])},
}

DRAWN = {
    "behavior_map": lambda: draw.behavior_map(SAID, LABELS, ("a", "b", "c")),
    "distributions": lambda: draw.distributions(PANELS, "similarity"),
    "feature_maps": lambda: draw.feature_maps(PICTURES, MAPS, [3, 0]),
    "pair_errors": lambda: draw.pair_errors(ERRORS),
    "pairs": lambda: draw.pairs(SAID, [(0, 1), (2, 0)], [2.0, 0.5], ["one", "two"]),
    "portraits": lambda: draw.portraits(IMAGES, SAID, [2, 0], step=2, columns=3),
    "similarity_maps": lambda: draw.similarity_maps({"a": SIMILAR, "b": SIMILAR - 0.75}, "cosine"),
    "take_overs": lambda: draw.take_overs(HISTORY),
}


def drawn(axis):
    return np.asarray(axis.images[0].get_array())


def titles(figure):
    return [axis.get_title(loc="left") for axis in figure.axes if axis.get_title(loc="left")]


def test_portraits_begin_with_the_loudest_image():
    axes = np.array(DRAWN["portraits"]().axes).reshape(2, 3)
    for row, neuron in zip(axes, [2, 0], strict=True):
        order = SAID[:, neuron].argsort()[::-1][::2]
        assert row[0].get_ylabel() == f"neuron {neuron}"
        for axis, image in zip(row, order, strict=True):
            assert np.array_equal(drawn(axis), IMAGES[image])
            assert axis.get_title() == f"{SAID[image, neuron]:.1f}"


def test_behavior_map_puts_samples_in_the_order_of_classes():
    axis, _ = DRAWN["behavior_map"]().axes
    assert np.array_equal(drawn(axis), SAID[[1, 3, 2, 5, 0, 4]].T)
    assert axis.get_xticks().tolist() == [0.5, 2.5, 4.5]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["a", "b", "c"]
    assert [line.get_xdata()[0] for line in axis.lines] == [1.5, 3.5]


def test_pairs_draw_the_dots_and_the_line():
    figure = DRAWN["pairs"]()
    assert titles(figure) == ["one", "two"]
    for axis, (i, j), slope in zip(figure.axes, [(0, 1), (2, 0)], [2.0, 0.5], strict=True):
        dots, line = axis.lines
        assert np.array_equal(dots.get_xdata(), SAID[:, i])
        assert np.array_equal(dots.get_ydata(), SAID[:, j])
        assert np.allclose(line.get_ydata(), slope * line.get_xdata())
        assert axis.get_xlabel().endswith(f"{i} says") and axis.get_ylabel().endswith(f"{j} says")


def test_similarity_maps_share_one_scale():
    figure = DRAWN["similarity_maps"]()
    left, right = figure.axes[:2]
    assert titles(figure) == ["a", "b"]
    assert np.array_equal(drawn(left), SIMILAR) and np.array_equal(drawn(right), SIMILAR - 0.75)
    assert left.images[0].get_clim() == right.images[0].get_clim() == (-0.25, 1)


def test_distributions_count_and_name_each_set():
    figure = DRAWN["distributions"]()
    assert titles(figure) == list(PANELS)
    for axis, sets in zip(figure.axes, PANELS.values(), strict=True):
        assert [text.get_text() for text in axis.texts] == list(sets)
        means = [c.get_segments()[0][0, 0] for c in axis.collections]
        assert np.allclose(means, [values.mean() for values in sets.values()])


def test_feature_maps_show_the_image_then_its_channels():
    axes = np.array(DRAWN["feature_maps"]().axes).reshape(2, 3)
    assert [axis.get_title() for axis in axes[0]] == ["image", "channel 3", "channel 0"]
    for row, picture, maps in zip(axes, PICTURES, MAPS, strict=True):
        assert np.array_equal(drawn(row[0]), picture)
        assert np.array_equal(drawn(row[1]), maps[3])
        assert row[2].images[0].get_clim() == (0, MAPS[:, 0].max())


def test_pair_errors_frame_the_least_off_the_diagonal():
    axis, _ = DRAWN["pair_errors"]().axes
    written = [text.get_text() for text in axis.texts]
    assert written == ["0.25", "4.00", "0.12", "8.00", "1.00", "2.00"]
    (frame,) = axis.lines
    assert np.allclose((frame.get_xdata().mean(), frame.get_ydata().mean()), (0, 1), atol=0.2)
    assert axis.get_xlabel() == "neuron j goes" and axis.get_ylabel() == "neuron i speaks"


def test_take_overs_end_lines_where_neurons_go():
    (axis,) = DRAWN["take_overs"]().axes
    names = [text.get_text() for text in axis.texts if text.get_text()]
    assert names == ["0", "5", "1", "3", "2", "4"]  # families lie together
    ends = [c.get_segments()[0][1].tolist() for c in axis.collections]
    assert ends == [[5, 0], [4, -1], [2, -2], [1, -3], [5, -4], [3, -5]]
    arrows = [(a.xyann, a.xy) for a in axis.texts if not a.get_text()]
    assert arrows == [
        *(((1, -3), (1, -2)), ((2, -2), (2, 0)), ((3, -5), (3, -4)), ((4, -1), (4, 0)))
    ]
