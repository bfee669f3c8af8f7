"""When Neuro-Unification stops, and what it refuses."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunekit import unify

from .problems import F64, problem

SEEDS = st.integers(0, 10_000)


@settings(max_examples=30)
@given(st.integers(1, 12), SEEDS, st.floats(0, 1, exclude_max=True))
def test_a_ratio_is_a_count(n, seed, ratio):
    X, _, W, b = problem(30, n, seed=seed)
    count = min(n - 1, int(ratio * n + 0.5))
    by_ratio, by_count = unify(X, W, b, ratio=ratio), unify(X, W, b, remove=count)
    assert by_ratio.history == by_count.history and len(by_ratio.kept) == n - count
    assert torch.equal(by_ratio.weights, by_count.weights)


@settings(max_examples=30)
@given(st.integers(2, 8), SEEDS, st.floats(1e-4, 1.0), st.sampled_from(["output", "behavior"]))
def test_a_bound_stops_before_the_first_union_above_it(n, seed, bound, score):
    X, _, W, b = problem(30, n, seed=seed)
    whole = unify(X, W, b, remove=n - 1, score=score).history
    Y = X @ W
    energy = (Y - Y.mean(0)).square().sum().item()
    own = (X - X.mean(0)).square().sum(0)
    shares = [u.error / (energy if score == "output" else own[u.gone].item()) for u in whole]
    count = next((i for i, share in enumerate(shares) if share > bound), n - 1)
    if count:
        found = unify(X, W, b, max_error=bound, score=score)
        assert found.history == whole[:count] and len(found.kept) == n - count
    else:
        with pytest.raises(ValueError, match=r"met by no merge: the smallest error is"):
            unify(X, W, b, max_error=bound, score=score)


def test_a_bound_of_zero_takes_what_is_free():
    X, _, W, _ = problem(30, 4)
    X = torch.cat([X, torch.zeros(30, 2, dtype=F64)], 1)
    found = unify(X, torch.cat([W, W[:2]]), max_error=0.0)
    assert found.kept.tolist() == [0, 1, 2, 3]


X, _, W, B = problem(30, 4)
