"""The artist behind `shapes32`: five shapes in two textures, somewhere in a cluttered picture.

A figure is a *signed distance*, negative inside, in a *frame* that is moved, turned and scaled at
random. A soft threshold turns distance into coverage; coverage lays a colour over the picture.

A seed gives the very same pixels on every machine: there are only sums, products, quotients,
square roots and comparisons here, one element at a time, and IEEE 754 rounds each of them exactly.
"""

from collections.abc import Callable

import numpy as np
from numpy import ndarray
from numpy.random import Generator

__all__ = ["CLASSES", "draw"]

CHUNK = 100  # pictures painted at a time: they fit into a processor's cache
Y, X = np.float32(np.mgrid[:32, :32] - 15.5)  # pixel centres, (32, 32) each
TURNS = np.exp(1j * np.pi / 180 * np.arange(360))  # by whole degrees
TURNS = np.float32(np.round((TURNS.real, TURNS.imag), 6))  # (2, 360), without libm's last digits


def _box(u: ndarray, v: ndarray, half_width: float, half_height: float) -> ndarray:
    return np.maximum(np.abs(u) - half_width, np.abs(v) - half_height)


def _cell(u: ndarray) -> ndarray:
    return u - np.floor(u) - 0.5  # repeats -0.5 to 0.5 with period 1


def _beyond(u: ndarray, v: ndarray, sides: int) -> tuple[ndarray, ndarray]:
    """Measure along the normals of a regular polygon: the two largest of the distances."""
    first = second = np.full_like(u, -np.inf)
    for cos, sin in TURNS[:, :: 360 // sides].T:
        along = cos * u + sin * v
        first, second = np.maximum(first, along), np.maximum(second, np.minimum(first, along))
    return first, second


# Figures: coordinates in the frame, u and v (count, 32, 32) → signed distance (count, 32, 32)
Figures = dict[str, Callable[[ndarray, ndarray], ndarray]]
SHAPES: Figures = {
    "disc": lambda u, v: np.sqrt(u**2 + v**2) - 0.85,
    "square": lambda u, v: _box(u, v, 0.75, 0.75),
    "triangle": lambda u, v: _beyond(u, v, 3)[0] - 0.55,
    "star": lambda u, v: _beyond(u, v, 5)[1] - 0.38,  # what is beyond at most one of five sides
    "cross": lambda u, v: np.minimum(_box(u, v, 0.34, 1), _box(u, v, 1, 0.34)),
}
TEXTURES: Figures = {
    "striped": lambda u, v: np.abs(_cell(u)) - 0.25,
    "dotted": lambda u, v: np.sqrt(_cell(u) ** 2 + _cell(v) ** 2) - 0.36,
}
GROUNDS: Figures = {"edge": lambda u, v: u, "gradient": lambda u, v: u / 30}
BARS: Figures = {"bar": lambda u, v: _box(u, v, 0.5, 4)}
CLASSES = tuple(f"{texture} {shape}" for shape in SHAPES for texture in TEXTURES)


def _between(rng: Generator, low: float, high: float, *shape: int) -> ndarray:
    return low + (high - low) * rng.random(shape, np.float32)


def _colour(rng: Generator, lightness: ndarray) -> ndarray:
    """Draw any hue at a lightness (count, 1): red, green and blue (count, 3, 1, 1)."""
    hue = _between(rng, 0, 1, *lightness.shape) + np.float32([0, 1 / 3, 2 / 3])  # (count, 3)
    rainbow = np.clip(np.abs(6 * _cell(hue)) - 1, 0, 1)
    chroma = (1 - np.abs(2 * lightness - 1)) * _between(rng, 0.2, 0.9, *lightness.shape)
    return (lightness + chroma * (rainbow - 0.5))[:, :, None, None]  # as HSL defines it


def _cover(rng: Generator, figures: Figures, kinds: ndarray, unit: tuple, reach: float) -> ndarray:
    """Put one figure into each picture: how much it covers, from 0 to 1, (count, 1, 32, 32).

    Parameters
    ----------
    kinds : which of the ``figures`` each picture gets, (count,)
    unit : the least and the largest unit of length of the frame, in pixels
    reach : how far, in pixels, the frame may lie from the middle of the picture
    """
    dx, dy = _between(rng, -reach, reach, 2, len(kinds), 1, 1)
    scale = _between(rng, *unit, len(kinds), 1, 1)
    cos, sin = TURNS[:, rng.integers(360, size=len(kinds)), None, None] / scale
    u, v = cos * (X - dx) + sin * (Y - dy), cos * (Y - dy) - sin * (X - dx)  # (count, 32, 32)
    distance = np.empty_like(u)
    for kind, figure in enumerate(figures.values()):
        mine = kinds == kind
        distance[mine] = figure(u[mine], v[mine])
    return np.clip(0.5 - distance * scale, 0, 1)[:, None]  # an edge is one pixel soft


def _lay(picture: ndarray, coverage: ndarray, colour: ndarray) -> ndarray:
    return picture + coverage * (colour - picture)  # (count, 3, 32, 32)


def _add(rng: Generator, picture: ndarray, figures: Figures, unit: tuple, reach: float) -> ndarray:
    """Lay any one of the figures, in any colour, over each picture."""
    kinds = rng.integers(len(figures), size=len(picture))
    colour = _colour(rng, _between(rng, 0.1, 0.9, len(picture), 1))
    return _lay(picture, _cover(rng, figures, kinds, unit, reach), colour)


def _backdrop(rng: Generator, lightness: ndarray) -> ndarray:
    """Paint two colours that meet or blend, a faint texture, and small pieces of any shape."""
    count = len(lightness)
    halves = _cover(rng, GROUNDS, rng.integers(2, size=count), (1, 1), 8)
    picture = _lay(_colour(rng, lightness), halves, _colour(rng, lightness))
    textured = _add(rng, picture, TEXTURES, (4, 9), 4)
    picture = _lay(picture, _between(rng, 0, 0.5, count, 1, 1, 1), textured)
    for _ in range(4):
        picture = _add(rng, picture, SHAPES, (2, 4), 15)
    return picture


def _paint(rng: Generator, labels: ndarray) -> ndarray:
    """Paint pictures of the labels (count,): uint8 (count, 3, 32, 32)."""
    count = len(labels)
    levels = rng.permuted(np.float32([[0.2, 0.5, 0.8]] * count), axis=1)  # apart, for contrast
    ground, ink, paper = np.split(levels + _between(rng, -0.1, 0.1, count, 3), 3, axis=1)
    texture = _cover(rng, TEXTURES, labels % 2, (4, 6), 3)
    fill = _lay(_colour(rng, paper), texture, _colour(rng, ink))
    picture = _lay(_backdrop(rng, ground), _cover(rng, SHAPES, labels // 2, (7, 12), 6), fill)
    picture = _add(rng, picture, BARS, (2.5, 5.5), 11)
    noise = rng.integers(-128, 128, picture.shape, np.int8) / np.float32(128)
    picture = picture + _between(rng, 0.02, 0.15, count, 1, 1, 1) * noise
    return np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)


def draw(count: int, seed: int) -> tuple[ndarray, ndarray]:
    """Draw pictures of all ten classes, equally often, in random order.

    Parameters
    ----------
    count : how many pictures, at least 1
    seed : the same count and seed give the very same pixels, another seed gives others

    Returns
    -------
    uint8 images (count, 3, 32, 32) and int64 labels (count,), which index `CLASSES`.

    Raises
    ------
    ValueError
        ``count`` is no positive whole number.
    """
    if not isinstance(count, int | np.integer) or count < 1:
        raise ValueError(f"count must be a positive whole number (of pictures), got {count!r}")
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count, dtype=np.int64) % len(CLASSES))
    chunks = np.split(labels, range(CHUNK, count, CHUNK))
    return np.concatenate([_paint(rng, chunk) for chunk in chunks]), labels
