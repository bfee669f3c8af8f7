"""Every selection with every repair, and methods of one's own, through prune()."""

import functools

import pytest
import torch
from torch import nn

import prunekit as pk
from prunekit.pipeline.methods import METHODS, REPAIRS
from prunekit.unification import unify_site

from .problems import F64

OWN = {"reap", "unify", "merging", "lbyl"}  # methods that bring weights of their own


def networks():
    torch.manual_seed(0)
    conv = nn.Sequential(
        *(nn.Conv2d(2, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU()),
        *(nn.Conv2d(6, 5, 2, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(20, 3)),
    )
    mlp = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
    images, rows = torch.randn(40, 2, 7, 7), torch.randn(40, 5)
    conv.train()(images)
    return {"conv": (conv.eval(), images), "mlp": (mlp.eval(), rows)}


NETWORKS = networks()


def prune(which, **kwargs):
    model, inputs = NETWORKS[which]
    kwargs = {"pruning_ratio": 0.5, "progress": False} | kwargs
    return pk.prune(model, inputs[:1], inputs, **kwargs)


def gap(which, result):
    model, inputs = NETWORKS[which]
    return (model(inputs) - result.model(inputs)).square().sum().item()


@pytest.mark.parametrize("which", NETWORKS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_with_every_repair(method, which):
    gaps, plans = {}, {}
    for repair in REPAIRS:
        if repair == "own" and method not in OWN:
            with pytest.raises(ValueError, match="own"):
                prune(which, method=method, repair=repair)
            continue
        result = prune(which, method=method, repair=repair)
        assert (result.report.method, result.report.repair) == (method, repair)
        assert result.model(NETWORKS[which][1]).isfinite().all()
        assert result.report.params_after < result.report.params_before
        gaps[repair], plans[repair] = gap(which, result), result.plan
    first = {repair: plan["0"] for repair, plan in plans.items()}
    assert len(set(first.values())) == 1, "what is selected first does not depend on the repair"
    assert gaps["least_squares"] < gaps["none"] and gaps["network"] < gaps["none"]
    if which == "mlp":
        assert gaps["batchnorm"] == gaps["none"], "there is no batch norm"
    default = prune(which, method=method)
    assert default.report.repair == METHODS[method][1]
    assert gap(which, default) == gaps[METHODS[method][1]]


@pytest.mark.parametrize("which", NETWORKS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_with_one_scalar_per_pair(method, which):
    result = prune(which, method=method, coefficients="channel")
    assert result.model(NETWORKS[which][1]).isfinite().all()


def loudest_stay(site):
    loudness = site.moments.gram.diagonal().view(site.channels, -1).sum(1)
    return pk.Elimination(loudness.argsort())


@pytest.mark.parametrize("repair", [None, "none", "least_squares"])
def test_a_function_works_where_a_name_does(repair):
    result = prune("conv", method=loudest_stay, repair=repair)
    model, images = NETWORKS["conv"]
    X = pk.behaviors(model, "0", images).view(40, 5, 5, 6)[:, :4, :4]  # the stride skips an edge
    want = X.square().sum((0, 1, 2)).argsort()[3:].sort().values.tolist()
    assert result.plan["0"] == tuple(want)
    assert result.report.method == "loudest_stay"
    assert result.report.repair == (repair or "network")


def test_functools_partial_sets_options():
    def backwards(site, *, last):
        return pk.Elimination(torch.arange(site.channels).roll(-last))

    result = prune("mlp", method=functools.partial(backwards, last=2))
    assert result.plan["0"] == (0, 1, 6, 7) and result.report.method == "backwards"
    plain, other = (
        prune("mlp", method=functools.partial(unify_site, affine=affine), repair="own")
        for affine in (True, False)
    )
    named = prune("mlp", method="unify")
    inputs = NETWORKS["mlp"][1]
    assert torch.equal(plain.model(inputs), named.model(inputs))
    assert not torch.equal(other.model(inputs), named.model(inputs))


def test_a_method_may_bring_its_own_weights():
    def halved(site):
        def update(kept):
            W = torch.zeros_like(site.weights)
            W[site.columns(kept)] = site.weights[site.columns(kept)] / 2
            return W, site.bias + 1

        return pk.Elimination(torch.arange(site.channels), update=update)

    model, inputs = NETWORKS["mlp"]
    result = prune("mlp", method=halved, repair="own", pruning_ratio={"0": 0.5})
    assert result.plan["0"] == (4, 5, 6, 7)
    torch.testing.assert_close(result.model[2].weight, model[2].weight[:, 4:] / 2)
    torch.testing.assert_close(result.model[2].bias, model[2].bias + 1)


@pytest.mark.parametrize("order", [[0, 1], [0, 0, 1, 2, 3, 4, 5, 6], list(range(1, 9)), None, 3])
def test_an_order_must_hold_every_channel_once(order):
    def wrong(site):
        return pk.Elimination(order if order is None or order == 3 else torch.tensor(order))

    with pytest.raises(ValueError, match="holds each of the 8 channel ids once"):
        prune("mlp", method=wrong)


def test_uncentred_float64_networks_run():
    model, images = NETWORKS["conv"]
    double = torch.nn.Sequential(*[layer for layer in model]).double()
    result = pk.prune(
        double, images[:1].double(), images.double(), pruning_ratio=0.5, progress=False
    )
    assert all(p.dtype == F64 for p in result.model.parameters())
