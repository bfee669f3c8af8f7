"""How every figure of the course looks, and how it is shown: its sentence, then the picture."""

from io import BytesIO
from typing import Any

import matplotlib
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

__all__ = ["COLOURS", "GREY", "MARKERS", "STYLE", "headline", "new", "show"]

# Okabe & Ito's palette without yellow: told apart by every eye, and in print
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#8C8C8C"
STYLE: dict[str, Any] = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 100,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLOURS, marker=MARKERS),
    "lines.markersize": 5,
    "legend.frameon": False,
    "image.cmap": "cividis",
}


def new(width: float = 7, height: float = 3, rows: int = 1, columns: int = 1, **kwargs: Any):
    """A figure in the house style and its axes; sizes in inches. Not registered with pyplot."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots(rows, columns, **kwargs)


def _png(figure: Figure) -> bytes:
    """The figure as a PNG; one with few colours gets a palette, which takes a third of the room."""
    buffer, small = BytesIO(), BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="png")
    picture = Image.open(buffer).convert("RGB")
    if picture.getcolors(2048):  # None when there are more
        picture = picture.quantize(256)
    picture.save(small, "png", optimize=True)
    return small.getvalue()


def show(figure: Figure, alt: str) -> None:
    """Print the sentence that says what the figure shows, then the figure itself.

    Drawn here: a kernel that never met pyplot would show a Figure by its name only.
    """
    from IPython import display

    print(alt)
    display.display(display.Image(_png(figure), format="png", alt=alt))


def headline(axis: Axes, text: str, pad: float = 6) -> None:
    """A panel's title; the style cannot reach it here, for matplotlib reads it when it is set."""
    axis.set_title(text, loc="left", fontsize=11, fontweight="bold", pad=pad)
