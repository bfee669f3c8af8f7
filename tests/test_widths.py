"""What a network would cost at other widths, against what it costs when it is really cut."""

import time
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import prunekit as pk
from prunekit.classroom import models
from prunekit.network import surgery, widths
from prunekit.network.cost import Latency, macs_by_layer, take_turns
from prunekit.network.given import frozen_copy
from prunekit.network.widths import latency_cost, macs_cost, params_cost

from .networks import TwoInputs, chain

IMAGE = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
SMALL = IMAGE[:, :, :8, :8]


class Net(nn.Module):
    """A layer with the name of its network's class, and multiplications outside any layer."""

    def __init__(self):
        super().__init__()
        self.Net, self.last = nn.Linear(6, 5), nn.Linear(5, 2)

    def forward(self, x):
        hidden = torch.relu(self.Net(x))
        return self.last(hidden) + x @ x.new_ones(6, 2)


class Mixing(nn.Module):
    """A product outside any layer, which costs less with fewer channels: no formula knows it."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 5), nn.Linear(5, 2)

    def forward(self, x):  # (images, positions, 6)
        return self.last((x @ x.mT).softmax(2) @ torch.relu(self.first(x)))


NETWORKS = {
    "chain": (chain, SMALL),
    "chain_bias": (lambda: chain(bias=True), SMALL),
    "mlp": (lambda: models.mlp(hidden=(20, 16, 5)), IMAGE[:, :1, :8, :8]),
    "lenet5": (models.lenet5, IMAGE),
    "small_cnn": (models.small_cnn, IMAGE),
    "vgg16": (lambda: models.vgg16(0.125), IMAGE),
    "resnet20": (models.resnet20, IMAGE),
    "mobilenet_v2": (lambda: models.mobilenet_v2(0.25)[:8], IMAGE),  # its first five blocks
    "two_inputs": (TwoInputs, (torch.ones(1, 4), torch.ones(1, 3))),
    "net": (Net, torch.ones(1, 6)),
    "mixing": (Mixing, torch.randn(1, 4, 6)),
}


@cache
def built(name):
    """A network, its example, the sites that can be pruned, and both costs."""
    make, example = NETWORKS[name]
    model = make()
    sites = [site for site in pk.find_sites(model, example) if site.reason is None]
    return model, example, sites, macs_cost(model, example, sites), params_cost(model, sites)


def assert_costs(name, gone):
    """Both costs of what is left when ``gone`` (site → ids) is really cut."""
    model, example, sites, macs, params = built(name)
    keep = {site: site.channels - len(gone[site]) for site in sites}
    cut = frozen_copy(model)
    surgery.remove(cut, gone)
    assert macs(keep) == pk.count_macs(cut, example)
    assert params(keep) == pk.count_params(cut)


@pytest.mark.parametrize("name", NETWORKS)
def test_costs_of_the_full_and_of_the_narrowest_network(name):
    _, _, sites, *_ = built(name)
    assert sites
    assert_costs(name, {site: [] for site in sites})
    assert_costs(name, {site: range(1, site.channels) for site in sites})


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=8)
@given(data=st.data())
def test_costs_of_any_channels_cut(name, data):
    gone = {
        site: data.draw(st.sets(st.integers(0, site.channels - 1), max_size=site.channels - 1))
        for site in built(name)[2]
    }
    assert_costs(name, gone)


def test_a_depthwise_layer_follows_its_channels():
    """By hand: 1×1 to 6 channels, 3×3 depthwise, 1×1 to 4; with c of 6 left on 5×5 pixels."""
    model = nn.Sequential(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 4, 1))
    (site,) = (s for s in pk.find_sites(model, SMALL) if s.reason is None)
    macs, params = macs_cost(model, SMALL, [site]), params_cost(model, [site])
    for c in range(1, 7):
        assert macs({site: c}) == 64 * 3 * c + 36 * 9 * c + 36 * c * 4
        assert params({site: c}) == (3 * c + c) + (9 * c + c) + (4 * c + 4)


@pytest.mark.parametrize("bias", [True, False])
def test_a_refitted_layer_counts_the_bias_that_it_may_get(bias):
    model = nn.Sequential(*(nn.Linear(5, 5, bias=bias) for _ in range(3)))
    sites = [s for s in pk.find_sites(model, torch.ones(1, 5)) if s.reason is None]
    params = params_cost(model, sites, lambda keep: [] if bias else ["1", "2"])
    for a in range(1, 6):
        for b in range(1, 6):
            first = a if bias else 0  # the first layer is not refitted
            assert params(dict(zip(sites, (a, b), strict=True))) == (
                5 * a + first + (a * b + b) + (b * 5 + 5)
            )


def test_macs_by_layer_sum_up():
    for name in ("chain", "resnet20", "two_inputs", "net"):
        model, example, *_ = built(name)
        macs = macs_by_layer(model, example)
        layers = [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        loose = 6 * 2 if name == "net" else 0
        assert sum(macs[layer] for layer in layers) + loose == macs[""]
        assert macs[""] == pk.count_macs(model, example)
    by_hand = {"0": 8 * 3 * 9 * 64, "3": 6 * 8 * 9 * 16, "7": 24 * 10, "9": 40}
    macs = macs_by_layer(chain(), SMALL)
    assert {name: macs[name] for name in by_hand} == by_hand
    assert macs_by_layer(Net(), torch.ones(1, 6))["Net"] == 30


def test_macs_by_layer_of_nested_layers_and_of_a_dense_network():
    model = models.densenet(10, 4)
    macs = macs_by_layer(model, IMAGE)
    layers = [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert sum(macs[layer] for layer in layers) == macs[""] == pk.count_macs(model, IMAGE)
    blocks = macs_by_layer(models.resnet20(), IMAGE)
    assert blocks["layer1.0"] == blocks["layer1.0.conv1"] + blocks["layer1.0.conv2"]
    assert blocks["layer1"] == sum(blocks[f"layer1.{i}"] for i in range(3))


class Sleeper(nn.Module):
    """Takes a tenth of a millisecond for every channel, so that its latency is known."""

    def __init__(self, one=8, two=6):
        super().__init__()
        self.one, self.two = nn.Linear(3, one), nn.Linear(one, two)
        self.last = nn.Linear(two, 2)

    def forward(self, x):
        time.sleep(1e-4 * (len(self.one.weight) + len(self.two.weight)))
        return self.last(torch.relu(self.two(torch.relu(self.one(x)))))


def test_latency_of_full_widths_is_the_measured_one_and_savings_add_up():
    model, example = Sleeper().train(), torch.ones(2, 3)
    sites = [site for site in pk.find_sites(model, example) if site.reason is None]
    one, two = sites
    cost = latency_cost(model, example, {one: [8, 4], two: [6, 3]})
    full = cost({one: 8, two: 6})
    assert full > 0
    both = full - cost({one: 4, two: 3})
    alone = [full - cost({one: 4, two: 6}), full - cost({one: 8, two: 3})]
    assert both == pytest.approx(sum(alone), rel=1e-9)
    assert all(module.training for module in model.modules())


def test_what_narrower_networks_save_is_taken_off(monkeypatch):
    model, example = Sleeper(), torch.ones(2, 3)
    one, two = [site for site in pk.find_sites(model, example) if site.reason is None]
    fast = {((one, 4),): 6.0, ((two, 3),): 9.0}
    monkeypatch.setattr(widths, "measure_latency", lambda *_: Latency(10.0, 10.0, 10.0))
    monkeypatch.setattr(widths, "seconds", lambda *args: fast[tuple(args[-1].items())])
    cost = latency_cost(model, example, {one: [8, 4], two: [6, 3]})
    assert cost({one: 8, two: 6}) == 10 and cost({one: 4, two: 6}) == 6
    assert cost({one: 4, two: 3}) == 10 - 4 - 1


def test_latency_of_nothing_to_try_is_one_measurement():
    model, example = Sleeper(), torch.ones(2, 3)
    sites = [site for site in pk.find_sites(model, example) if site.reason is None]
    cost = latency_cost(model, example, {site: [site.channels] for site in sites})
    assert cost({site: site.channels for site in sites}) == cost(dict.fromkeys(sites, 1)) > 0


class Counting(nn.Module):
    """Notes its name whenever it is called, and whether it was in eval mode, without gradients."""

    def __init__(self, name, calls):
        super().__init__()
        self.name, self.calls, self.inner = name, calls, nn.Linear(3, 2)

    def forward(self, x):
        self.calls.append((self.name, self.training, torch.is_grad_enabled()))
        return self.inner(x)


def test_networks_take_turns_in_eval_mode_and_keep_their_modes():
    calls = []
    a, b = Counting("a", calls).train(), Counting("b", calls).train()
    b.inner.eval()
    times = take_turns((a, b), torch.ones(1, 3), repeats=3, warmup=2)
    assert calls == [("a", False, False), ("b", False, False)] * (
        1 + 2 + 3
    )  # one to see that it runs
    assert len(times) == 2 and all(0 < t.low <= t.median <= t.high for t in times)
    assert a.training and a.inner.training and b.training and not b.inner.training


def test_modes_come_back_after_an_error():
    model = chain().train()
    for measure in (pk.measure_latency, pk.count_macs):
        with pytest.raises((RuntimeError, ValueError), match="to have 3 channels"):
            measure(model, torch.ones(1, 4, 8, 8))
        assert all(module.training for module in model.modules())


def test_bad_examples():
    with pytest.raises(TypeError, match="example_inputs must be"):
        pk.measure_latency(chain(), "image")
    with pytest.raises(TypeError, match="model must be"):
        take_turns(("network",), SMALL)
