"""What all widgets share: controls lead to a picture and a sentence; and their figures."""

import base64
import re
import sys
from dataclasses import dataclass, replace
from io import BytesIO

import ipywidgets as kit
import numpy as np
import pytest
from IPython import display
from matplotlib.figure import Figure
from PIL import Image

import prunekit as pk
from prunekit.classroom.figures import moving as figures
from prunekit.classroom.figures.style import new
from prunekit.classroom.widgets.before_after import Seen
from prunekit.classroom.widgets.budget import Chosen
from prunekit.classroom.widgets.duals import plane
from prunekit.classroom.widgets.elimination import Film
from prunekit.classroom.widgets.neurons import Neurons
from prunekit.classroom.widgets.view import Choice, Interactive, Slider

from .house_style import assert_house_style
from .problems import problem


@dataclass(frozen=True)
class Sum:
    """The state of a widget that adds."""

    total: float

    @property
    def sentence(self) -> str:
        return f"That makes <{self.total:g}>."


def add(a: int, b: float) -> Sum:
    if a == 9:
        raise ValueError("9 & more is too much")
    return Sum(a + b)


def draw(states) -> Figure:
    figure, axis = new(3, 2)
    axis.plot([state.total for state in states], "o")
    axis.set_ylim(0, 10)
    return figure


@pytest.fixture
def widget():
    controls = {
        "a": Slider("first", 0, 9, 2, play=True),
        "b": Choice("second", [("one half", 0.5), ("one", 1.0)], 1.0),
    }
    return Interactive(add, draw, controls, [{}, {"a": 3}, {"b": 0.5}], 'a "line"')


def parts(view):
    """Controls by kind, the picture's HTML widget and the sentence's."""
    box, picture, words = view.children
    found = [control for group in box.children for control in group.children]
    return {type(control).__name__: control for control in found}, picture, words


def test_the_sentence_and_the_picture_follow_the_controls(widget):
    controls, picture, words = parts(widget.view())
    assert "makes &lt;3&gt;." in words.value
    first = picture.value
    controls["IntSlider"].value = 5
    assert "makes &lt;6&gt;." in words.value
    controls["ToggleButtons"].value = 0.5
    assert "makes &lt;5.5&gt;." in words.value
    controls["BoundedIntText"].value = 1
    assert controls["IntSlider"].value == 1 and "makes &lt;1.5&gt;." in words.value
    controls["Play"].value = 7
    assert controls["IntSlider"].value == 7 and "makes &lt;7.5&gt;." in words.value
    assert picture.value != first


def test_controls_have_labels_that_are_not_cut(widget):
    controls, *_ = parts(widget.view())
    assert controls["BoundedIntText"].description == "first"
    assert controls["ToggleButtons"].description == "second"
    for name in ("BoundedIntText", "ToggleButtons"):
        assert controls[name].style.description_width == "initial"


def test_the_picture_is_an_image_with_a_text_and_a_fixed_size(widget):
    _, picture, words = parts(widget.view())
    assert 'alt="a &quot;line&quot;"' in picture.value
    data = re.search(r"data:image/png;base64,([\w+/=]+)", picture.value)[1]
    image = Image.open(BytesIO(base64.b64decode(data)))
    assert image.size == (300, 200) and 'width="300" height="200"' in picture.value
    assert image.getpixel((0, 0)) == (255, 255, 255)
    assert 'role="status"' in words.value and 'aria-live="polite"' in words.value


def test_the_picture_is_what_matplotlib_would_save(widget):
    data, _ = widget.answer(a=1, b=1.0)
    saved = BytesIO()
    draw([add(1, 1.0)]).savefig(saved, format="png")
    here, there = (
        np.asarray(Image.open(BytesIO(b)).convert("RGB")) for b in (data, saved.getvalue())
    )
    np.testing.assert_array_equal(here, there)


def test_an_error_is_shown_and_does_not_stop_the_widget(widget):
    controls, picture, words = parts(widget.view())
    before = picture.value
    controls["IntSlider"].value = 9
    assert "ValueError: 9 &amp; more is too much" in words.value and 'role="alert"' in words.value
    assert picture.value == before
    controls["IntSlider"].value = 1
    assert "makes &lt;2&gt;." in words.value and 'role="status"' in words.value


def test_the_twin_shows_three_settings_and_says_so(widget):
    figure, alt = widget.twin()
    assert figure.axes[0].lines[0].get_ydata().tolist() == [3, 4, 2.5]
    assert alt == "That makes <3>. That makes <4>. That makes <2.5>."
    assert [state.total for state in widget.states] == [3, 4, 2.5]


@pytest.fixture
def shown(monkeypatch):
    """What a cell shows, instead of showing it."""
    found = []
    monkeypatch.setattr(display, "display", found.append)
    return found


def test_shown_it_is_a_widget(widget, shown, capsys):
    widget._ipython_display_()
    (view,) = shown
    assert isinstance(view, kit.VBox) and not capsys.readouterr().out


def test_without_ipywidgets_it_is_its_twin(widget, shown, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # as if it were not installed
    widget._ipython_display_()
    said = capsys.readouterr().out
    assert "needs ipywidgets" in said and "That makes <4>." in said
    (picture,) = shown
    assert isinstance(picture, display.Image)


def test_sliders_count_in_whole_numbers_where_they_can():
    whole, _ = Slider("a", 0, 5, 1).build(kit)
    part, shown = Slider("a", 0.0, 1.0, 0.5, step=0.1).build(kit)
    assert isinstance(whole, kit.IntSlider) and isinstance(part, kit.FloatSlider)
    for control in shown:
        assert (control.min, control.max, control.value, control.step) == (0, 1, 0.5, 0.1)


# Figures ----------------------------------------------------------------------------------------

X, Y, W, _ = problem(n=6)
NEURONS = Neurons.from_behaviors(X, W)
FILM = Film.from_moments(pk.Moments().update(X, Y), W)
MAP = np.arange(16.0).reshape(4, 4)
ODDS = np.array([0.1, 0.6, 0.3])
SEEN = Seen(
    np.ones((4, 4, 3)),
    MAP,
    MAP / 2,
    15.0,
    ODDS,
    ODDS[::-1],
    ("a", "b", "c"),
    1,
    0.5,
    "no repair",
    3,
    False,
)
CURVES = {"one": {4: 0.0, 2: 0.1, 1: 20.0}, "two": {8: 0.0, 4: 3.0}}
CHOSEN = Chosen(
    0.5, 0.49, {"one": 2, "two": 8}, {"one": 4, "two": 8}, CURVES, 0.1, 70.0, {0.3: 50.0, 1.0: 90.0}
)
STATES = {
    "before_after": [SEEN] * 3,
    "budget": [CHOSEN] * 3,
    "elimination": [FILM.at(step) for step in (0, 3, 5)],
    "neurons": [NEURONS.at(0, 1, 0.01), NEURONS.at(2, 1, 0.1), NEURONS.at(4, 4, 0.001)],
    "plane": [plane(70), plane(10), plane(70, 2, 1, 130, 1.5)],
}


def test_every_figure_is_drawn_here():
    assert set(STATES) == set(figures.__all__)


@pytest.mark.parametrize("name", STATES)
def test_house_style(name):
    for states in (STATES[name], STATES[name][:1]):
        assert_house_style(getattr(figures, name)(states))


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", STATES)
def test_no_text_is_cut(name, count):
    for states in [STATES[name]] if count == 3 else [[state] for state in STATES[name]]:
        figure = getattr(figures, name)(states)
        figure.draw_without_rendering()
        axes = [axis.get_tightbbox() for axis in figure.axes]
        for box in axes:
            assert -0.5 <= box.x0 and box.x1 <= figure.bbox.width + 0.5
            assert -0.5 <= box.y0 and box.y1 <= figure.bbox.height + 0.5


@pytest.mark.parametrize("name", STATES)
def test_all_pictures_of_a_widget_have_one_size(name):
    draw = getattr(figures, name)
    assert len({tuple(draw([state]).get_size_inches()) for state in STATES[name]}) == 1
    assert draw(STATES[name]).get_size_inches()[0] == 7


def lines(axis):
    return [line.get_xydata().tolist() for line in axis.lines]


def test_neurons_draws_dots_their_line_and_what_is_within():
    pair = STATES["neurons"][0]
    dots, merges = figures.neurons([pair]).axes
    said, fit = lines(dots)
    assert said == pair.said.tolist() and fit[0] == [0, pair.shift]
    assert np.isclose(fit[1][1], pair.scale * pair.said[:, 0].max() + pair.shift)
    every, within, threshold = lines(merges)
    assert within == every[: pair.unified] and threshold[0][1] == 0.01
    assert np.allclose(np.array(every)[:, 1], pair.merge_errors)


def test_plane_ends_long_duals_at_the_border_without_a_head():
    short, long = (figures.plane([plane(angle)]).axes[0] for angle in (70, 2))

    def heads(axis):
        return [line for line in axis.lines if isinstance(line.get_marker(), tuple)]

    assert len(heads(short)) == 4 and len(heads(long)) == 2
    ends = [np.abs(line.get_xydata()).max() for line in long.lines if len(line.get_xdata()) == 2]
    assert max(ends) <= figures.REACH


def test_plane_fills_bars_as_far_as_the_others_fail():
    state = plane(70, 2.0, 1.0)
    bars = figures.plane([state]).axes[1]
    assert np.allclose(
        [bar.get_width() for bar in bars.patches], [*state.energies, *state.residuals]
    )


def test_elimination_marks_who_goes_and_who_covers():
    state = STATES["elimination"][1]
    costs, curve = figures.elimination([state]).axes
    scores, covers, gone = (line.get_xydata() for line in costs.lines)
    assert np.allclose(scores[:, 1], state.scores, equal_nan=True)
    assert covers[:, 0].tolist() == list(state.covers) and gone[0, 0] == state.next
    rival, reap, bound, *marks = curve.lines
    assert reap.get_ydata().tolist() == state.reap.tolist()
    assert bound.get_ydata().tolist() == state.bound.tolist() != rival.get_ydata().tolist()
    assert marks[1].get_xydata().tolist() == [[state.left, state.errors["reap"]]]
    assert curve.xaxis_inverted()


def test_elimination_shows_who_goes_for_nothing():
    state = replace(STATES["elimination"][0], lowest=1.0)  # all scores lie below
    costs = figures.elimination([state]).axes[0]
    low, high = costs.get_ylim()
    assert all(low < y < high for line in costs.lines for y in line.get_ydata())


def test_before_after_draws_both_maps_on_one_scale_and_the_difference():
    image, before, after, difference, odds = figures.before_after([SEEN]).axes
    assert {axis.images[0].get_clim() for axis in (before, after, difference)} == {(0, 15)}
    np.testing.assert_array_equal(difference.images[0].get_array(), MAP / 2)
    names = [text.get_text() for text in odds.texts]
    assert names[0] == "b (true)" and set(names) == {"a", "b (true)", "c"}
    assert np.allclose([bar.get_width() for bar in odds.patches[:3]], sorted(ODDS)[::-1], atol=0.3)
    assert "no repair" in image.get_xlabel()


def test_budget_rings_what_was_chosen():
    curves, answers = figures.budget([CHOSEN]).axes
    rings = [line.get_xydata().tolist() for line in curves.lines if line.get_markersize() == 10]
    assert rings == [[[0.5, 0.1]], [[0.0, 0.1]]]  # what keeps all stands at the least D
    measured, budget, predicted = lines(answers)
    assert measured == [[0.3, 50], [1, 90]] and budget[0][0] == 0.5 and predicted == [[0.5, 70]]
