"""Each baseline's order against its formula in numpy, or a loop that spells it out."""

import functools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Lasso
from torch import nn

import prunekit as pk
from prunekit import baselines
from prunekit.network.layers import consumer_inputs, consumer_outputs
from prunekit.network.reading import statistics_of
from prunekit.network.survey import Survey
from prunekit.pipeline.front_to_back import Options
from prunekit.pipeline.repairs import Repair

from .problems import F64, of

SEEDS = st.integers(0, 10_000)
N = 6


def network(seed=0, relu=True):
    """A convolution of six channels with a batch norm that has seen data, and its consumer."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        *(nn.Conv2d(2, N, 3), nn.BatchNorm2d(N), nn.ReLU() if relu else nn.Identity()),
        *(nn.Conv2d(N, 4, 2, stride=2, padding=1), nn.Flatten(), nn.LazyLinear(3)),
    )
    images = torch.randn(30, 2, 7, 7, dtype=F64)
    model = model.double()
    model(images)
    with torch.no_grad():
        model[1].weight.copy_(torch.randn(N))
        model[1].bias.copy_(torch.rand(N))  # never so low that a channel is dead
    return model.eval(), images


def site_of(seed=0, ridge=0.0, coefficients="kernel", relu=True):
    """The statistics of its one site, the network, and its images."""
    model, images = network(seed, relu)
    site = next(s for s in pk.find_sites(model, images[:1]) if s.name == "0")
    options = Options(None, Repair(), coefficients=coefficients, ridge=ridge)
    batches = list(images.split(13))
    maps = coefficients == "channel"
    survey = Survey(model, site.consumer_inputs, batches, lambda name: maps)
    return statistics_of(site, survey, options), model, images


def order(method, site):
    return method(site).order.tolist()


def ascending(importance):
    return np.argsort(np.asarray(importance), kind="stable").tolist()


@settings(max_examples=8)
@given(SEEDS)
def test_l1_l2_and_fpgm_look_at_filters(seed):
    site, model, _ = site_of(seed)
    filters = model[0].weight.detach().numpy().reshape(N, -1)
    assert order(baselines.l1, site) == ascending(np.abs(filters).sum(1))
    assert order(baselines.l2, site) == ascending(np.sqrt((filters**2).sum(1)))
    far = [sum(np.linalg.norm(f - g) for g in filters) for f in filters]
    assert order(baselines.fpgm, site) == ascending(far)
    assert "moments" not in vars(site), "no image is needed"


def test_random_is_any_order_and_a_seed_gives_it_again():
    site, _, _ = site_of()
    found = {tuple(order(functools.partial(baselines.random, seed=s), site)) for s in range(20)}
    assert len(found) > 10 and all(sorted(ids) == list(range(N)) for ids in found)
    assert order(baselines.random, site) == order(baselines.random, site)


@settings(max_examples=6)
@given(SEEDS, st.booleans())
def test_activation_and_apoz_look_at_what_was_said(seed, relu):
    site, model, images = site_of(seed, relu=relu)
    said = model[:3](images).detach().numpy()
    assert order(baselines.activation, site) == ascending(np.abs(said).mean((0, 2, 3)))
    assert order(baselines.apoz, site) == ascending(-(said == 0).mean((0, 2, 3)))


@settings(max_examples=6)
@given(SEEDS)
def test_taylor_is_autograd_and_finite_differences(seed):
    site, model, images = site_of(seed)
    maps = model[:3](images).detach().requires_grad_()
    labels = model[3:](maps).argmax(1)

    def losses(x):
        return F.cross_entropy(model[3:](x), labels, reduction="none")  # (images,)

    (gradient,) = torch.autograd.grad(losses(maps).sum(), maps)
    importance = (maps * gradient).detach().sum((2, 3)).abs().mean(0)
    assert order(baselines.taylor, site) == ascending(importance)
    assert not model[3]._forward_pre_hooks
    for c in range(N):  # the loss, when one channel says a little more or a little less
        step = torch.zeros(1, N, 1, 1, dtype=F64)
        step[0, c] = 1e-5
        slope = (losses(maps * (1 + step)) - losses(maps * (1 - step))).detach() / 2e-5
        assert slope.abs().mean().item() == pytest.approx(importance[c].item(), rel=1e-5, abs=1e-9)


def shares(model, images):
    """Z_c, what each channel adds to Y, as long vectors (samples·outputs, n), and Y, centred."""
    X = consumer_inputs(model[3], model[:3](images)).detach()
    Y = consumer_outputs(model[3], model[:4](images)).detach()
    W, k = model[3].weight.detach().flatten(1).T, X.shape[1] // N
    parts = [X[:, c * k : c * k + k] @ W[c * k : c * k + k] for c in range(N)]
    Z = torch.stack([(z - z.mean(0)).flatten() for z in parts], 1)
    return Z, (Y - Y.mean(0)).flatten(), X, Y


@settings(max_examples=8)
@given(SEEDS)
def test_thinet_keeps_what_is_gone_small(seed):
    site, model, images = site_of(seed)
    Z, _, _, _ = shares(model, images)
    gone = []
    while left := [c for c in range(N) if c not in gone]:
        gone.append(min(left, key=lambda c: Z[:, [*gone, c]].sum(1).square().sum().item()))
    assert order(baselines.thinet, site) == gone


@settings(max_examples=8)
@given(SEEDS, st.sampled_from(["kernel", "channel"]), st.sampled_from([0.0, 0.3]))
def test_forward_keeps_what_lowers_the_refitted_error_most(seed, coefficients, ridge):
    site, model, images = site_of(seed, ridge, coefficients)
    _, _, X, Y = shares(model, images)
    if coefficients == "channel":  # whole maps are inputs, the taps of a kernel outputs
        X = model[:3](images).detach().transpose(0, 1).flatten(1).T
        Y = X @ model[3].weight.detach().transpose(0, 1).flatten(2).transpose(1, 2).flatten(1)
    k, kept = X.shape[1] // N, []
    X, Y = X - X.mean(0), Y - Y.mean(0)
    scale = Y.square().sum().item()
    root = site.problem.ridge.sqrt().diag()  # √Λ: the ridge is as many rows more, of W = W⁰
    A = torch.cat([X, root])
    B = torch.cat([Y, root @ site.weights])

    def error(channels):
        A_S = A[:, of(channels, k)]
        return (B - A_S @ torch.linalg.pinv(A_S) @ B).square().sum().item()

    for chosen in reversed(order(baselines.forward, site)):
        errors = {c: error([*kept, c]) for c in range(N) if c not in kept}
        assert errors[chosen] == pytest.approx(min(errors.values()), rel=1e-8, abs=1e-8 * scale)
        kept.append(chosen)


@settings(max_examples=8)
@given(SEEDS)
def test_lasso_orders_by_scikit_learns_lasso_at_many_strengths(seed):
    site, model, images = site_of(seed)
    Z, y, _, _ = (v.numpy() for v in shares(model, images))
    found = order(baselines.lasso, site)
    strongest = np.abs(Z.T @ y).max() / len(y)
    seen = set()
    for alpha in strongest * np.geomspace(0.999, 1e-3, 40):
        beta = Lasso(alpha=alpha, fit_intercept=False, tol=1e-10, max_iter=100_000).fit(Z, y).coef_
        seen |= set(np.flatnonzero(np.abs(beta) > 1e-9).tolist())
        if seen:  # all that have come in so far are those that go last
            assert set(found[-len(seen) :]) == seen
    assert len(seen) >= 2


def spread(W, gone, kept, A):
    """W_i ← W_i + Σ_j a_ij W_j, spelled out; W (n, taps·outputs)."""
    new = W.clone()
    for j in gone:
        for i in kept:
            new[i] += A[i][j] * W[j]
        new[j] = 0
    return new


@settings(max_examples=10)
@given(SEEDS, st.integers(1, N - 1), st.sampled_from([0.1, 0.5]))
def test_merging_hands_over_to_the_most_alike_filter(seed, keep, threshold):
    site, model, _ = site_of(seed)
    norm = model[1]
    filters = (
        model[0].weight.detach().flatten(1)
        * (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()[:, None]
    )
    found = functools.partial(baselines.merging, threshold=threshold)(site)
    assert found.order.tolist() == order(baselines.l1, site)
    gone, kept = found.order[: N - keep].tolist(), found.order[N - keep :].tolist()
    A = torch.zeros(N, N, dtype=F64)
    for j in gone:
        cosines = {i: torch.cosine_similarity(filters[i], filters[j], dim=0).item() for i in kept}
        i = max(cosines, key=cosines.get)
        if cosines[i] >= threshold:
            A[i, j] = filters[j].norm() / filters[i].norm()
    W, b = found.weights_at(keep)
    want = spread(site.weights.reshape(N, -1), gone, kept, A).view_as(W)
    torch.testing.assert_close(W, want, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(b, model[3].bias.detach())


@settings(max_examples=10)
@given(SEEDS, st.integers(1, N - 1), st.sampled_from([1e-3, 0.1, 1.0]))
def test_lbyl_rebuilds_filters_by_ridge(seed, keep, strength):
    site, model, _ = site_of(seed)
    with torch.no_grad():  # what norm and filter do to an image: slopes, and where it is zero
        gamma = model[1].weight / (model[1].running_var + model[1].eps).sqrt()
        offset = model[1].bias + gamma * (model[0].bias - model[1].running_mean)
        rows = torch.cat([model[0].weight.flatten(1) * gamma[:, None], offset[:, None]], 1)
    found = functools.partial(baselines.lbyl, strength=strength)(site)
    assert found.order.tolist() == order(baselines.l2, site)
    gone, kept = found.order[: N - keep].tolist(), found.order[N - keep :].sort().values.tolist()
    root = (strength * rows.square().sum(1).mean()).sqrt() * torch.eye(keep, dtype=F64)
    A = torch.zeros(N, N, dtype=F64)
    for j in gone:  # min ‖f_j − Σ a_ij f_i‖² + λ‖a_j‖², rows stacked
        stacked = torch.cat([rows[kept].T, root])
        target = torch.cat([rows[j], torch.zeros(keep, dtype=F64)])[:, None]
        A[kept, j] = torch.linalg.lstsq(stacked, target).solution[:, 0]
    W, b = found.weights_at(keep)
    want = spread(site.weights.reshape(N, -1), gone, kept, A).view_as(W)
    torch.testing.assert_close(W, want, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(b, model[3].bias.detach())


@pytest.mark.parametrize("ridge", [0.0, 1e-5])
@pytest.mark.parametrize("seed", range(4))
def test_dead_and_twin_channels_are_no_trouble(seed, ridge):
    model, images = network(seed)
    with torch.no_grad():
        model[1].weight[0], model[1].bias[0] = 0.0, -1.0  # channel 0 is dead
        for values in (model[0].weight, model[0].bias, *model[1].state_dict().values()):
            if values.ndim:
                values[4] = values[2]  # channel 4 says what channel 2 says
    site = next(s for s in pk.find_sites(model, images[:1]) if s.name == "0")
    options = Options(None, Repair(), ridge=ridge)
    for name in baselines.__all__:
        site_now = statistics_of(site, Survey(model, site.consumer_inputs, [images]), options)
        found = order(getattr(baselines, name), site_now)
        assert sorted(found) == list(range(N)), name
        if name in ("activation", "apoz", "taylor", "thinet"):
            assert found[0] == 0, name
        if name == "forward":  # a dead channel and one twin bring nothing
            assert 0 in found[:2] and {2, 4} & set(found[:2])
        if name == "lasso":
            assert 0 in found[: N // 2]
