"""Two layers with a nonlinearity between: what prune() does to them, by least squares on patches.

The network's output is the second layer's answer Y, so errors can be measured from outside. What
that layer takes is laid out by `torch.nn.functional.unfold`, not by prunekit.
"""

import functools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import prunekit as pk
from prunekit.unification import unify_site

from .problems import F64, of, refit

CONSUMERS = st.fixed_dictionaries(
    {
        "kernel_size": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "stride": st.integers(1, 2),
        "padding": st.integers(0, 2),
        "dilation": st.integers(1, 2),
        "bias": st.booleans(),
    }
)
SEEDS = st.integers(0, 10_000)


def two_layers(seed, consumer, depthwise=False, dtype=F64, channels=5):
    """A convolution of 5 channels and its consumer, maybe a depthwise one between."""
    torch.manual_seed(seed)
    between = (nn.Conv2d(channels, channels, 3, groups=channels), nn.ReLU()) if depthwise else ()
    model = nn.Sequential(
        nn.Conv2d(2, channels, 3), nn.ReLU(), *between, nn.Conv2d(channels, 3, **consumer)
    )
    images = torch.randn(24, 2, 10, 9, dtype=dtype)
    return model.to(dtype).eval(), images


def prune(model, images, **kwargs):
    kwargs = {"pruning_ratio": 0.4, "progress": False, "ridge": 0.0} | kwargs
    return pk.prune(model, images[:1], images, **kwargs)


def gap(model, result, images):
    with torch.no_grad():
        return (model(images).double() - result.model(images).double()).square().sum().item()


@torch.no_grad()
def patches(model, images):
    """X of the last layer, column by column as `unfold` gives them, and Y."""
    layer = model[-1]
    settings = {name: getattr(layer, name) for name in ("stride", "padding", "dilation")}
    inputs = F.unfold(model[:-1](images), layer.kernel_size, **settings)
    return inputs.transpose(1, 2).flatten(0, 1).double(), model(images).transpose(0, 1).flatten(
        1
    ).T.double()


def fixed_order(site):
    return pk.Elimination(torch.arange(site.channels))


@settings(max_examples=12)
@given(CONSUMERS, SEEDS, st.booleans(), st.sampled_from([torch.float32, F64]))
def test_reap_leaves_the_error_of_lstsq_on_patches(consumer, seed, depthwise, dtype):
    model, images = two_layers(seed, consumer, depthwise, dtype)
    result = prune(model, images, repair="least_squares")
    X, Y = patches(model, images)
    kept = result.plan["0"]
    k = X.shape[1] // 5
    want = refit(X[:, of(kept, k)], Y)[2]
    assert len(kept) == 3
    accuracy = 1e-8 if dtype == F64 else 1e-2
    assert gap(model, result, images) == pytest.approx(want, rel=accuracy, abs=1e-6)
    whole = (Y - Y.mean(0)).square().sum().item()
    assert result.report.rows[0].error == pytest.approx(want / whole, rel=1e-6, abs=1e-8)


@settings(max_examples=12)
@given(CONSUMERS, SEEDS, st.booleans(), st.booleans())
def test_identity_6_kernel_is_never_worse_than_channel_or_unification(
    consumer, seed, depthwise, affine
):
    model, images = two_layers(seed, consumer, depthwise)
    unified = prune(
        model, images, method=functools.partial(unify_site, affine=affine), repair="own"
    )
    gone = [i for i in range(5) if i not in unified.plan["0"]]

    def same(_site):  # the set that unification kept, whatever the repair
        return pk.Elimination(torch.tensor([*gone, *unified.plan["0"]]))

    kernel, channel = (
        prune(model, images, method=same, repair="least_squares", coefficients=how)
        for how in ("kernel", "channel")
    )
    assert kernel.plan == channel.plan == unified.plan
    kernel, channel, unified = (gap(model, r, images) for r in (kernel, channel, unified))
    assert kernel <= channel * (1 + 1e-9) and kernel <= unified * (1 + 1e-9)
    if consumer["kernel_size"] == (1, 1):
        assert channel <= unified * (1 + 1e-9)


@settings(max_examples=10)
@given(st.integers(1, 3), st.integers(0, 2), SEEDS, st.booleans())
def test_identity_3_channel_is_kernel_for_1x1(stride, padding, seed, centered):
    consumer = {"kernel_size": 1, "stride": stride, "padding": padding}
    model, images = two_layers(seed, consumer)
    kernel, channel = (
        prune(model, images, coefficients=how, centered=centered) for how in ("kernel", "channel")
    )
    assert kernel.plan == channel.plan
    torch.testing.assert_close(kernel.model(images), channel.model(images), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", ["reap", "unify", "lasso"])
def test_identity_3_channel_is_kernel_for_fully_connected(method):
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
    x = torch.randn(60, 4, dtype=F64)
    kernel, channel = (
        prune(model.double(), x, method=method, coefficients=how) for how in ("kernel", "channel")
    )
    assert kernel.plan == channel.plan
    torch.testing.assert_close(kernel.model(x), channel.model(x), rtol=1e-9, atol=1e-9)


@settings(max_examples=10)
@given(CONSUMERS.filter(lambda consumer: consumer["kernel_size"] != (1, 1)), SEEDS)
def test_channel_coefficients_are_one_scalar_per_pair_of_maps(consumer, seed):
    model, images = two_layers(seed, consumer)
    result = prune(
        model, images, method=fixed_order, repair="least_squares", coefficients="channel"
    )
    maps = model[:-1](images).transpose(0, 1).flatten(1).T  # (samples, channels)
    A, offset, _ = refit(maps[:, 2:], maps[:, :2])  # (3, 2): x_j ≈ Σ a_ij x_i + c_j
    W = model[-1].weight  # (outputs, channels, k, k)
    new = W[:, 2:] + torch.einsum("ij,ojkl->oikl", A, W[:, :2])
    torch.testing.assert_close(result.model[-1].weight, new, rtol=1e-8, atol=1e-9)
    b = torch.einsum("j,ojkl->o", offset, W[:, :2]) + (
        0 if model[-1].bias is None else model[-1].bias
    )
    torch.testing.assert_close(result.model[-1].bias, b, rtol=1e-8, atol=1e-8)


@settings(max_examples=10)
@given(CONSUMERS, SEEDS, st.booleans(), st.sampled_from(["reap", "unify"]))
def test_identity_5_a_duplicated_channel_goes_at_no_cost(consumer, seed, depthwise, method):
    model, images = two_layers(seed, consumer, depthwise)
    with torch.no_grad():
        for layer in model[:-1]:
            if isinstance(layer, nn.Conv2d):
                layer.weight[3], layer.bias[3] = layer.weight[1], layer.bias[1]
    result = prune(model, images, method=method, pruning_ratio=0.2)
    (gone,) = set(range(5)) - set(result.plan["0"])
    said = pk.behaviors(model, "0", images)
    assert gone in (1, 3) or said[:, gone].std() < 1e-9, "neither a twin nor constant"
    torch.testing.assert_close(result.model(images), model(images), rtol=1e-7, atol=1e-7)


@settings(max_examples=10)
@given(CONSUMERS, SEEDS, st.booleans())
def test_unify_scales_whole_kernels_by_what_the_patches_say(consumer, seed, affine):
    model, images = two_layers(seed, consumer)
    method = functools.partial(unify_site, affine=affine)
    result = prune(model, images, method=method, repair="own", pruning_ratio=0.2)
    X, Y = patches(model, images)
    taps = X.shape[1] // 5
    X, W = X.view(len(X), 5, taps), model[-1].weight.flatten(2)  # (outputs, channels, taps)
    mean = X.mean(0, keepdim=True) if affine else 0
    errors = {}
    for i in range(5):
        for j in set(range(5)) - {i}:
            x_i, x_j = (X - mean)[:, i], (X - mean)[:, j]
            a = (x_i * x_j).sum() / x_i.square().sum()
            left = (x_j - a * x_i).square().sum() * W[:, j].square().sum()
            errors[left.item()] = (i, j, a)
    i, j, a = errors[min(errors)]
    kept = [c for c in range(5) if c != j]
    assert result.plan["0"] == tuple(kept)
    new = W.clone()
    new[:, i] += a * W[:, j]
    torch.testing.assert_close(
        result.model[-1].weight.flatten(2), new[:, kept], rtol=1e-8, atol=1e-9
    )
    if affine:  # the mean error of every output is gone
        torch.testing.assert_close(
            (result.model(images) - model(images)).mean((0, 2, 3)),
            torch.zeros(3, dtype=F64),
            rtol=0,
            atol=1e-9,
        )


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("remove", [1, 4])
def test_unify_by_hand_on_a_network_of_two_hidden_layers(affine, remove):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.randn(50, 4, dtype=F64)
    method = functools.partial(unify_site, affine=affine)
    result = prune(model.double(), x, method=method, repair="own", pruning_ratio=remove / 8)
    inputs = model[:2](x)
    first = pk.unify(inputs, model[2].weight.T, model[2].bias, remove=remove, affine=affine)
    inputs = (inputs @ first.weights + first.bias).relu()
    second = pk.unify(inputs, model[4].weight.T, model[4].bias, remove=remove, affine=affine)
    assert result.plan["0"] == tuple(first.kept.tolist())
    assert result.plan["2"] == tuple(second.kept.tolist())
    torch.testing.assert_close(result.model(x), inputs @ second.weights + second.bias)
