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


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((X, W), {}, "give one of remove, ratio and max_error"),
        ((X, W), {"remove": 1, "ratio": 0.5}, "give one of"),
        ((X, W), {"remove": 4}, "0 ≤ remove < 4, one neuron stays; got 4"),
        ((X, W), {"remove": -1}, "0 ≤ remove < 4"),
        ((X, W), {"remove": 1.0}, "must be a whole number"),
        ((X, W), {"remove": True}, "must be a whole number"),
        ((X, W), {"ratio": 1.0}, "0 ≤ r < 1, got 1.0"),
        ((X, W), {"ratio": -0.1}, "0 ≤ r < 1"),
        ((X, W), {"ratio": float("nan")}, "0 ≤ r < 1"),
        ((X, W), {"max_error": -1.0}, "max_error must be 0 or more"),
        ((X, W), {"max_error": float("nan")}, "max_error must be 0 or more"),
        ((X, W), {"max_error": 1e-9}, "met by no merge"),
        ((X, W), {"remove": 1, "score": "size"}, "score must be 'output' or 'behavior'"),
        ((X, W), {"remove": 1, "scale": 2}, "scale must be 'best' or 'one'"),
        ((X, W[:3]), {"remove": 1}, "a row per column of X, 4, got 3"),
        ((X[:, 0], W), {"remove": 1}, "X must be a tensor"),
        ((X, W[0]), {"remove": 1}, "W must be a tensor"),
        ((X * torch.nan, W), {"remove": 1}, "X must be finite"),
        ((X, W * torch.inf), {"remove": 1}, "W must be finite"),
        ((X, W, B[:2]), {"remove": 1}, "bias must have 3 numbers"),
        ((X, W, B * torch.nan), {"remove": 1}, "bias must be finite"),
    ],
)
def test_bad_input(args, kwargs, message):
    with pytest.raises(ValueError, match=message):
        unify(*args, **kwargs)
