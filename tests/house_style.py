"""What every figure of the course has in common."""

import matplotlib.pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from prunekit.classroom.figures import style


def assert_house_style(figure):
    """White, in the house's colours and colour map, and unknown to pyplot."""
    assert isinstance(figure, Figure) and not plt.get_fignums()
    assert to_hex(figure.get_facecolor()) == "#ffffff"
    images = [image for axis in figure.axes[:1] for image in axis.images]
    assert all(image.get_cmap().name == "cividis" for image in images)
    known = {colour.lower() for colour in (*style.COLOURS, style.GREY, "#000000", "#ffffff")}
    assert {to_hex(line.get_color()) for axis in figure.axes for line in axis.lines} <= known


def assert_no_text_is_cut(figure):
    """Titles, labels and all that is written inside stay on the page, to a pixel."""
    figure.draw_without_rendering()
    for axis in figure.axes:
        low, high = sorted(axis.get_ylim())  # ticks beyond are not drawn
        ticks = axis.yaxis.get_major_ticks()
        names = [tick.label1 for tick in ticks if low <= tick.get_loc() <= high]
        titles = (axis.title, axis._left_title, axis.xaxis.label, axis.yaxis.label)
        for text in (*axis.texts, *names, *titles):
            if text.get_text():
                box = text.get_window_extent()
                assert -1 <= box.x0 and box.x1 <= figure.bbox.width + 1, text
                assert -1 <= box.y0 and box.y1 <= figure.bbox.height + 1, text
