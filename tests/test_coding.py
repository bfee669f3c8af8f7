"""Neuro-Coding: behaviours, their likeness, and their moments, against the layers run by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import prunekit as pk
from prunekit.network.layers import consumer_inputs, consumer_outputs
from prunekit.network.own import map_moments
from prunekit.network.reading import statistics_of
from prunekit.network.sites import ConsumerInputs, Site
from prunekit.network.surgery import Cut
from prunekit.network.survey import Survey
from prunekit.network.turn import Turn
from prunekit.network.walk import Walk
from prunekit.pipeline.front_to_back import Options
from prunekit.pipeline.repairs import Repair

from .networks import TwoInputs, chain
from .problems import F64, deficient, problem

IMAGES = torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(0))
SEEDS = st.integers(0, 10_000)


def stacked(maps):
    """A row per image and position, a column per channel, spelled out."""
    return torch.stack([maps[:, c].reshape(-1) for c in range(maps.shape[1])], 1).double()


def taken_by(name, channels, each=1):
    """What layer ``name`` takes: ``channels``, ``each`` inputs per channel."""
    inputs = torch.arange(channels * each).view(channels, each)
    return ConsumerInputs(name, 0, inputs, channels * each, 1, None, False)


TAKEN = {"3": taken_by("3", 8), "7": taken_by("7", 6, 4), "9": taken_by("9", 10)}
CALLS = dict.fromkeys(TAKEN, 1)


def site_before(name):
    """The site whose channels layer "3" or "7" takes, as far as its statistics need it."""
    producer = {"3": "0", "7": "3"}[name]
    count = len(TAKEN[name].channels)
    cut = Cut(producer, "out", tuple((i,) for i in range(count)))
    return Site(producer, count, (producer,), (TAKEN[name],), cuts=(cut,))


def question(model, smaller, name, batches):
    """What a method gets to know of that site at its turn in a walk."""
    with Walk(model, smaller, CALLS, batches) as walk:
        turn = Turn(walk, name, Survey(model, [], batches), False)
        yield statistics_of(site_before(name), turn, Options(None, Repair()))


class Functional(nn.Module):
    """The same network twice, with its ReLU as a module and as a function."""

    def __init__(self, model, functional):
        super().__init__()
        self.conv, self.next, self.relu = model[0], model[3], nn.ReLU()
        self.functional = functional

    def forward(self, x):
        x = self.conv(x)
        return self.next(F.relu(x) if self.functional else self.relu(x))


def test_a_layer_says_what_the_next_one_hears():
    model = chain().eval()
    close = torch.testing.assert_close
    with torch.no_grad():
        close(pk.behaviors(model, "0", IMAGES), stacked(model[:3](IMAGES)))  # norm and ReLU
        close(pk.behaviors(model, "3", IMAGES), stacked(model[:6](IMAGES)))  # ReLU and pooling
        close(pk.behaviors(model, "7", IMAGES), model[:9](IMAGES).double())
        close(pk.behaviors(model, "9", IMAGES), model(IMAGES).double())  # the last has no consumer
        close(pk.behaviors(model, "1", IMAGES), stacked(model[:2](IMAGES)))  # a norm: its output


def test_a_relu_may_be_a_function():
    model = chain().eval()
    module, function = (Functional(model, functional) for functional in (False, True))
    X = pk.behaviors(function, "conv", IMAGES)
    assert torch.equal(X, pk.behaviors(module, "conv", IMAGES)) and (X >= 0).all()
    torch.testing.assert_close(X, stacked(model[0](IMAGES).relu().detach()))


def test_a_linear_layer_of_tokens():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    x = torch.randn(5, 7, 4)
    X = pk.behaviors(model, "0", x)
    torch.testing.assert_close(X, model[:2](x).detach().double().reshape(35, 6))


def test_several_inputs_and_other_forms_of_data():
    a, b = torch.randn(9, 4), torch.randn(9, 3)
    model = TwoInputs().eval()
    X = pk.behaviors(model, "left", [{"a": a, "b": b}])
    torch.testing.assert_close(X, model.left(a).relu().detach().double())
    model = chain().eval()
    want = pk.behaviors(model, "0", IMAGES)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(IMAGES, torch.zeros(12)), batch_size=5
    )
    for inputs in (loader, list(IMAGES.split(5)), [(IMAGES, torch.zeros(12))]):
        torch.testing.assert_close(pk.behaviors(model, "0", inputs), want, rtol=1e-5, atol=1e-6)


@settings(max_examples=10)
@given(st.integers(1, 64), SEEDS)
def test_positions_are_drawn_once_for_all_images(positions, seed):
    model = chain().eval()
    X = pk.behaviors(model, "0", IMAGES, positions=positions, seed=seed)
    again = pk.behaviors(model, "0", IMAGES, positions=positions, seed=seed)
    assert torch.equal(X, again) and X.shape == (12 * positions, 8) and X.dtype == F64
    maps = pk.behaviors(model, "0", IMAGES).view(12, 64, 8)
    drawn = X.view(12, positions, 8)
    # each drawn row is one position of its image, the same one in every image, in order
    where = [
        [p for p in range(64) if torch.equal(maps[:, p], drawn[:, row])] for row in range(positions)
    ]
    assert all(where)
    firsts = [found[0] for found in where if len(found) == 1]
    assert firsts == sorted(set(firsts))


def test_another_seed_draws_other_positions():
    a, b = (pk.behaviors(chain(), "0", IMAGES, positions=5, seed=seed) for seed in (0, 1))
    assert not torch.equal(a, b)


def test_the_users_network_is_left_as_it_was():
    model = chain().train()
    model[1].eval()
    calls = []
    hook = model[3].register_forward_hook(lambda *_: calls.append(1))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    for layer in ("0", "1", "9"):
        pk.behaviors(model, layer, IMAGES)
    with pytest.raises(ValueError, match="model cannot take"):
        pk.behaviors(model, "0", IMAGES[:, :2])
    assert modes == [m.training for m in model.modules()]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()) == 1
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    hook.remove()


@settings(max_examples=40)
@given(SEEDS, st.integers(1, 7), st.booleans(), st.sampled_from([torch.float32, F64]))
def test_similarity_is_numpys(seed, n, streamed, dtype):
    X = (problem(30, n, seed=seed)[0] - 0.5).to(dtype)
    given = X
    if streamed:
        given = pk.Moments()
        for part in X.split(11):
            given.update(part)
    A = X.double().numpy()
    lengths = np.linalg.norm(A, axis=0)
    cosine = np.clip(A.T @ A / np.outer(lengths, lengths), -1, 1)
    close = np.testing.assert_allclose
    close(pk.similarity(given), cosine, rtol=1e-8, atol=1e-9)
    close(
        pk.similarity(given, "correlation"),
        np.corrcoef(A.T).reshape(n, n),
        rtol=1e-8,
        atol=1e-9,
    )
    angles = np.degrees(np.arccos(cosine))
    np.fill_diagonal(angles, 0)
    close(pk.similarity(given, "angle"), angles, rtol=1e-6, atol=1e-5)


@settings(max_examples=30)
@given(SEEDS, st.floats(-6, 6))
def test_similarity_of_dead_constant_and_twin_neurons(seed, power):
    X = deficient(seed) * 10.0**power
    dead, still = X.norm(dim=0) == 0, X.std(0) < 1e-9 * X.abs().max()
    for measure, alone in (("cosine", dead), ("correlation", still), ("angle", dead)):
        S = pk.similarity(X, measure)
        nothing, itself = (0.0, 1.0) if measure != "angle" else (90.0, 0.0)
        assert S.isfinite().all() and torch.equal(S, S.T)
        assert (S.diagonal() == itself).all()
        rest = S.clone().fill_diagonal_(nothing)
        assert (rest[alone] - nothing).abs().max().item() < 1e-6 if alone.any() else True
    twins = [
        (i, j)
        for i in range(X.shape[1])
        for j in range(i)
        if torch.equal(X[:, i], X[:, j]) and not dead[i]
    ]
    for i, j in twins:
        assert pk.similarity(X)[i, j].item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", ["3", "7", "9"])
@settings(max_examples=6)
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_identity_8_streamed_moments_of_layers_are_the_one_shot_ones(name, sizes):
    model, smaller = chain(seed=0).eval(), chain(seed=1).eval()
    images = IMAGES[: sum(sizes)]
    batches = images.split(sizes)
    with Walk(model, smaller, CALLS, batches) as walk:
        turn = Turn(walk, name, Survey(model, [], batches), False)
        moments = turn.moments(TAKEN[name])
    index = int(name)
    with torch.no_grad():
        X = consumer_inputs(smaller[index], smaller[:index](images)).double()
        Y = consumer_outputs(model[index], model[: index + 1](images)).double()
    assert moments.count == len(X)
    for got, want in (
        (moments.gram, X.T @ X),
        (moments.cross, X.T @ Y),
        (moments.mean_y, Y.mean(0)),
    ):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5 * want.abs().max().item())


def test_moments_of_whole_maps():
    model, smaller = chain(seed=0).double().eval(), chain(seed=1).double().eval()
    images = IMAGES.double()
    with Walk(model, smaller, CALLS, images.split(5)) as walk:
        moments = map_moments(smaller[3], model[3], TAKEN["3"], walk.pairs("3"))
    with torch.no_grad():
        X, X0 = stacked(smaller[:3](images)), stacked(model[:3](images))
        W = model[3].weight.flatten(1).T.reshape(8, 9 * 6)  # the taps are outputs of their own
    torch.testing.assert_close(moments.gram, X.T @ X)
    torch.testing.assert_close(moments.cross, X.T @ (X0 @ W))


def test_rows_are_rows_of_inputs_and_targets():
    model, smaller = chain(seed=0).double().eval(), chain(seed=1).double().eval()
    images = IMAGES.double()
    for site in question(model, smaller, "3", images.split(6)):
        X, Y = site.rows(40)
        again, _ = site.rows(40)
    every_x = consumer_inputs(smaller[3], smaller[:3](images)).detach()
    every_y = consumer_outputs(model[3], model[:4](images)).detach()
    assert X.shape == (40, 72) and Y.shape == (40, 6)
    where = torch.cdist(X, every_x).argmin(1)
    torch.testing.assert_close(X, every_x[where])
    torch.testing.assert_close(Y, every_y[where])
    assert len(where.unique()) == 40
    assert torch.equal(X, again)


@pytest.mark.parametrize("measure", ["cosine", "correlation", "angle"])
def test_similarity_is_symmetric_where_rounding_is_not(measure):
    moments = pk.Moments().update(torch.randn(20, 4, dtype=F64))
    moments.scatter_xx[0, 1] *= 1 + 1e-12  # as some processors sum up a product with itself
    found = pk.similarity(moments, measure)
    assert torch.equal(found, found.T)


def test_inputs_come_batch_by_batch():
    model = chain().eval()
    for site in question(model, model, "7", IMAGES.split(5)):
        maps = list(site.inputs())
    assert [tuple(part.shape) for part in maps] == [(5, 6, 4), (5, 6, 4), (2, 6, 4)]
    torch.testing.assert_close(torch.cat(maps), model[:6](IMAGES).detach().flatten(2))
