"""How many channels, and which: chosen by hand, in round numbers, and where none may go."""

import fnmatch

import numpy as np
import pytest
import torch
from torch import nn

import prunekit as pk
from prunekit.network.finding import ignored_names

from .networks import Twice, chain

IMAGES = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ONE = IMAGES[:1]


def prune(model=None, **kwargs):
    model = chain() if model is None else model
    return pk.prune(model, ONE, IMAGES, progress=False, **kwargs)


def wide(seed=0):
    """Sites of 20, 24 and 6 channels."""
    torch.manual_seed(seed)
    return nn.Sequential(
        *(nn.Conv2d(3, 20, 3), nn.BatchNorm2d(20), nn.ReLU(), nn.Conv2d(20, 24, 3), nn.ReLU()),
        *(nn.Conv2d(24, 6, 1), nn.ReLU(), nn.Flatten(), nn.Linear(96, 4)),
    )


GONE = {"7": [9, 0, 4], "0": (1, 6), "3": range(2, 4)}


@pytest.mark.parametrize("repair", ["none", "least_squares", "network", "batchnorm"])
def test_exactly_these_channels_go(repair):
    result = prune(channels=GONE, repair=repair)
    for name, ids in GONE.items():
        count = {"0": 8, "3": 6, "7": 10}[name]
        assert result.plan[name] == tuple(i for i in range(count) if i not in ids)
    assert (result.report.method, result.report.repair) == ("by hand", repair)
    assert result.model[0].out_channels == 6 and result.model[3].out_channels == 4


def test_it_is_what_a_method_with_that_order_gives():
    def last_first(site):
        return pk.Elimination(torch.arange(site.channels).flip(0))

    want = prune(method=last_first, pruning_ratio={"0": 0.25, "7": 0.3})
    got = prune(channels={"0": [6, 7], "7": [7, 8, 9]})
    assert got.plan == want.plan
    states = got.model.state_dict(), want.model.state_dict()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert [row.error for row in got.report.rows] == [row.error for row in want.report.rows]


def test_other_sites_keep_all_and_the_method_only_says_the_repair():
    result = prune(channels={"3": [0]}, method="l1")
    assert list(result.plan) == ["3"] and result.report.repair == "none"
    assert torch.equal(result.model[3].weight, chain()[3].weight[1:])
    assert prune(channels={"3": [0], "0": []}).plan == {"3": (1, 2, 3, 4, 5)}


@pytest.mark.parametrize("form", [torch.tensor, np.array, set, tuple, iter])
def test_forms_of_ids(form):
    assert prune(channels={"0": form([1, 3])}, method="l1").plan == {"0": (0, 2, 4, 5, 6, 7)}


@pytest.mark.parametrize(
    ("channels", "error", "message"),
    [
        ({"0": [8]}, ValueError, r"channels\['0'\] must hold ids in 0\.\.7, got 8"),
        ({"0": [-1]}, ValueError, r"ids in 0\.\.7, got -1"),
        ({"0": [2, 3, 2]}, ValueError, "holds 2 more than once"),
        ({"0": range(8)}, ValueError, "holds all 8 channels: leave one"),
        ({"9": [0]}, ValueError, r"channels\['9'\] cannot be pruned: .*outputs"),
        ({"nowhere": [0]}, ValueError, "not the name of a site; these can be pruned: 0, 3, 7"),
        ({"1": [0]}, ValueError, "not the name of a site"),
        ({3: [0]}, ValueError, "not the name of a site"),
        ({"0": 3}, TypeError, "must be a list of channel ids, got 3"),
        ({"0": "123"}, TypeError, "must be a list of channel ids"),
        ({"0": [0.5]}, TypeError, "whole numbers"),
        ({"0": torch.arange(8) > 4}, TypeError, "of a mask take"),
        ([1, 2], TypeError, "channels must be a dict"),
        ({}, ValueError, "removes no channel anywhere"),
        ({"0": []}, ValueError, "removes no channel anywhere"),
    ],
)
def test_bad_channels_are_refused(channels, error, message):
    with pytest.raises(error, match=message):
        prune(channels=channels)


def test_a_coupled_producer_points_to_its_site():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c, self.d = (nn.Conv2d(3, 3, 1) for _ in range(4))

        def forward(self, x):
            return self.d(self.c(self.a(x)) + self.b(x))

    with pytest.raises(ValueError, match="makes the channels of site 'c'"):
        prune(Residual(), channels={"b": [0]})


@pytest.mark.parametrize(
    "amounts",
    [{}, {"channels": GONE, "pruning_ratio": 0.5}, {"target_macs": 0.5, "max_error": 0.1}],
)
def test_one_amount_is_given(amounts):
    with pytest.raises(ValueError, match="give one of .*max_error and channels, got"):
        prune(**amounts)


@pytest.mark.parametrize(
    ("ratio", "widths"),
    [(0.025, [19, 23, 6]), (0.3, [14, 17, 4]), (0.9, [2, 2, 1]), (0.99, [1, 1, 1])],
)
def test_what_goes_is_the_nearest_whole_number_and_one_stays(ratio, widths):
    result = prune(wide(), pruning_ratio=ratio, method="l1")
    assert [row.channels_after for row in result.report.rows[:3]] == widths


@pytest.mark.parametrize(
    ("ratio", "widths"),
    [(0.3, [16, 24, 6]), (0.5, [16, 16, 6]), (0.9, [8, 8, 6]), (0.7, [8, 8, 6])],
)
def test_widths_are_rounded_up(ratio, widths):
    result = prune(wide(), pruning_ratio=ratio, round_to=8, method="l1")
    assert [row.channels_after for row in result.report.rows[:3]] == widths
    assert result.model(ONE).shape == (1, 4)


def test_channels_of_layers_are_rounded_not_bundles_of_them():
    """A site of a grouped convolution counts bundles: 8 channels, one of each group."""
    layers = nn.Conv2d(3, 64, 1), nn.Conv2d(64, 32, 3, groups=8), nn.ReLU(), nn.Conv2d(32, 4, 1)
    model, inputs = nn.Sequential(*layers), torch.randn(8, 3, 6, 6)
    how = {"round_to": 16, "method": "l1", "progress": False}
    for ratio, widths in {0.7: (16, 16), 0.5: (32, 16), 0.4: (48, 16)}.items():
        small = pk.prune(model, inputs[:1], inputs, pruning_ratio=ratio, **how).model
        assert (small[0].out_channels, small[1].out_channels) == widths
    ratios = pk.optimize_ratios(model, inputs[:1], inputs, target_macs=0.5, **how)
    small = pk.prune(model, inputs[:1], inputs, pruning_ratio=ratios, **how).model
    assert small[0].out_channels % 16 == small[1].out_channels % 16 == 0


def test_round_numbers_by_layer_and_within_a_budget():
    plan = prune(wide(), pruning_ratio={"0": 0.5}, round_to=6, method="l1").plan
    assert {name: len(kept) for name, kept in plan.items()} == {"0": 12}
    full = pk.count_macs(wide(), ONE)
    for target in (0.9, 0.5, 0.3, full // 2):
        result = prune(wide(), target_macs=target, round_to=4, method="l1")
        assert all(len(kept) % 4 == 0 for kept in result.plan.values()) and result.plan
        budget = target if isinstance(target, int) else target * full
        assert result.report.macs_after <= budget
    with pytest.raises(
        ValueError, match=r"to multiples of round_to=8 keeps between [\d,]+ and [\d,]+ MACs"
    ):
        prune(wide(), target_macs=0.05, round_to=8)


def test_ratios_of_the_optimizer_are_round_too():
    options = {"target_macs": 0.5, "round_to": 8, "method": "l1"}
    ratios = pk.optimize_ratios(wide(), ONE, IMAGES, progress=False, **options)
    assert set(ratios.widths.values()) <= {6, 8, 16, 20, 24} and ratios.widths["5"] == 6
    plan = prune(wide(), pruning_ratio=ratios, round_to=8, method="l1").plan
    assert {name: len(kept) for name, kept in plan.items()}.items() <= ratios.widths.items()


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"round_to": 0}, ValueError, "round_to must be 1 or more"),
        ({"round_to": -8}, ValueError, "round_to must be 1 or more"),
        ({"round_to": 8.0}, TypeError, "round_to must be a whole number"),
        ({"round_to": True}, TypeError, "round_to must be a whole number"),
        (
            {"round_to": 64},
            ValueError,
            "removes no channel anywhere: raise it, or lower round_to=64",
        ),
        ({"round_to": 8, "pruning_ratio": None, "max_error": 0.1}, ValueError, "max_error, which"),
        ({"round_to": 8, "pruning_ratio": None, "channels": GONE}, ValueError, "channels, which"),
    ],
)
def test_bad_rounding_is_refused(kwargs, error, message):
    with pytest.raises(error, match=message):
        prune(wide(), **{"pruning_ratio": 0.5, **kwargs})


def test_optimize_ratios_refuses_it_too():
    with pytest.raises(ValueError, match="round_to must be 1 or more"):
        pk.optimize_ratios(wide(), ONE, IMAGES, target_macs=0.5, round_to=0, progress=False)


@pytest.mark.parametrize(
    ("ignored", "left"),
    [
        ("0", {"0"}),
        (["[05]"], {"0", "3", "5"}),
        (["5*"], {"3", "5"}),
        ([nn.Linear], {"5", "8"}),
        (nn.Conv2d, {"0", "3", "5"}),
    ],
)
def test_ignored_by_name_pattern_or_type(ignored, left):
    reasons = {site.name: site.reason for site in pk.find_sites(wide(), ONE, ignored)}
    found = {name for name, reason in reasons.items() if reason == "it is in ignored_layers"}
    assert found == left


def test_ignored_layers_keep_their_weights():
    model = chain().eval()
    small = prune(model, pruning_ratio={"0": 0.5}, ignored_layers=["7"]).model
    assert torch.equal(small[7].weight, model[7].weight)
    assert not torch.equal(small[9].weight, model[9].weight)


def test_patterns_and_modules_mean_whole_containers():
    model = nn.ModuleDict({"body": Twice(), "head": Twice()})
    want = {name for name, _ in model.named_modules() if fnmatch.fnmatchcase(name, "body*")}
    for item in ("body", "b?dy", "body*", model["body"]):
        assert ignored_names(model, [item]) == want
    assert ignored_names(model, "*.first") == {"body.first", "head.first"}
    for wrong in ("tail*", nn.Linear(1, 1)):
        with pytest.raises(ValueError, match="ignored_layers: .* is not a layer of this model"):
            ignored_names(model, [wrong])
