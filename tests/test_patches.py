"""Second moments by way of a gradient, against patches that were cut out."""

import pytest
import torch
from torch import nn

import prunekit as pk
from prunekit.algebra.least_squares import LeastSquares
from prunekit.network import collecting
from prunekit.network.collecting import Collector
from prunekit.network.layers import consumer_inputs, consumer_outputs, outgoing_weights
from prunekit.network.patches import ROUNDING, Patches, are_regular

F32, F64 = torch.float32, torch.float64
LAYERS = {
    "3×3": (nn.Conv2d(4, 5, 3, padding=1), (4, 9, 8)),
    "no padding": (nn.Conv2d(4, 5, 3), (4, 9, 8)),
    "same": (nn.Conv2d(4, 5, (3, 4), padding="same"), (4, 9, 8)),
    "dilated": (nn.Conv2d(4, 5, (2, 5), padding=(0, 3), dilation=(2, 1)), (4, 9, 8)),
    "1-D": (nn.Conv1d(4, 5, 4, padding=2, dilation=2), (4, 19)),
    "3-D": (nn.Conv3d(2, 3, (2, 3, 1), padding=1), (2, 4, 5, 6)),
    "1×1": (nn.Conv2d(6, 5, 1), (6, 9, 8)),
    "small": (nn.Conv2d(3, 5, 3, padding=2), (3, 4, 5)),
}
DICE = torch.Generator().manual_seed(0)


def batches(layer, shape, dtype, scale=1.0, shift=0.0):
    for count in (60, 40):
        x = torch.randn(count, *shape, generator=DICE, dtype=dtype).relu() * scale + shift
        y = layer.to(dtype)(x).detach()
        yield x, y + 0.1 * torch.randn(y.shape, generator=DICE, dtype=dtype) * y.std()


def assert_alike(found, wanted, digits):
    """Entries against the energies of their columns."""
    assert found.count == wanted.count
    spread_x, spread_y = wanted.scatter_xx.diagonal().sqrt(), wanted.scatter_yy.sqrt()
    for name, one, other in (("xx", spread_x, spread_x), ("xy", spread_x, spread_y)):
        error = getattr(found, f"scatter_{name}") - getattr(wanted, f"scatter_{name}")
        assert (error.abs() <= digits * torch.outer(one, other)).all(), name
    assert ((found.scatter_yy - wanted.scatter_yy).abs() <= digits * wanted.scatter_yy).all()
    for mean, spread in (("mean_x", spread_x), ("mean_y", spread_y)):
        error = getattr(found, mean) - getattr(wanted, mean)
        assert (error.abs() <= digits * (spread / wanted.count**0.5)).all(), mean


def cut_out(layer, pairs, group=0, channels=None):
    """The moments of all patches at once, in float64."""
    X = torch.cat([consumer_inputs(layer, x, channels).double() for x, _ in pairs])
    Y = torch.cat([consumer_outputs(layer, y, group).double() for _, y in pairs])
    return pk.Moments().update(X, Y)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("dtype", "digits"), [(F64, 1e-10), (F32, ROUNDING)])
def test_they_are_those_of_all_patches(name, dtype, digits):
    layer, shape = LAYERS[name]
    assert are_regular(layer, shape[1:])
    pairs = list(batches(layer, shape, dtype))
    found = Patches(layer)
    for x, y in pairs:
        found.update(x, y)
    assert_alike(found.moments(), cut_out(layer, pairs), digits)


@pytest.mark.parametrize("shift", [0.0, 30.0])
def test_channels_in_any_units(shift):
    """Each column is right in its own units, and a mean far from zero costs no digits."""
    layer, (channels, *size) = LAYERS["no padding"]
    units = torch.logspace(-6, 6, channels).view(-1, 1, 1)
    x = torch.randn(60, channels, *size, generator=DICE) + shift
    found = Patches(layer)
    found.update(x * units, layer(x).detach())
    wanted = cut_out(layer, [(x * units, layer(x).detach())])
    assert_alike(found.moments(), wanted, ROUNDING * (1 + shift / 10))


def test_images_of_several_sizes_and_merged_parts():
    layer, (channels, *_) = LAYERS["3×3"]
    layer = layer.to(F64)
    pairs = [
        (x, layer(x).detach())
        for x in (
            torch.randn(4, channels, *size, generator=DICE, dtype=F64)
            for size in ((5, 6), (9, 4), (5, 6))
        )
    ]
    found = Patches(layer)
    for x, y in pairs:
        found.update(x, y)
        found.moments()  # looking changes nothing
    assert_alike(found.moments(), cut_out(layer, pairs), 1e-10)


@pytest.mark.parametrize("many", [1, 10**9])
def test_a_collector_takes_groups_and_channels(monkeypatch, many):
    monkeypatch.setattr(collecting, "MANY", many)
    layer = nn.Conv2d(6, 4, 3, padding=1, groups=2)
    x = torch.randn(9, 6, 7, 7, generator=DICE)
    y, ids = layer(x).detach(), torch.tensor([5, 3])
    some = Collector(layer, 1, ids)
    some.update(x, y)
    some.update(x[:0], y[:0])
    assert_alike(some.moments, cut_out(layer, [(x, y)], 1, ids), 3 * ROUNDING)
    assert (some.moments.rounding == ROUNDING) == (many == 1)
    alone = Collector(layer, 1, ids)
    alone.update(x)
    W, b = torch.randn(18, 2, dtype=F64), torch.randn(2, dtype=F64)
    X = consumer_inputs(layer, x, ids).double()
    assert_alike(alone.moments.saying(W, b), pk.Moments().update(X, X @ W + b), 3 * ROUNDING)


def test_a_channel_that_speaks_at_the_border_only():
    """Some taps never hear it: what rounding leaves of them is no reason to fit to."""
    x = torch.randn(100, 4, 8, 8, generator=DICE).relu()
    x[:, 2] = 0.0
    x[:, 2, 0, 0] = 1e-3 * torch.rand(100, generator=DICE)
    layer = nn.Conv2d(4, 3, 3, padding=1)
    found = Patches(layer)
    found.update(x, layer(x).detach())
    problem = LeastSquares.from_moments(found.moments(), *outgoing_weights(layer))
    assert torch.linalg.eigvalsh(problem.gram)[0] > -1e-9 * problem.gram.diagonal().max()
    W = problem.solve(torch.arange(36))
    assert problem.error(W) < 1e-6 * problem.energy.sum()


def test_what_has_no_gradient_to_go_by_is_cut_out():
    plain = {"padding": 1}
    for other in ({"stride": 2}, {"padding_mode": "reflect"}):
        assert not are_regular(nn.Conv2d(3, 3, 3, **(plain | other)), (9, 9))
    assert are_regular(nn.Conv2d(3, 3, 3), (4, 4)) and not are_regular(nn.Conv2d(3, 3, 3), (4, 3))
    assert not are_regular(nn.ConvTranspose2d(3, 3, 3), (9, 9))
    assert not are_regular(nn.Linear(3, 3), ())


def test_twins_among_rounded_moments_share_their_weight():
    """Columns that are the same but for rounding: least squares is no worse for it."""
    x = torch.randn(300, 3, 8, 8, generator=DICE)
    x = torch.cat([x, x[:, :1], torch.zeros_like(x[:, :1])], 1)  # a twin, and a dead channel
    layer = nn.Conv2d(5, 4, 3, padding=1)
    found = Patches(layer)
    found.update(x, layer(x).detach())
    problem = LeastSquares.from_moments(found.moments(), ridge=0.0)
    W = problem.solve(torch.arange(45))
    X, Y = consumer_inputs(layer, x).double(), consumer_outputs(layer, layer(x)).double().detach()
    left = Y - X @ W - problem.bias(W)
    assert left.square().sum() < 1e-8 * (Y - Y.mean(0)).square().sum()
    assert problem.rank == 27
    order = pk.eliminate(found.moments(), 9, ridge=0.0).order.tolist()
    assert set(order[:2]) in ({4, 0}, {4, 3})


def test_a_network_is_pruned_alike_by_both_routes(monkeypatch):
    torch.manual_seed(0)
    convs = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(12, 10, 3), nn.Conv2d(10, 6, 3, stride=2)
    net = nn.Sequential(*(m for conv in convs for m in (conv, nn.ReLU())))
    images, plans, said = torch.randn(100, 3, 16, 16, generator=DICE), [], []
    for many in (1, 10**9):
        monkeypatch.setattr(collecting, "MANY", many)
        result = pk.prune(net, images[:1], images, pruning_ratio=0.5, progress=False)
        plans.append(result.plan)
        said.append(result.model(images))
    assert plans[0] == plans[1]
    torch.testing.assert_close(*said, rtol=0, atol=1e-3 * said[1].abs().max().item())
