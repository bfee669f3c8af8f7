"""What is planned with widths is what the cut network has, over the whole zoo: MACs, parameters."""

import functools

import pytest
import torch

import prunekit as pk
from prunekit.network.widths import macs_cost, params_cost, with_widths

from .networks import chain
from .zoo import ZOO, sites_of, traced


@functools.cache
def costs_of(name):
    """The prunable sites of a network of the zoo, and what its narrowest cut leaves of both."""
    entry = ZOO[name]
    model, inputs = entry.make(), entry.inputs(2)
    sites = [site for site in sites_of(name) if site.reason is None]
    least = with_widths(model, {site: 1 for site in sites})
    whole = pk.count_macs(model, inputs), pk.count_params(model)
    return sites, whole, (pk.count_macs(least, inputs), pk.count_params(least))


@pytest.mark.parametrize("name", list(ZOO))
def test_predicted_costs_are_those_of_cut_networks(name):
    entry, (sites, *_) = ZOO[name], costs_of(name)
    if not sites:
        pytest.skip("nothing can be pruned here")
    model, inputs = entry.make(), entry.inputs(2)
    macs, params = macs_cost(model, inputs, sites), params_cost(model, sites)
    draw = torch.Generator().manual_seed(0)
    for _ in range(3):
        keep = {s: int(torch.randint(1, s.channels + 1, (), generator=draw)) for s in sites}
        cut = with_widths(model, keep)
        assert macs(keep) == pk.count_macs(cut, inputs)
        assert params(keep) == pk.count_params(cut)


@pytest.mark.parametrize("unit", ["macs", "params"])
@pytest.mark.parametrize("name", list(ZOO))
def test_budgets_hold_for_prune_and_for_pro(name, unit):
    entry, (sites, whole, least) = ZOO[name], costs_of(name)
    i = ("macs", "params").index(unit)
    if not sites or least[i] > 0.97 * whole[i]:
        pytest.skip("nothing that counts can be pruned here")
    model, inputs = entry.make(), entry.inputs(4)
    limit = int(0.6 * whole[i] + 0.4 * least[i])
    how = {"method": "l1", "progress": False}
    target = {f"target_{unit}": limit}
    with traced(name):
        result = pk.prune(model, inputs, [inputs], **target, **how)
        ratios = pk.optimize_ratios(model, inputs, [inputs], **target, step=0.4, **how)
        small = pk.prune(model, inputs, [inputs], pruning_ratio=ratios, **how).model
    count = (lambda m: pk.count_macs(m, inputs)) if unit == "macs" else pk.count_params
    assert count(result.model) == getattr(result.report, f"{unit}_after") <= limit
    assert count(small) == ratios.cost <= limit


@pytest.mark.parametrize("repair", ["none", "least_squares", "network", "poem", "own"])
@pytest.mark.parametrize("bias", [True, False])
def test_parameters_are_counted_with_the_biases_that_a_repair_adds(repair, bias):
    model = chain(bias=bias).eval()
    images = torch.randn(60, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    how = {"repair": repair, "progress": False}
    ratios = pk.optimize_ratios(model, images[:1], images, target_params=0.6, **how)
    planned = pk.prune(model, images[:1], images, pruning_ratio=ratios, **how).model
    assert pk.count_params(planned) == ratios.cost <= 0.6 * pk.count_params(model)
    uniform = pk.prune(model, images[:1], images, target_params=0.6, **how).model
    assert pk.count_params(uniform) <= 0.6 * pk.count_params(model)


def test_prune_takes_a_budget_of_seconds():
    model = chain().eval()
    images = torch.randn(60, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    how = {"method": "l1", "progress": False}
    with pytest.raises(ValueError, match=r"target_latency=0\.0001 cannot be reached.*seconds"):
        pk.prune(model, images, images, target_latency=0.0001, **how)
    with pytest.raises(ValueError, match="give one of pruning_ratio, target_macs"):
        pk.prune(model, images, images, target_latency=0.5, target_macs=0.5, **how)
