"""What every figure of the course has in common, whichever file draws it."""

import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from prunekit.classroom import figures
from prunekit.classroom.figures import behavior, beyond, compare, duals, pro, style

from . import (
    test_figures,
    test_figures_behavior,
    test_figures_beyond,
    test_figures_compare,
    test_figures_duals,
    test_figures_pro,
)
from .house_style import assert_no_text_is_cut

DRAWN = {  # module → name → draws one
    figures: test_figures.DRAWN,
    behavior: test_figures_behavior.DRAWN,
    beyond: test_figures_beyond.DRAWN,
    compare: test_figures_compare.DRAWN,
    duals: test_figures_duals.DRAWN,
    pro: test_figures_pro.DRAWN,
}
EVERY = [(module, name) for module, drawn in DRAWN.items() for name in drawn]
every_figure = pytest.mark.parametrize(
    ("module", "name"), EVERY, ids=[f"{m.__name__.split('.')[-1]}.{name}" for m, name in EVERY]
)
KNOWN = {colour.lower() for colour in (*style.COLOURS, style.GREY, "#000000", "#ffffff")}


@pytest.mark.parametrize("module", DRAWN, ids=lambda module: module.__name__)
def test_every_figure_is_drawn_here(module):
    public = {name for name in module.__all__ if callable(getattr(module, name))}
    assert set(DRAWN[module]) == public - {"new", "show"}


@every_figure
def test_house_style(module, name):
    """White, in the house's colours and colour maps, and unknown to pyplot."""
    figure = DRAWN[module][name]()
    assert isinstance(figure, Figure) and not plt.get_fignums()
    assert to_hex(figure.get_facecolor()) == "#ffffff"
    assert all(to_hex(axis.get_facecolor()) == "#ffffff" for axis in figure.axes if axis.axison)
    images = [image for axis in figure.axes for image in axis.images]
    maps = [image for image in images if image.get_array().ndim == 2]  # no photographs
    assert all(image.get_cmap().name in ("cividis", "gray_r") for image in maps)
    assert {to_hex(line.get_color()) for axis in figure.axes for line in axis.lines} <= KNOWN
    assert getattr(module, name).__doc__.splitlines()[0].endswith(".")


@every_figure
def test_no_text_is_cut(module, name):
    assert_no_text_is_cut(DRAWN[module][name]())
