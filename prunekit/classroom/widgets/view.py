"""What all widgets share: controls, a picture and a sentence that follow them, and a static twin.

A widget's logic answers ``at(**setting)`` with a state, plain numbers and a ``sentence``; its
figure function draws a list of states. Nothing here computes. The picture is white in every theme,
text takes the theme's colours; the sentence is a live region, which screen readers follow.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from io import BytesIO
from typing import Any, Protocol

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from prunekit.classroom.figures import style

__all__ = ["Choice", "Interactive", "Slider", "State", "png"]

NOT_HERE = (
    "This widget needs ipywidgets, which is not installed (python -m pip install ipywidgets). "
    "Three of its settings, side by side:"
)
TEXT = "color: var(--jp-content-font-color1, inherit); line-height: 1.5; margin: 0"
PICTURE = "max-width: 100%; height: auto; background: white"


class State(Protocol):
    """What a logic object knows of one setting; figure functions read its other attributes."""

    @property
    def sentence(self) -> str: ...


@dataclass(frozen=True)
class Slider:
    """A number from ``low`` to ``high`` in steps; with ``play`` a button walks through them."""

    label: str
    low: float
    high: float
    value: float
    step: float = 1
    play: bool = False

    def build(self, kit: Any) -> tuple[Any, list[Any]]:
        """The control whose value counts, and all that is shown for it; ``kit`` is ipywidgets."""
        whole = all(isinstance(v, int) for v in (self.low, self.high, self.value, self.step))
        limits = {"min": self.low, "max": self.high, "step": self.step}
        # ipywidgets gives a slider's handle no name; the field beside it has one
        boxes = (
            (kit.BoundedIntText if whole else kit.BoundedFloatText),
            (kit.IntSlider if whole else kit.FloatSlider),
        )
        named = {"description": self.label, "style": {"description_width": "initial"}}
        field = boxes[0](self.value, **limits, **named)
        field.layout.width = f"{len(self.label) + 8}ch"
        slider = boxes[1](self.value, **limits, readout=False)
        slider.layout.width = "160px"
        kit.link((slider, "value"), (field, "value"))
        parts = [field, slider]
        if self.play:
            player = kit.Play(self.value, **limits, interval=1000, repeat=False)
            kit.link((player, "value"), (slider, "value"))
            parts.insert(0, player)
        return slider, parts


@dataclass(frozen=True)
class Choice:
    """One of ``options``, (text, value) pairs."""

    label: str
    options: Sequence[tuple[str, Any]]
    value: Any

    def build(self, kit: Any) -> tuple[Any, list[Any]]:
        """As of `Slider`."""
        # buttons: JupyterLab keeps the arrow keys that a menu would need for itself
        style = {"description_width": "initial", "button_width": "auto"}
        buttons = kit.ToggleButtons(
            options=list(self.options), value=self.value, description=self.label, style=style
        )
        return buttons, [buttons]


@dataclass(frozen=True)
class Interactive:
    """A picture that follows its controls; the last line of a cell shows it.

    Attributes
    ----------
    at : state of a setting, called with the controls' values by name
    draw : figure of one state, or of several side by side
    controls : `Slider` or `Choice` by name
    settings : the three of the static twin
    alt : what the picture shows, whatever the setting
    """

    at: Callable[..., State]
    draw: Callable[[Sequence[State]], Figure]
    controls: Mapping[str, Slider | Choice]
    settings: Sequence[Mapping[str, Any]]
    alt: str

    @cached_property
    def states(self) -> list[State]:
        """The twin's states, to assert what is said about it."""
        start = {name: control.value for name, control in self.controls.items()}
        return [self.at(**(start | setting)) for setting in self.settings]

    def twin(self) -> tuple[Figure, str]:
        """A figure of three settings, and its sentence: what each of them says."""
        return self.draw(self.states), " ".join(state.sentence for state in self.states)

    def answer(self, **setting: Any) -> tuple[bytes, str]:
        """The picture of a setting as PNG, and its sentence."""
        state = self.at(**setting)
        return png(self.draw([state])), state.sentence

    def view(self) -> Any:
        """Controls, picture and sentence, as one ipywidgets box."""
        import ipywidgets as kit

        inputs, shown = {}, []
        for name, control in self.controls.items():
            inputs[name], parts = control.build(kit)
            shown.append(kit.HBox(parts, layout=kit.Layout(margin="0 16px 0 0")))
        picture, words = kit.HTML(), kit.HTML()

        def follow(_: Any = None) -> None:
            try:
                image, sentence = self.answer(**{name: box.value for name, box in inputs.items()})
            except Exception as error:  # a callback's traceback would be lost in a log
                words.value = _said(f"{type(error).__name__}: {error}", "alert")
            else:
                picture.value = _image(image, self.alt)
                words.value = _said(sentence, "status")

        for box in inputs.values():
            box.observe(follow, "value")
        follow()
        wrapped = kit.Layout(flex_flow="row wrap")
        return kit.VBox([kit.Box(shown, layout=wrapped), picture, words])

    def _ipython_display_(self) -> None:
        from IPython import display

        try:
            view = self.view()
        except ImportError:
            print(NOT_HERE)
            figure, alt = self.twin()
            style.show(figure, alt=alt)
        else:
            display.display(view)


def png(figure: Figure) -> bytes:
    """The figure as a PNG, quickly: lightly packed, where `style.show` packs tightly."""
    canvas, packed = FigureCanvasAgg(figure), BytesIO()
    with matplotlib.rc_context(style.STYLE):
        canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # (height, width, 3)
    Image.fromarray(np.ascontiguousarray(pixels)).save(packed, "png", compress_level=1)
    return packed.getvalue()


def _image(data: bytes, alt: str) -> str:
    """An image of fixed size, so that nothing jumps, but no wider than the page."""
    width, height = Image.open(BytesIO(data)).size
    return (
        f'<img alt="{escape(alt)}" width="{width}" height="{height}" style="{PICTURE}" '
        f'src="data:image/png;base64,{b64encode(data).decode()}">'
    )


def _said(sentence: str, role: str) -> str:
    live = "assertive" if role == "alert" else "polite"
    return f'<p role="{role}" aria-live="{live}" style="{TEXT}">{escape(sentence)}</p>'
