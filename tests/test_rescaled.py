"""The same function with its channels in other units: nothing that is found may change.

A channel times 2^e, and its consumers' weights by as much less, is the same network to the last
bit. Methods that look at what channels say or do keep the same ones then; those that look at the
lengths of filters do not, so they are given the channels. Repairs find the same network.
"""

import copy

import pytest
import torch
from torch import nn

import prunekit as pk
from prunekit.pipeline.methods import METHODS, REPAIRS

IMAGES = torch.randn(120, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ROWS = torch.randn(150, 5, generator=torch.Generator().manual_seed(1))
BY_LENGTH = {"l1", "l2", "fpgm", "activation", "merging", "lbyl"}


class Branches(nn.Module):
    """Channels that two layers take."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = nn.Linear(5, 12), nn.Linear(12, 4), nn.Linear(12, 3)

    def forward(self, x):
        x = self.one(x).relu()
        return torch.cat([self.two(x), self.three(x)], 1)


def convolutions(norm=False):
    norms = [nn.BatchNorm2d(10)] if norm else []
    layers = [nn.Conv2d(3, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 10, 3, padding=1), *norms]
    return nn.Sequential(
        *layers, nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(40, 5)
    )


def linear():
    return nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 2))


CASES = {  # network, inputs, the site that is rescaled, its consumers
    "convolutions": (convolutions, IMAGES, "0", ["2"]),
    "with a norm": (lambda: convolutions(norm=True), IMAGES, "0", ["2"]),
    "linear": (linear, ROWS, "0", ["2"]),
    "the second site": (linear, ROWS, "2", ["4"]),
    "two consumers": (Branches, ROWS, "one", ["two", "three"]),
}


@torch.no_grad()
def pair(case, widest=14):
    """A network, and the same with a dead channel too, in other units."""
    make, inputs, name, consumers = CASES[case]
    torch.manual_seed(0)
    net = make().eval()
    site = net.get_submodule(name)
    site.weight[3], site.bias[3] = 0.0, -1.0  # a channel that says nothing
    site.weight[6], site.bias[6] = site.weight[5], site.bias[5]  # and one that says the same
    other, e = copy.deepcopy(net), 2.0 ** torch.randint(-widest, widest + 1, (len(site.bias),))
    scaled = other.get_submodule(name)
    scaled.weight.mul_(e.view(-1, *[1] * (scaled.weight.ndim - 1)))
    scaled.bias.mul_(e)
    for consumer in consumers:
        weight = other.get_submodule(consumer).weight
        weight.div_(e.view(1, -1, *[1] * (weight.ndim - 2)))
    assert torch.equal(net(inputs), other(inputs))
    return net, other, inputs, name


def both(case, **options):
    *networks, inputs, name = pair(case)
    amount = {"pruning_ratio": {name: 0.5}} if "channels" not in options else {}
    options = {"progress": False} | amount | options
    one, two = (pk.prune(net, inputs[:1], inputs, **options) for net in networks)
    assert one.plan == two.plan
    said, other = one.model(inputs), two.model(inputs)
    torch.testing.assert_close(said, other, rtol=1e-4, atol=1e-5 * said.abs().max().item())
    for a, b in zip(one.report.rows, two.report.rows, strict=True):
        assert a.rank == b.rank and (a.error is None) == (b.error is None)
        assert a.error is None or a.error == pytest.approx(b.error, rel=1e-5, abs=1e-9)
    return one


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", [name for name in METHODS if name not in BY_LENGTH])
def test_what_is_kept_does_not_depend_on_units(case, method):
    both(case, method=method)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("coefficients", ["kernel", "channel"])
@pytest.mark.parametrize("repair", ["none", "batchnorm", "least_squares", "network", "poem"])
def test_repairs_do_not_depend_on_units(case, coefficients, repair):
    if REPAIRS[repair].kernels_only and coefficients == "channel":
        pytest.skip("this repair needs whole kernels")
    gone = {CASES[case][2]: [0, 2, 3, 5, 7]}
    both(case, channels=gone, repair=repair, coefficients=coefficients)


@pytest.mark.parametrize("ridge", [0.0, 1e-8, 1e-2, 1.0])
def test_whatever_the_ridge(ridge):
    both("convolutions", ridge=ridge)
    both("linear", ridge=ridge)
    both("linear", ridge=ridge, channels={"0": [0, 2]})  # both of the twins stay


@pytest.mark.parametrize("options", [{"centered": False}, {"asymmetric": False}], ids=str)
def test_whatever_is_fitted(options):
    both("convolutions", **options)


def test_ratios_of_pro_do_not_depend_on_units():
    *networks, inputs, _ = pair("convolutions")
    options = {"target_macs": 0.5, "step": 0.25, "progress": False}
    one, two = (pk.optimize_ratios(net, inputs[:1], inputs, **options) for net in networks)
    assert one == two and one.error == pytest.approx(two.error, rel=1e-4)
