"""The logic of the widgets that look at whole networks, and the doors of all five."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

import prunekit as pk
from prunekit.classroom import data, models, widgets
from prunekit.classroom.training import accuracy
from prunekit.classroom.widgets.before_after import BeforeAfter
from prunekit.classroom.widgets.budget import Budget, measure
from prunekit.network.finding import find_sites
from prunekit.network.widths import macs_cost

from .problems import problem, refit

# Before and after -------------------------------------------------------------------------------


def tiny():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.ReLU()
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10)).eval()


def prunings(images):
    how = dict(example_inputs=images[:1], calibration=images, method="l1", progress=False)
    return {
        repair: {
            kept: pk.prune(tiny(), **how, repair=repair, pruning_ratio={"0": 1 - kept, "2": 0})
            for kept in (0.75, 0.5)
        }
        for repair in ("none", "least_squares")
    }


@pytest.fixture(scope="module")
def pruned():
    images = data.shapes32("test", 10)
    return images, prunings(images.inputs)


@torch.no_grad()
def test_maps_and_answers_are_those_of_the_networks(pruned):
    images, results = pruned
    film = BeforeAfter.from_results(tiny(), results, images, "2")
    repairs = ("none", "least_squares")
    for image, kept, repair, channel in product((0, 3), (0.5, 0.75), repairs, (0, 2)):
        state = film.at(image, kept, repair, channel)
        network, x = results[repair][kept].model, images.inputs[image : image + 1]
        before, after = tiny()[:3](x)[0, channel], network[:3](x)[0, channel]
        np.testing.assert_allclose(state.before, before, atol=1e-5)
        np.testing.assert_allclose(state.after, after, atol=1e-5)
        np.testing.assert_allclose(state.after_odds, network(x)[0].softmax(0), atol=1e-5)
        lost = ((before - after).square().sum() / before.square().sum()).item()
        assert np.isclose(state.lost, lost, rtol=1e-3) and not state.gone
        assert state.label == images.labels[image] and repair in state.sentence
        assert images.classes[int(network(x).argmax())] in state.sentence
    np.testing.assert_allclose(state.image, images.images[3].permute(1, 2, 0))
    assert film.repairs == list(repairs) and film.kept == [0.5, 0.75]
    assert (film.tops >= abs(film.maps[None]).max((0, 2, 3))).all()


@torch.no_grad()
def test_the_others_speak_for_channels_that_are_gone(pruned):
    images, results = pruned
    result = results["none"][0.5]
    film = BeforeAfter.from_results(tiny(), results, images, "1", site="0")
    kept = list(result.report.rows[0].kept)
    X = tiny()[:2](images.inputs).double().transpose(0, 1).flatten(1).T  # (pixels, 4)
    for channel in range(4):
        state = film.at(5, 0.5, "none", channel)
        assert state.gone == (channel not in kept)
        W, b, _ = refit(X[:, kept], X[:, [channel]])
        guess = (X[:, kept] @ W + b).view(10, 30, 30)[5]
        np.testing.assert_allclose(state.after, guess, atol=1e-4)
        assert ("is gone" in state.sentence) == state.gone


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ((6, 0.5, "none", 0), r"image must lie in 0\.\.5"),
        ((0, 0.5, "none", 3), r"channel must lie in 0\.\.2"),
        ((0, 0.9, "none", 0), "no network"),
    ],
)
def test_before_and_after_refuses_what_is_not_there(pruned, setting, message):
    film = BeforeAfter.from_results(tiny(), pruned[1], pruned[0], "2")
    with pytest.raises(ValueError, match=message):
        film.at(*setting)


@pytest.mark.parametrize(
    ("layer", "message"),
    [("1", "3 of 4 channels .* one of 0, 2"), ("6", "no feature maps"), ("x", "layer must be one")],
)
def test_layers_that_cannot_be_compared_are_refused(pruned, layer, message):
    with pytest.raises(ValueError, match=message):
        BeforeAfter.from_results(tiny(), pruned[1], pruned[0], layer)


# The budget -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reader():
    torch.manual_seed(0)
    return models.mlp(64, (6, 5)).eval(), data.digits("train").sample(80), data.digits("test")


@pytest.fixture(scope="module")
def ratios(reader):
    model, train, _ = reader
    options = dict(target_macs=0.5, step=1 / 3, progress=False)
    return pk.optimize_ratios(model, train.inputs[:1], train.inputs, **options)


@pytest.mark.parametrize("target", [0.3, 0.5, 0.76, 1.0])
def test_a_choice_is_the_best_of_all_pairs(reader, ratios, target):
    model, train, _ = reader
    state = Budget.from_ratios(ratios, model, train.inputs[:1], {}).at(target)
    sites = {s.name: s for s in find_sites(model, train.inputs[:1]) if s.name in ratios.curves}
    cost = macs_cost(model, train.inputs[:1], list(sites.values()))
    full = cost({s: s.channels for s in sites.values()})
    inside = {}
    for keeps in product(*([ratios.channels[n], *c] for n, c in ratios.curves.items())):
        widths = dict(zip(ratios.curves, keeps, strict=True))
        if cost({sites[name]: keep for name, keep in widths.items()}) <= target * full + 1e-9:
            inside[keeps] = sum(ratios.curves[n].get(k, 0.0) for n, k in widths.items())
    assert np.isclose(state.error, min(inside.values()))
    assert inside[tuple(state.widths.values())] == state.error and state.kept <= target + 1e-9


def test_a_choice_is_that_of_optimize_ratios(reader, ratios):
    model, train, _ = reader
    state = Budget.from_ratios(ratios, model, train.inputs[:1], {}).at(0.501)
    assert state.target == 0.5 and state.widths == ratios.widths
    assert np.isclose(state.kept, ratios.cost / ratios.full_cost)


def test_measured_networks_are_really_pruned(reader, ratios):
    model, train, test = reader
    found = measure(ratios, model, train.inputs, test, [0.5], repair="none", method="l1")
    how = dict(pruning_ratio=dict(ratios), progress=False, repair="none", method="l1")
    pruned = pk.prune(model, train.inputs[:1], train.inputs, **how).model
    assert found == {1.0: accuracy(model, test), 0.5: accuracy(pruned, test)}


def test_a_prediction_leaves_its_own_measurement_out(reader, ratios):
    model, train, _ = reader
    measured = {1.0: 90.0, 0.6: 10.0, 0.3: 60.0}
    board = Budget.from_ratios(ratios, model, train.inputs[:1], measured)
    D = {target: board.at(target).error for target in measured}
    part = (D[0.6] / D[0.3]) ** 0.5  # in √D; there is no error at 1
    assert np.isclose(board.at(0.6).predicted, 90 - part * 30)
    assert board.at(0.3).predicted is None  # nothing beyond it
    assert "Measured: 10%" in board.at(0.6).sentence
    assert "Measured" not in board.at(0.5).sentence and "Predicted" in board.at(0.5).sentence


def test_sites_get_the_names_they_are_given(reader, ratios):
    model, train, _ = reader
    names = dict(zip(ratios.curves, ("first", "second"), strict=True))
    state = Budget.from_ratios(ratios, model, train.inputs[:1], {}, names=names).at(0.5)
    assert list(state.widths) == list(state.curves) == list(state.channels) == ["first", "second"]
    assert "second" in state.sentence


# All of them ------------------------------------------------------------------------------------


def everything(reader, ratios):
    X, Y, W, _ = problem(n=8)
    model, train, test = reader
    images = data.shapes32("test", 10)
    return {
        "neurons_that_agree": widgets.neurons_that_agree(X, W),
        "duals_in_the_plane": widgets.duals_in_the_plane(),
        "elimination": widgets.elimination(pk.Moments().update(X, Y), W),
        "before_and_after": widgets.before_and_after(tiny(), prunings(images.inputs), images, "2"),
        "the_budget": widgets.the_budget(ratios, model, train.inputs, test, (0.4, 0.6, 0.8)),
    }


def test_every_door_opens_on_every_setting(reader, ratios):
    found = everything(reader, ratios)
    assert set(found) == set(widgets.__all__)
    for widget in found.values():
        for name, control in widget.controls.items():
            start = {other: c.value for other, c in widget.controls.items()}
            ends = (
                [value for _, value in control.options]
                if hasattr(control, "options")
                else [control.low, control.high]
            )
            for value in ends:
                assert widget.at(**start | {name: value}).sentence.endswith(".")
        assert len(widget.states) == 3 and len({s.sentence for s in widget.states}) == 3
