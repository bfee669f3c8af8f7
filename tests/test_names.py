"""Names that are patterns, too: a layer called ``a[0]`` or ``*`` is meant by its own name."""

import pytest
import torch
from torch import nn

import prunekit as pk
from prunekit.network.sites import matching

X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
NAMES = ["a[0]", "a0", "*", "?", "[!a]", "a"]


def network():
    torch.manual_seed(0)
    net, width = nn.Sequential(), 4
    for i, name in enumerate(NAMES):
        net.add_module(name, nn.Linear(width, 8 + i))
        net.add_module(f"relu{i}", nn.ReLU())
        width = 8 + i
    net.add_module("out", nn.Linear(width, 2))
    return net


@pytest.mark.parametrize("name", NAMES)
def test_a_name_means_its_own_layer(name):
    options = dict(progress=False, method="l1")
    small = pk.prune(network(), X[:1], X, pruning_ratio={name: 0.5}, **options)
    assert list(small.plan) == [name]
    left = pk.find_sites(network(), X[:1], ignored_layers=[name])
    assert [site.name for site in left if site.reason == "it is in ignored_layers"] == [name] or (
        NAMES.index(name) > 0  # the site before ends there, and is left alone as well
        and {s.name for s in left if "ignored" in (s.reason or "")} == {name, before(name)}
    )


def before(name):
    return NAMES[NAMES.index(name) - 1]


def test_ratios_of_pro_come_back_by_name():
    ratios = pk.optimize_ratios(network(), X[:1], X, target_macs=0.5, method="l1", progress=False)
    small = pk.prune(network(), X[:1], X, method="l1", pruning_ratio=ratios, progress=False)
    kept = {name: len(ids) for name, ids in small.plan.items()}
    assert kept == {n: k for n, k in ratios.widths.items() if k < 8 + NAMES.index(n)}


def test_patterns_mean_what_they_match():
    assert matching("a*", ["a1", "a2", "b"]) == ["a1", "a2"]
    assert matching("*", ["a", "*"]) == ["*"] and matching("*", ["a", "b"]) == ["a", "b"]
    assert matching("a[0]", ["a0"]) == ["a0"] and matching("c", ["a"]) == []
