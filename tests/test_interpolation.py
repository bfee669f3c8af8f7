"""Curves from few measurements."""

import pytest

from prunekit.pipeline.interpolation import between, spread


def test_few_widths_reach_from_the_first_step_to_the_last():
    keeps = [*range(32, 0, -2), 1]
    assert spread(keeps, 6) == [30, 24, 18, 12, 6, 1]
    assert spread(keeps, len(keeps)) == spread(keeps, 99) == keeps[1:]
    assert spread([3, 2, 1], 6) == [2, 1] and spread([3, 1], 6) == [1] and spread([3], 6) == []


def test_an_exponential_curve_is_met_everywhere():
    measured = {"layer": {keep: 100 * 0.5**keep for keep in (1, 6, 12)}}
    error = between(measured)
    for keep in (1, 2, 5, 6, 9, 12):
        assert error({"layer": keep}) == pytest.approx(100 * 0.5**keep)
    assert error({"layer": 16}) == 0.0


def test_what_costs_nothing_is_no_trouble():
    error = between({"layer": {1: 2.0, 5: 0.0, 9: 0.0}, "whole": {}})
    assert error({"layer": 7}) < 1e-8 < error({"layer": 3}) < 2
    assert error({"whole": 4}) == 0.0
