"""optimize_ratios() against networks that are really cut, one by one."""

import copy
import json
from functools import cache
from itertools import product

import pytest
import torch
from torch.distributions import Categorical, kl_divergence

import prunekit as pk
from prunekit import pro

from .networks import TwoInputs, chain
from .test_pipeline import assert_untouched, snapshot

IMAGES = torch.randn(50, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ONE = IMAGES[:1]
CHANNELS = {"0": 8, "3": 6, "7": 10}
QUARTER = {"0": [6, 4, 2, 1], "3": [4, 2, 1], "7": [7, 4, 1]}  # the levels below, at step 1/4


def model(**kwargs):
    """A network whose batch norm and outputs are not too tame."""
    net = chain(seed=5, **kwargs).eval()
    net[1].running_var.data = torch.linspace(0.3, 2.0, 8)
    net[9].weight.data *= 3
    return net


def optimize(net, inputs=IMAGES, **kwargs):
    kwargs.setdefault("step", 1 / 4)
    return pk.optimize_ratios(net, inputs[:1], inputs, progress=False, **kwargs)


def cut(net, keep, **kwargs):
    """The network that really has these widths."""
    ratios = {name: 1 - k / CHANNELS[name] for name, k in keep.items()}
    return pk.prune(net, ONE, IMAGES, pruning_ratio=ratios, progress=False, **kwargs)


def distance(small, net, images=IMAGES):
    """D by hand: mean over inputs of ‖z − z₀‖²."""
    with torch.no_grad():
        return (small(images).double() - net(images).double()).square().sum(1).mean().item()


def quietest_first(site):
    loudness = site.moments.gram.diagonal().view(site.channels, -1).sum(1)
    return pk.Elimination(loudness.argsort())


METHODS = [
    {"method": "reap", "repair": "least_squares"},
    {"method": "reap", "repair": "least_squares", "coefficients": "channel"},
    {"method": "reap", "repair": "none"},
    {"method": "unify"},
    {"method": "l1", "repair": "none"},
    {"method": "l1", "repair": "batchnorm"},
    {"method": "l1", "repair": "least_squares", "ridge": 0.01},
    {"method": "lasso"},
    {"method": "merging"},
    {"method": quietest_first, "repair": "least_squares"},
]


def named(how):
    return "-".join(getattr(value, "__name__", str(value)) for value in how.values())


@pytest.mark.parametrize("how", METHODS, ids=named)
def test_curves_are_distances_of_networks_really_cut(how):
    net = model()
    ratios = optimize(net, target_macs=0.5, **how)
    assert {name: list(curve) for name, curve in ratios.curves.items()} == QUARTER
    for name, curve in ratios.curves.items():
        for keep in QUARTER[name][::2]:
            small = cut(net, {name: keep}, **how).model
            assert curve[keep] == pytest.approx(distance(small, net), rel=1e-3)
    result = pk.prune(net, ONE, IMAGES, pruning_ratio=ratios, progress=False, **how)
    assert result.report.macs_after == ratios.cost <= 0.5 * ratios.full_cost
    assert ratios.full_cost == pk.count_macs(net, ONE)
    rows = {row.name: row.channels_after for row in result.report.rows if row.reason is None}
    assert rows == ratios.widths


def test_network_repair_is_tried_as_least_squares_of_the_consumer():
    net = model()
    first, second = (optimize(net, target_macs=0.5, repair=r) for r in (None, "least_squares"))
    assert first == second and first.curves == second.curves and first.error == second.error


@pytest.mark.parametrize("method", ["l1", "fpgm"])
def test_distance_of_all_together_without_repair(method):
    net = model(bias=True)
    ratios = optimize(net, target_macs=0.4, method=method)
    small = cut(net, ratios.widths, method=method).model
    assert ratios.error == pytest.approx(distance(small, net), rel=1e-3)


def test_distance_of_all_together_with_weights_that_were_fitted_one_by_one():
    """Each site cut alone by hand; the refitted consumers put together in one network."""
    net = model(bias=True)
    ratios = optimize(net, target_macs=0.1)
    assert all(ratios.values()), "every site is pruned"
    together = copy.deepcopy(net)
    for name, consumer in (("0", 3), ("3", 7), ("7", 9)):
        one = cut(net, {name: ratios.widths[name]}, repair="least_squares")
        size = net[int(name)].weight.shape[0]
        weight = together[consumer].weight.data.unflatten(1, (size, -1)).zero_()
        kept = torch.tensor(one.plan[name])
        weight[:, kept] = one.model[consumer].weight.data.unflatten(1, (len(kept), -1))
        together[consumer].bias.data = one.model[consumer].bias.data
    assert ratios.error == pytest.approx(distance(together, net), rel=1e-3)


@cache
def every_pair():
    """MACs and D of every pair of widths of two sites, each network really cut."""
    net, found = model(bias=True), {}
    for pair in product([8, *QUARTER["0"]], [6, *QUARTER["3"]]):
        if pair != (8, 6):
            small = cut(net, dict(zip("03", pair, strict=True)), method="l1").model
            found[pair] = pk.count_macs(small, ONE), distance(small, net)
    return found


@pytest.mark.parametrize("target", [0.8, 0.5, 0.3])
def test_two_sites_equal_brute_force_where_exchange_looks_at_every_pair(target):
    """Identity 9, on D that is measured in networks really cut."""
    net = model(bias=True)
    options = {"form": "greedy", "ignored_layers": ["9"], "method": "l1"}
    ratios, budget = optimize(net, target_macs=target, **options), target * pk.count_macs(net, ONE)
    table = every_pair() | {(8, 6): (pk.count_macs(net, ONE), 0.0)}
    levels = {"0": [8, *QUARTER["0"]], "3": [6, *QUARTER["3"]]}
    macs, error = (lambda w, i=i: table[w["0"], w["3"]][i] for i in (0, 1))
    start, _ = pro.greedy(levels, error, macs, budget=budget)
    assert start == {name: ratios.widths[name] for name in levels}
    assert ratios.error == pytest.approx(error(start), rel=1e-3)
    best = pro.exchange(start, levels, error, macs, budget)
    assert error(best) == min(e for cost, e in table.values() if cost <= budget)


def test_first_steps_of_greedy_are_those_of_curves():
    net = model()
    greedy, curves = (optimize(net, target_macs=0.6, form=form) for form in ("greedy", "curves"))
    for name, levels in QUARTER.items():
        assert list(greedy.curves[name])[0] == levels[0]
        for keep, value in greedy.curves[name].items():
            assert value == curves.curves[name][keep]
    at = dict(CHANNELS)
    for decision in greedy.trace:
        at[decision.layer] = decision.keep
    assert at == greedy.widths and greedy.trace[-1].error == greedy.error


def test_kl_is_that_of_torch():
    net = model()
    ratios = optimize(net, target_macs=0.5, method="l1", criterion="kl", probes=33)
    small = cut(net, ratios.widths, method="l1").model
    with torch.no_grad():
        p0, p = (Categorical(logits=n(IMAGES[:33]).double()) for n in (net, small))
    assert ratios.error == pytest.approx(kl_divergence(p0, p).mean().item(), rel=1e-3)


def test_probes_are_the_first_inputs_of_uneven_batches():
    net = model()
    loader = [(IMAGES[:20], torch.zeros(20)), (IMAGES[20:24], torch.zeros(4)), (IMAGES[24:], 0)]
    ratios = pk.optimize_ratios(
        net, ONE, loader, target_macs=0.5, method="l1", probes=23, step=1 / 4, progress=False
    )
    small = cut(net, ratios.widths, method="l1").model
    assert ratios.error == pytest.approx(distance(small, net, IMAGES[:23]), rel=1e-3)


def test_several_inputs_by_place_and_by_name():
    net, a, b = TwoInputs().eval(), torch.randn(30, 4), torch.randn(30, 3)
    options = {"target_macs": 0.8, "method": "random", "probes": 11, "step": 0.25}
    options["progress"] = False
    first = pk.optimize_ratios(net, (a[:1], b[:1]), [(a, b)], **options)
    again = pk.optimize_ratios(net, {"b": b[:1], "a": a[:1]}, [{"a": a, "b": b}], **options)
    assert first == again and first.error == again.error
    small = pk.prune(
        net, (a[:1], b[:1]), [(a, b)], pruning_ratio=first, method="random", progress=False
    ).model
    with torch.no_grad():
        gaps = (small(a[:11], b[:11]) - net(a[:11], b[:11])).square().sum(1)
    assert first.error == pytest.approx(gaps.mean().item(), rel=1e-3)


def test_the_same_twice_and_nothing_of_the_users_changes():
    net = model().train()
    net[1].eval()
    net[3].weight.requires_grad_(False)
    before = snapshot(net)
    first, again = optimize(net, target_macs=0.5), optimize(net, target_macs=0.5)
    assert first == again and first.curves == again.curves and first.trace == again.trace
    assert first.error == again.error
    assert_untouched(net, before)


def test_what_it_prints():
    ratios = optimize(model(), target_macs=0.5, method="l1")
    text = str(ratios)
    for name, keep in ratios.widths.items():
        line = next(line for line in text.splitlines() if line.startswith(name + " "))
        assert f"{CHANNELS[name]} → {keep}" in line and f"{ratios[name]:.2f}" in line
        if keep < CHANNELS[name]:
            assert f"{ratios.curves[name][keep]:.3g}" in line
    last = text.splitlines()[-1]
    kept = ratios.cost / ratios.full_cost
    assert last == f"{kept:.3f} of the MACs kept, D together {ratios.error:.3g}"
    assert json.loads(json.dumps(ratios)) == dict(ratios)
