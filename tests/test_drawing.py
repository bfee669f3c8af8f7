"""shapes32: the same pixels from the same seed, and the figure that the label names is there."""

import numpy as np
import pytest

from prunekit.classroom import drawing


def painted(figures: dict, kind: int, size: float) -> np.ndarray:
    """Coverage (200, 32, 32) by one figure in 200 random frames near the middle."""
    kinds = np.full(200, kind)
    return drawing._cover(np.random.default_rng(0), figures, kinds, (size, size), 2)[:, 0]


def test_images_and_labels_have_the_promised_form():
    images, labels = drawing.draw(250, seed=3)
    assert images.shape == (250, 3, 32, 32) and images.dtype == np.uint8
    assert labels.shape == (250,) and labels.dtype == np.int64
    assert np.bincount(labels).tolist() == [25] * 10
    assert len(set(drawing.CLASSES)) == 10
    assert labels[:20].tolist() != sorted(labels[:20])


@pytest.mark.parametrize("count", [1, 7, drawing.CHUNK + 1])
def test_odd_counts_stay_balanced(count):
    images, labels = drawing.draw(count, seed=0)
    assert len(images) == len(labels) == count
    assert np.ptp(np.bincount(labels, minlength=10)) <= 1


def test_a_seed_fixes_every_pixel():
    images, labels = drawing.draw(150, seed=5)
    again, labels_again = drawing.draw(150, seed=5)
    other, _ = drawing.draw(150, seed=6)
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(labels, labels_again)
    assert (images != other).mean() > 0.9
    assert len(np.unique(images.reshape(150, -1), axis=0)) == 150  # no chunk repeats another


def test_pixels_are_those_the_shipped_weights_were_trained_on():
    images, labels = drawing.draw(100, seed=1)
    assert labels[:10].tolist() == [8, 8, 6, 1, 6, 9, 8, 5, 5, 4]
    np.testing.assert_allclose(images.mean((0, 2, 3)), [122.3, 124.1, 122.6], atol=0.5)
    row = [214, 193, 186, 194, 170, 171, 149, 88]  # red, of the first image
    np.testing.assert_allclose(images[0, 0, 8, 8:16], row, atol=1)


@pytest.mark.parametrize("count", [0, -3, 2.5, "10", None])
def test_a_bad_count_is_refused_in_words(count):
    with pytest.raises(ValueError, match="count must be a positive whole number.*got"):
        drawing.draw(count, seed=0)


@pytest.mark.parametrize(
    ("name", "area"),
    [
        ("disc", np.pi * 0.85**2),
        ("square", 1.5**2),
        ("triangle", 3 * np.sqrt(3) * 0.55**2),
        # a pentagon of inradius r, and on each side s a tip whose angles at the foot are 72°
        ("star", 5 * np.tan(np.pi / 5) * 0.38**2 * (1 + np.tan(np.pi / 5) * np.tan(0.4 * np.pi))),
        ("cross", 2 * 0.68 * 2 - 0.68**2),
    ],
)
def test_shapes_have_the_areas_of_geometry(name, area):
    """Coverage adds up to the area by the school formula, wherever and however it is turned."""
    coverage = painted(drawing.SHAPES, list(drawing.SHAPES).index(name), 10)
    np.testing.assert_allclose(coverage.sum((1, 2)), 100 * area, rtol=0.03)


def test_stripes_have_a_direction_and_dots_have_none():
    """Stripes' gradients share one axis; dots' gradients point everywhere."""
    for kind, (name, low, high) in enumerate([("striped", 0.8, 1), ("dotted", 0, 0.3)]):
        assert list(drawing.TEXTURES)[kind] == name
        dy, dx = np.gradient(painted(drawing.TEXTURES, kind, 6), axis=(1, 2))
        xx, yy, xy = (dx * dx).sum((1, 2)), (dy * dy).sum((1, 2)), (dx * dy).sum((1, 2))
        coherence = np.sqrt((xx - yy) ** 2 + 4 * xy**2) / (xx + yy)  # structure tensor, (200,)
        assert low <= coherence.min() and coherence.max() <= high + 1e-6


def test_labels_say_what_was_painted(monkeypatch):
    """Without clutter, a star that covers nothing changes the images of stars, and no others."""
    _, labels = drawing.draw(100, seed=4)
    star = list(drawing.SHAPES).index("star")
    monkeypatch.setattr(drawing, "_add", lambda rng, picture, *args: picture)
    plain = drawing._paint(np.random.default_rng(0), labels)
    monkeypatch.setitem(drawing.SHAPES, "star", lambda u, v: np.ones_like(u))
    changed = (drawing._paint(np.random.default_rng(0), labels) != plain).any((1, 2, 3))
    np.testing.assert_array_equal(changed, labels // 2 == star)
