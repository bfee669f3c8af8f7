"""A layer read as least squares: consumer_inputs(X) @ W + b is what the layer answers."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from prunekit.network.layers import (
    by_channel,
    consumer_inputs,
    consumer_outputs,
    is_plain,
    outgoing_weights,
    set_outgoing_weights,
)

from .problems import F64

PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))
CONVOLUTIONS = st.fixed_dictionaries(
    {
        "kernel_size": PAIRS,
        "stride": PAIRS,
        "padding": st.one_of(st.tuples(st.integers(0, 3), st.integers(0, 3)), st.just("valid")),
        "dilation": PAIRS,
        "bias": st.booleans(),
        "padding_mode": st.sampled_from(["zeros", "reflect", "replicate", "circular"]),
    }
)
SAME = st.fixed_dictionaries(
    {"kernel_size": PAIRS, "dilation": PAIRS, "padding": st.just("same"), "bias": st.booleans()}
)
TRANSPOSED = st.fixed_dictionaries(
    {
        "kernel_size": PAIRS,
        "stride": PAIRS,
        "padding": st.tuples(st.integers(0, 1), st.integers(0, 1)),
        "output_padding": st.tuples(st.integers(0, 2), st.integers(0, 2)),
        "dilation": PAIRS,
        "groups": st.integers(1, 2),
        "bias": st.booleans(),
    }
).filter(
    lambda how: all(
        more < max(stride, dilation)
        for more, stride, dilation in zip(
            how["output_padding"], how["stride"], how["dilation"], strict=True
        )
    )
)
SEEDS = st.integers(0, 10_000)
TYPES = st.sampled_from([torch.float32, F64])


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@settings(max_examples=80)
@given(st.one_of(CONVOLUTIONS, SAME), st.integers(1, 4), SEEDS, TYPES)
def test_what_a_convolution_hears_and_answers(kwargs, channels, seed, dtype):
    torch.manual_seed(seed)
    layer = nn.Conv2d(channels, 5, **kwargs).to(dtype)
    x = torch.randn(2, channels, 11, 8, dtype=dtype)
    W, b = outgoing_weights(layer)
    X, Y = consumer_inputs(layer, x), consumer_outputs(layer, layer(x))
    assert W.dtype == b.dtype == F64 and X.dtype == dtype
    accuracy = 1e-9 if dtype == F64 else 1e-4
    torch.testing.assert_close(X.double() @ W + b, Y.double(), rtol=accuracy, atol=accuracy)
    if kwargs["padding"] not in ("same", "valid") and kwargs.get("padding_mode") == "zeros":
        sizes = {name: kwargs[name] for name in ("kernel_size", "padding", "stride", "dilation")}
        assert torch.equal(X, F.unfold(x, **sizes).transpose(1, 2).flatten(0, 1))


@settings(max_examples=60)
@given(TRANSPOSED, st.integers(1, 2), SEEDS)
def test_what_a_transposed_convolution_hears_and_answers(kwargs, size, seed):
    torch.manual_seed(seed)
    groups = kwargs["groups"]
    layer = nn.ConvTranspose2d(size * groups, 3 * groups, **kwargs).double()
    other = copy.deepcopy(layer)
    nn.init.zeros_(other.weight)
    x = torch.randn(2, size * groups, 5, 4, dtype=F64)
    for group in range(groups):
        W, b = outgoing_weights(layer, group)
        mine = torch.arange(group * size, group * size + size)
        X, Y = consumer_inputs(layer, x, mine), consumer_outputs(layer, layer(x), group)
        torch.testing.assert_close(X @ W + b, Y, rtol=1e-9, atol=1e-9)
        set_outgoing_weights(other, W, b, group)
    assert torch.equal(other.weight, layer.weight)


@settings(max_examples=20)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), SEEDS, TYPES, st.booleans())
def test_what_a_linear_layer_hears_and_answers(batch, seed, dtype, bias):
    torch.manual_seed(seed)
    layer, x = nn.Linear(4, 5, bias=bias).to(dtype), torch.randn(*batch, 4, dtype=dtype)
    W, b = outgoing_weights(layer)
    got = consumer_inputs(layer, x).double() @ W + b
    torch.testing.assert_close(
        got, consumer_outputs(layer, layer(x)).double(), rtol=1e-5, atol=1e-6
    )
    assert bias or not b.any()


@settings(max_examples=20)
@given(PAIRS, SEEDS, TYPES, st.booleans(), st.booleans())
def test_weights_written_are_weights_read(kernel, seed, dtype, bias, zero):
    torch.manual_seed(seed)
    layer = nn.Conv2d(3, 4, kernel, bias=bias).to(dtype)
    W = torch.randn(3 * kernel[0] * kernel[1], 4, dtype=F64)
    b = torch.zeros(4, dtype=F64) if zero else torch.randn(4, dtype=F64)
    set_outgoing_weights(layer, W, b)
    got_W, got_b = outgoing_weights(layer)
    torch.testing.assert_close(got_W, W.to(dtype).double(), rtol=0, atol=0)
    torch.testing.assert_close(got_b, b.to(dtype).double(), rtol=0, atol=0)
    assert (layer.bias is None) == (not bias and zero)
    assert layer.weight.dtype == dtype
    layer(torch.zeros(1, 3, 5, 5, dtype=dtype))


def test_features_behind_a_flatten_belong_to_their_channels():
    maps = torch.randn(2, 3, 4, 5)
    features, channels = torch.arange(60).view(3, 20), torch.arange(3)[:, None]
    assert torch.equal(by_channel(nn.Linear(60, 2), maps.flatten(1), features), maps.flatten(2))
    assert torch.equal(by_channel(nn.Conv2d(3, 2, 1), maps, channels), maps.flatten(2))


@pytest.mark.parametrize("kernel", [1, 3])
def test_columns_come_channel_by_channel(kernel):
    layer, x = nn.Conv2d(3, 2, kernel, padding=1), torch.randn(2, 3, 6, 6)
    silent = x.clone()
    silent[:, 1] = 0
    X, without = consumer_inputs(layer, x), consumer_inputs(layer, silent)
    mine = torch.arange(3 * kernel**2) // kernel**2 == 1
    assert not without[:, mine].any() and torch.equal(without[:, ~mine], X[:, ~mine])


class Shifted(nn.Conv2d):
    """Pads on the left and above only."""

    def forward(self, x):
        return super().forward(F.pad(x, (2, 0, 1, 0)))


class Standardised(nn.Conv2d):
    def forward(self, x):
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(x, (self.weight - mean) / self.weight.std(), self.bias)


class Deaf(nn.Linear):
    """Says that it has a bias, and does not use it."""

    def forward(self, x):
        return x @ self.weight.T


class Louder(nn.Linear):
    def forward(self, x):
        return super().forward(2 * x)


class Same(nn.Linear):
    def forward(self, x):
        return super().forward(x)


@pytest.mark.parametrize("how", [{}, {"stride": 2, "dilation": 2}, {"groups": 3, "bias": False}])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_rows_of_a_layer_that_pads_in_its_own_way(how, dtype):
    """Its X is the unfolded padded image, group by group."""
    layer, images = Shifted(6, 9, 3, **how).to(dtype), torch.randn(4, 6, 9, 8, dtype=dtype)
    assert is_plain(layer)
    said, d = layer(images), layer.dilation
    unfolded = F.unfold(F.pad(images, (2, 0, 1, 0)), 3, dilation=d, stride=layer.stride)
    for group, mine in enumerate(torch.arange(6).chunk(layer.groups)):
        X = consumer_inputs(layer, images, mine)
        want = unfolded.unflatten(1, (6, 9))[:, mine].flatten(1, 2).transpose(1, 2).flatten(0, 1)
        torch.testing.assert_close(X, want)
        W, b = outgoing_weights(layer, group)
        torch.testing.assert_close(
            (X.double() @ W + b).to(dtype), consumer_outputs(layer, said, group)
        )


@pytest.mark.parametrize(
    ("layer", "plain"),
    [
        (Standardised(4, 5, 3), False),
        (Deaf(4, 5), False),
        (Louder(4, 5), False),
        (Same(4, 5), True),
    ],
)
def test_which_forwards_are_xw_plus_b(layer, plain):
    before = copy.deepcopy(layer.state_dict())
    assert is_plain(layer) is plain
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())
