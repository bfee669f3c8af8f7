"""Every network of the zoo, pruned: it runs, costs what the report says, copies cost nothing."""

import functools
import subprocess
import sys
from contextlib import nullcontext

import pytest
import torch

import prunekit as pk
from prunekit.network.inputs import flat_outputs
from tests.zoo import ZOO, call, duplicate, sites_of, traced

pytestmark = pytest.mark.filterwarnings("ignore:.* calibration samples are too few")

# no channels to prune, and why
NOTHING = {
    "shufflenet_v1": "the only free channels are residual streams",
    "tied_autoencoder": "a weight is used twice",
}
NAMES = [name for name in ZOO if name not in NOTHING]

# Those that have other sites with the residual streams.
RESIDUAL = [
    *("resnet_basic", "resnet_bottleneck", "resnext", "resnet_preactivation", "senet_linear"),
    *("senet_conv", "efficientnet", "mobilenet_v2", "unet_interpolated", "causal"),
    *("shufflenet_v1", "split_paths", "resnet_padded"),
]
# A layer that takes one position of as many columns as there would be samples cannot tell which
# channels are copies.
SAMPLES = {"discriminator": 128, "autoencoder": 128, "two_inputs": 256}


@functools.cache
def intact(name):
    """A network that no test changes, its answer, its MACs and parameters."""
    model, example = ZOO[name].make(), ZOO[name].inputs(1)
    costs = pk.count_macs(model, example), pk.count_params(model)
    return model, outputs(model, ZOO[name].inputs(3)), *costs


@torch.no_grad()
def outputs(model, batch):
    return flat_outputs(call(model, batch))


def prune(name, model, whole=True, **kwargs):
    """Sites of a ``whole`` network are known."""
    entry = ZOO[name]
    calibration = [entry.inputs(kwargs.pop("samples", 16))]
    with traced(name) if whole else nullcontext():
        return pk.prune(model, entry.inputs(1), calibration, progress=False, **kwargs)


def assert_as_reported(name, result):
    example = ZOO[name].inputs(1)
    model, report = result.model, result.report
    assert report.macs_after == pk.count_macs(model, example)
    assert report.params_after == pk.count_params(model)
    assert (report.macs_before, report.params_before) == intact(name)[2:]
    # least squares may add a bias or two, so small networks may not lose parameters
    assert report.macs_after < report.macs_before
    for row in report.rows:
        assert (row.reason is None) or (
            len(row.reason) > 10 and row.channels_after == row.channels_before
        )


def same(a, b):
    return len(a) == len(b) and all(map(torch.equal, a, b))


def test_there_are_enough_of_them():
    assert len(NAMES) >= 25 and not {*NOTHING} - {*ZOO}


@pytest.mark.parametrize("name", NAMES)
def test_pruned(name, tmp_path):
    """By two methods, at two ratios; what was saved, loaded and pruned on is the same network."""
    model, answers, *_ = intact(name)
    before = [value.clone() for value in model.state_dict().values()]
    for method in ("reap", "l1"):
        costs = []
        for ratio in (0.3, 0.6):
            result = prune(name, model, method=method, pruning_ratio=ratio)
            got = outputs(result.model, ZOO[name].inputs(3))
            assert [v.shape for v in got] == [v.shape for v in answers]
            assert all(v.isfinite().all() for v in got) and not same(got, answers)
            assert_as_reported(name, result)
            costs.append(result.report.macs_after)
        assert costs[0] >= costs[1]
    assert same(before, [*model.state_dict().values()])
    pk.save(result, tmp_path / "small.pt")
    loaded = pk.load(ZOO[name].make(), tmp_path / "small.pt")
    assert same(outputs(loaded, ZOO[name].inputs(3)), got)
    how = {"whole": False, "method": "l1", "pruning_ratio": 0.5}
    again = [prune(name, small, **how) for small in (result.model, loaded)]
    assert same(*(outputs(more.model, ZOO[name].inputs(3)) for more in again))


COPIED = [
    *((name, method, False) for name in NAMES for method in ("reap", "unify")),
    *((name, method, True) for name in RESIDUAL for method in ("reap", "unify")),
]


@pytest.mark.parametrize(("name", "method", "residual"), COPIED)
def test_copies_cost_nothing(name, method, residual):
    model = ZOO[name].make()
    sites = sites_of(name, residual)
    copies = duplicate(model, sites)
    wanted = outputs(model, ZOO[name].inputs(5))
    result = prune(
        *(name, model),
        method=method,
        pruning_ratio={site.name: len(ids) / site.channels for site, ids in copies.items()},
        prune_residual=residual,
        ridge=1e-9,
        samples=SAMPLES.get(name, 64),
    )
    after = {row.name: row.channels_after for row in result.report.rows}
    assert any(copies.values())
    assert all(after[site.name] == site.channels - len(ids) for site, ids in copies.items())
    assert_as_reported(name, result)
    for got, want in zip(outputs(result.model, ZOO[name].inputs(5)), wanted, strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-4 * want.abs().max().item())


@pytest.mark.parametrize("name", NOTHING)
def test_nothing_to_prune_is_an_error_with_reasons(name):
    model = intact(name)[0]
    sites = pk.find_sites(model, ZOO[name].inputs(1))
    assert sites and all(site.reason for site in sites)
    with pytest.raises(ValueError, match="no channels that can be pruned") as raised:
        prune(name, model, pruning_ratio=0.5)
    for site in sites:
        assert f"{site.name}: {site.reason}" in str(raised.value)


AGAIN = ["resnet_bottleneck", "densenet", "unet", "vit_fused", "siamese"]

IN_A_NEW_PROCESS = """
import sys
import torch
import prunekit as pk
from tests.test_matrix import outputs, prune
from tests.zoo import ZOO
answers = {}
for name in sys.argv[2:]:
    loaded = pk.load(ZOO[name].make(), f"{sys.argv[1]}/{name}.pt")
    again = prune(name, loaded, whole=False, pruning_ratio=0.5).model
    answers[name] = [outputs(model, ZOO[name].inputs(3)) for model in (loaded, again)]
torch.save(answers, f"{sys.argv[1]}/answers")
"""


def test_a_new_process_loads_them_and_prunes_on_bit_for_bit(tmp_path):
    here = {}
    for name in AGAIN:
        once = prune(name, intact(name)[0], pruning_ratio=0.3)
        pk.save(once, tmp_path / f"{name}.pt")
        again = prune(name, once.model, whole=False, pruning_ratio=0.5)
        here[name] = [outputs(result.model, ZOO[name].inputs(3)) for result in (once, again)]
    command = [sys.executable, "-c", IN_A_NEW_PROCESS, str(tmp_path), *AGAIN]
    subprocess.run(command, check=True, timeout=300)
    there = torch.load(tmp_path / "answers")
    for name in AGAIN:
        assert all(map(same, here[name], there[name])), name
