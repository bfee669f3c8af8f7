"""What a fit leaves, known by second moments only, against the rows themselves."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunekit import Moments
from prunekit.algebra.least_squares import LeastSquares

from .problems import F64, problem


@settings(max_examples=20)
@given(st.integers(1, 4), st.integers(0, 10_000), st.booleans())
def test_errors_are_those_of_the_rows(outputs, seed, centered):
    X, Y, W0, b0 = problem(30, 5, 1, outputs, seed)
    fitted = LeastSquares.from_moments(Moments().update(X, Y), W0, b0, centered=centered)
    W, b, scale = W0 * 0.7, b0 - 0.5, torch.linspace(-2, 3, outputs, dtype=F64)
    best = (Y - X @ W).mean(0) if centered else b0

    def error(bias, scale=1.0):
        return ((Y - X @ W - bias) * scale).square().sum().item()

    assert fitted.error(W) == pytest.approx(error(best), rel=1e-9)
    assert fitted.error(W, scale=scale) == pytest.approx(error(best, scale), rel=1e-9)
    if centered:  # else b⁰ is no choice
        assert fitted.error(W, b) == pytest.approx(error(b), rel=1e-9)
        assert fitted.error(W, b, scale) == pytest.approx(error(b, scale), rel=1e-9)
