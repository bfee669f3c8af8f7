"""The zoo itself: its networks are alive and the same every time, its copies are copies."""

import copy
import functools

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

import prunekit as pk
from prunekit.network import surgery
from prunekit.network.inputs import flat_outputs, tensors
from tests.zoo import ZOO, call, duplicate, with_duplicates
from tests.zoo.duplicates import pair

# Networks that find_sites cannot take yet, and what happens.

NAMES = list(ZOO)


@functools.cache
def copied(name):
    """The network with copies; tests that change it take a copy of their own."""
    return with_duplicates(ZOO[name])


@torch.no_grad()
def outputs(model, batch):
    return flat_outputs(call(model, batch))


def test_size_and_notes():
    assert len(ZOO) >= 28
    assert all(entry.notes and "\n" not in entry.notes for entry in ZOO.values())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [1, 3])
def test_runs_and_is_alive(name, count):
    entry = ZOO[name]
    batch = entry.inputs(count)
    assert all(len(values) == count for values in tensors(batch).values())
    for output in outputs(entry.make(), batch):
        assert len(output) == count and output.isfinite().all() and output.abs().max() < 100
        assert count == 1 or output.std(0).mean() > 0.01  # samples get different answers


@pytest.mark.parametrize("name", NAMES)
def test_is_the_same_every_time_and_leaves_the_dice_alone(name):
    before = torch.random.get_rng_state()
    one, two = ZOO[name].make(), ZOO[name].make()
    first, second = ZOO[name].inputs(3), ZOO[name].inputs(3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(map(torch.equal, one.state_dict().values(), two.state_dict().values()))
    assert all(map(torch.equal, tensors(first).values(), tensors(second).values()))
    assert all(map(torch.equal, outputs(one, first), outputs(two, second)))


@pytest.mark.parametrize("name", NAMES)
def test_is_in_eval_mode_with_norms_that_do_something(name):
    model = ZOO[name].make()
    assert not any(module.training for module in model.modules())
    for norm in model.modules():
        if isinstance(norm, _BatchNorm):
            for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                assert values.isfinite().all() and values.std() > 1e-3
            assert norm.running_var.min() > 0
    assert all(not p.isnan().any() and p.any() for p in model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_find_sites_takes_it(name):
    entry = ZOO[name]
    model = entry.make()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    sites = pk.find_sites(model, entry.inputs(2))
    assert sites and all(site.channels > 0 for site in sites)
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_copies_are_copies_in_consumer_inputs(name):
    model, sites, copies = copied(name)
    pairs = {site: pair(model, site) for site in copies}
    assert set(copies) == {site for site in sites if site.reason is None}
    taken = []  # (module, indices kept, indices of their copies)
    for site, found in pairs.items():
        kept, gone = {k for k, _ in found}, {c for _, c in found}
        assert copies[site] == sorted(gone) and len(kept | gone) == 2 * len(found)
        assert site.channels < 2 or found
        for cut in site.cuts:
            if cut.side == "in":
                indices = [[i for p in found for i in cut.indices[p[side]]] for side in (0, 1)]
                taken.append((model.get_submodule(cut.module), *indices))
    checked = []

    def compare(module, indices, copied):
        def hook(_, args):
            x = args[0].movedim(1 if isinstance(module, _ConvNd) else -1, 0)
            torch.testing.assert_close(x[indices], x[copied], rtol=1e-4, atol=1e-4)
            assert x.std() > 0
            checked.append(module)

        return hook

    hooks = [module.register_forward_pre_hook(compare(module, *ids)) for module, *ids in taken]
    try:
        outputs(model, ZOO[name].inputs(3))
    finally:
        for hook in hooks:
            hook.remove()
    assert {module for module, *_ in taken} == set(checked)


@torch.no_grad()
def fold(module, kept, gone):
    """What a consumer said to the copies it says to the originals, on top of what it said there."""
    weight = module.weight
    if isinstance(module, _ConvTransposeNd):
        weight.index_add_(0, torch.tensor(kept), weight[gone])
    elif isinstance(module, _ConvNd) and module.groups > 1:
        per_group = module.in_channels // module.groups
        rows = weight.unflatten(0, (module.groups, -1))  # (groups, out, in, *kernel)
        for k, g in zip(kept, gone, strict=True):
            assert k // per_group == g // per_group
            rows[k // per_group, :, k % per_group] += rows[k // per_group, :, g % per_group]
    else:
        weight.index_add_(1, torch.tensor(kept), weight[:, gone])


@pytest.mark.parametrize("name", NAMES)
def test_without_its_copies_a_network_can_say_the_same(name):
    model, _, copies = copied(name)
    batch = ZOO[name].inputs(3)
    wanted = outputs(model, batch)
    model = copy.deepcopy(model)
    for site in copies:
        pairs = pair(model, site)
        for cut in site.cuts:
            if cut.side == "in" and pairs:
                kept, gone = ([i for p in pairs for i in cut.indices[p[s]]] for s in (0, 1))
                fold(model.get_submodule(cut.module), kept, gone)
    before = sum(p.numel() for p in model.parameters())
    surgery.remove(model, {site: ids for site, ids in copies.items() if ids})
    assert not any(copies.values()) or sum(p.numel() for p in model.parameters()) < before
    for got, want in zip(outputs(model, batch), wanted, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


def test_copying_changes_only_half_of_the_channels():
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    before = copy.deepcopy(model)
    sites = pk.find_sites(model, torch.randn(2, 4))
    copies = duplicate(model, sites)
    assert list(copies.values()) == [[2, 3]]  # channel 4 has no partner
    assert torch.equal(model[0].weight[[2, 3]], before[0].weight[[0, 1]])
    assert torch.equal(model[0].bias[[2, 3]], before[0].bias[[0, 1]])
    assert torch.equal(model[0].weight[[0, 1, 4]], before[0].weight[[0, 1, 4]])
    assert torch.equal(model[2].weight, before[2].weight)
