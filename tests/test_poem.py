"""POEM's reweighting: never worse behind the ReLU, and what it is made of."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import prunekit as pk
from prunekit.pipeline import fitting
from prunekit.poem import reweighted

from .networks import chain
from .problems import F64, problem, refit

SEEDS = st.integers(0, 10_000)
RIDGES = st.sampled_from([1e-8, 1e-5, 1e-2])


def behind(X, Y, W, b, scale, shift):
    """The error that comes through the ReLU, per output."""
    return ((scale * Y + shift).relu() - (scale * (X @ W + b) + shift).relu()).square().sum(0)


def least_squares(n, gone, outputs, seed):
    """A problem, and its least squares without the first ``gone`` columns."""
    X, Y, _, _ = problem(60, n, 1, outputs, seed, noise=1.0)
    Y = Y - Y.mean(0)  # as often below zero as above
    W = torch.zeros(n, outputs, dtype=F64)
    W[gone:], b, _ = refit(X[:, gone:], Y)
    return X, Y, W, b


@settings(max_examples=40)
@given(st.integers(2, 6), st.integers(1, 4), SEEDS, RIDGES, st.integers(1, 6), st.booleans())
def test_never_worse_behind_the_relu_than_least_squares(n, outputs, seed, ridge, steps, normed):
    X, Y, W, b = least_squares(n, n // 2, outputs, seed)
    g = torch.Generator().manual_seed(seed)
    scale, shift = torch.ones(outputs, dtype=F64), torch.zeros(outputs, dtype=F64)
    if normed:  # the scale of a batch norm may be negative
        scale, shift = torch.randn(2, outputs, generator=g, dtype=F64)
    before = [v.clone() for v in (X, Y, W, b)]
    V, c = reweighted(X, Y, W, b, scale=scale, shift=shift, ridge=ridge, steps=steps)
    after, plain = (behind(X, Y, *fit, scale, shift) for fit in ((V, c), (W, b)))
    assert (after <= plain * (1 + 1e-12)).all()
    assert not V[: n // 2].any()  # what is out stays out
    assert all(torch.equal(x, y) for x, y in zip(before, (X, Y, W, b), strict=True))


def test_it_helps_where_it_can():
    better = 0
    for seed in range(10):
        X, Y, W, b = least_squares(6, 3, 3, seed)
        one, zero = torch.ones(3, dtype=F64), torch.zeros(3, dtype=F64)
        after, before = (behind(X, Y, *f, one, zero) for f in (reweighted(X, Y, W, b), (W, b)))
        better += (after < 0.95 * before).sum().item()
    assert better >= 15


@settings(max_examples=20)
@given(st.integers(2, 6), SEEDS)
def test_plain_least_squares_where_everything_is_positive(n, seed):
    X, Y, W, b = least_squares(n, n // 2, 3, seed)
    Y, b, rough = Y + 100, b + 100, W * 0.9  # the relu does nothing any more
    V, c = reweighted(X, Y, rough, b + 1, ridge=0.0)
    torch.testing.assert_close(V, W, rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(c, b, rtol=1e-7, atol=1e-8)
    again = reweighted(X, Y, W, b)  # and nothing falls any further from there
    torch.testing.assert_close(again, (W, b), rtol=1e-9, atol=1e-9)


@settings(max_examples=30)
@given(st.integers(2, 6), SEEDS, RIDGES, st.integers(1, 3))
def test_each_step_is_one_weighted_least_squares(n, seed, ridge, steps):
    X, Y, W, b = least_squares(n, n // 2, 1, seed)
    A = torch.cat([X[:, n // 2 :], torch.ones(len(X), 1, dtype=F64)], 1)
    start = at = torch.cat([W[n // 2 :], b[None]])
    root = (ridge * A.square().sum(0)).sqrt().diag()

    def error(v):
        return (Y.relu() - (A @ v).relu()).norm()

    for _ in range(steps):
        share = (Y.relu() - (A @ at).relu()) / (Y - A @ at)  # ω, the root of the weight
        rows = torch.cat([A * share, root]), torch.cat([Y * share, root @ start])
        aim = torch.linalg.lstsq(*rows).solution
        paths = [at + share * (aim - at) for share in (1.0, 0.5, 0.25, 0.125)]
        at = next((v for v in paths if error(v) < error(at)), at)
    V, c = reweighted(X, Y, W, b, ridge=ridge, steps=steps)
    torch.testing.assert_close(torch.cat([V[n // 2 :], c[None]]), at, rtol=1e-6, atol=1e-7)


def test_a_sample_that_the_relu_silences_does_not_count():
    # y = 2x fits the two positive answers; the third is silenced, so its error is forgiven
    X, Y = (
        torch.tensor([[1.0], [2.0], [-1.0]]).double(),
        torch.tensor([[2.0], [4.0], [-0.1]]).double(),
    )
    W, b, _ = refit(X, Y)
    V, c = reweighted(X, Y, W, b, ridge=1e-12, steps=20)
    assert (V.item(), c.item()) == pytest.approx((2.0, 0.0), abs=1e-6)
    assert abs(W.item() - 2.0) > 0.1


@pytest.mark.parametrize("ridge", [0.0, 1e-5])
def test_an_output_that_is_always_silent_stays_as_it_is(ridge):
    X, Y, W, b = least_squares(4, 1, 2, 0)
    Y[:, 0] -= 1000
    b = b - torch.tensor([1000.0, 0.0], dtype=F64)
    V, c = reweighted(X, Y, W, b, ridge=ridge)
    assert torch.equal(V[:, 0], W[:, 0]) and c[0] == b[0] and V.isfinite().all()


@pytest.mark.parametrize("ridge", [0.0, 1e-5])
def test_fewer_samples_than_columns_that_count(ridge):
    X, Y, W, b = least_squares(6, 0, 2, 1)
    X, Y = X[:4], Y[:4]
    one, zero = torch.ones(2, dtype=F64), torch.zeros(2, dtype=F64)
    V, c = reweighted(X, Y, W, b, ridge=ridge)
    assert V.isfinite().all() and c.isfinite().all()
    assert (behind(X, Y, V, c, one, zero) <= behind(X, Y, W, b, one, zero)).all()


IMAGES = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=F64)


def pruned(model, **kwargs):
    kwargs = {"repair": "network", "pruning_ratio": {"0": 0.5}, "progress": False} | kwargs
    return pk.prune(model, IMAGES[:1], IMAGES, **kwargs)


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_prune_looks_behind_the_activation(monkeypatch, norm, seed):
    monkeypatch.setattr(fitting, "ROUNDS", 0)  # "network" does so, too, in another way
    torch.manual_seed(seed)
    between = [nn.BatchNorm2d(6)] if norm else []
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), *between, nn.ReLU(), nn.Conv2d(6, 2, 1)
    ).double()
    if norm:
        with torch.no_grad():
            model(IMAGES)
            model[3].weight.copy_(torch.linspace(-1, 2, 6))
            model[3].bias.copy_(torch.linspace(0.5, -0.5, 6))
    model.eval()
    plain, poem = pruned(model), pruned(model, repair="poem")
    assert plain.plan == poem.plan
    with torch.no_grad():
        said, after, before = (m[:-1](IMAGES) for m in (model, poem.model, plain.model))
    assert (said - after).square().sum() < (said - before).square().sum()


def test_without_a_relu_behind_it_is_plain_least_squares(monkeypatch):
    monkeypatch.setattr(fitting, "ROUNDS", 0)
    model = chain().double().eval()
    for ratios in ({"7": 0.5}, {"7": 0.3}):  # the last layer is the network's output
        plain, poem = (
            pruned(model, repair=repair, pruning_ratio=ratios, ridge=1e-5)
            for repair in ("network", "poem")
        )
        torch.testing.assert_close(plain.model(IMAGES), poem.model(IMAGES))


def test_poem_and_coefficients_per_channel_are_refused():
    with pytest.raises(ValueError, match="repair='poem' refines whole kernels"):
        pruned(chain().double(), repair="poem", coefficients="channel")
