"""What every figure of the course has in common."""

import matplotlib.pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from prunekit.classroom import style


def assert_house_style(figure):
    """White, in the house's colours and colour map, and unknown to pyplot."""
    assert isinstance(figure, Figure) and not plt.get_fignums()
    assert to_hex(figure.get_facecolor()) == "#ffffff"
    images = [image for axis in figure.axes[:1] for image in axis.images]
    assert all(image.get_cmap().name == "cividis" for image in images)
    known = {colour.lower() for colour in (*style.COLOURS, style.GREY, "#000000", "#ffffff")}
    assert {to_hex(line.get_color()) for axis in figure.axes for line in axis.lines} <= known
