"""Which is smallest: what differs by rounding counts as equal, and the lowest index goes first."""

import torch

from prunekit.algebra.choice import first_smallest, smallest_first

NEARLY = torch.tensor([5.0, 2.0 + 1e-6, 3.0, 2.0, 2.0 - 1e-9], dtype=torch.float64)


def test_near_ties_are_decided_by_index():
    assert int(first_smallest(NEARLY)) == 1
    assert smallest_first(NEARLY).tolist() == [1, 3, 4, 2, 0]


def test_what_differs_by_more_is_no_tie():
    apart = torch.tensor([2.0 + 1e-5, 2.0, 1.0], dtype=torch.float64)
    assert int(first_smallest(apart[:2])) == 1
    assert smallest_first(apart).tolist() == [2, 1, 0]


def test_near_zero_the_scale_decides():
    noise = torch.tensor([3e-10, -1e-10, 1.0], dtype=torch.float64)
    assert int(first_smallest(noise)) == 1 and int(first_smallest(noise, 1.0)) == 0
    assert smallest_first(noise).tolist() == [0, 1, 2]


def test_each_column_has_its_own():
    assert first_smallest(torch.stack([NEARLY, NEARLY.flip(0)], 1)).tolist() == [1, 0]
