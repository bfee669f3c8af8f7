"""The logic of the widgets: the same numbers another way, without a browser or a picture."""

import numpy as np
import pytest
import torch
from torch import nn

import prunekit as pk
from prunekit.classroom.widgets.duals import plane
from prunekit.classroom.widgets.elimination import Film
from prunekit.classroom.widgets.neurons import Neurons

from .problems import problem, refit

# Neurons that agree -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def layer():
    X, _, W, _ = problem(samples=90, n=7)
    return X, W, Neurons.from_behaviors(X, W)


@pytest.mark.parametrize(("i", "j"), [(0, 1), (1, 0), (5, 2)])
def test_a_pair_is_a_fit_of_a_line(layer, i, j):
    X, W, neurons = layer
    pair = neurons.at(i, j, 0.01)
    (a,), c, rest = (
        v if isinstance(v, float) else v.flatten().tolist() for v in refit(X[:, [i]], X[:, [j]])
    )
    assert np.allclose([pair.scale, pair.shift], [a, *c])
    Y = X @ W
    lost = rest * W[j].square().sum() / (Y - Y.mean(0)).square().sum()
    assert np.isclose(pair.error, lost)
    # the same, by really replacing x_j
    Z = X.clone()
    Z[:, j] = a * X[:, i] + c[0]
    assert np.isclose(pair.error, (Y - Z @ W).square().sum() / (Y - Y.mean(0)).square().sum())
    cosine = X[:, i] @ X[:, j] / X[:, i].norm() / X[:, j].norm()
    assert np.isclose(np.cos(np.radians(pair.angle)), cosine)
    assert np.isclose(pair.correlation, torch.corrcoef(X.T)[i, j])


@pytest.mark.parametrize("threshold", [0.02, 0.05, 0.2])
def test_a_threshold_unifies_what_unify_does(layer, threshold):
    X, W, neurons = layer
    pair = neurons.at(0, 1, threshold)
    assert pair.unified == len(pk.unify(X, W, max_error=threshold).history)
    assert f"{pair.unified} of 7 neurons" in pair.sentence


def test_thresholds_have_ends(layer):
    neurons = layer[2]
    assert neurons.at(0, 1, 0.0).unified == 0 and neurons.at(0, 1, 1e9).unified == 6


def test_the_pairs_to_begin_with(layer):
    X, _, neurons = layer
    R = torch.corrcoef(X.T)
    i, j = neurons.most_alike
    assert R[i, j] == pytest.approx(R.fill_diagonal_(-9).max().item())
    p, q = neurons.least_alike
    assert R[p, q] == pytest.approx(R.fill_diagonal_(9).min().item())


def test_a_dead_neuron_speaks_for_nobody():
    X, _, W, _ = problem(n=4)
    X[:, 2] = 0
    pair = Neurons.from_behaviors(X, W).at(2, 1, 0.1)
    assert pair.scale == 0 and np.isclose(pair.shift, X[:, 1].mean()) and "nan" not in pair.sentence


def test_neurons_that_are_not_there_are_refused(layer):
    with pytest.raises(ValueError, match="0 to 6, got 7 and 0"):
        layer[2].at(7, 0, 0.1)


# Duals in the plane -----------------------------------------------------------------------------


@pytest.mark.parametrize("setting", [(60,), (20, 1.5, 0.5), (170, 0.5, 2.0)])
def test_two_vectors_have_the_librarys_duals_and_residuals(setting):
    state = plane(*setting)
    X = torch.from_numpy(state.X)
    torch.testing.assert_close(torch.from_numpy(state.duals), pk.dual_vectors(X))
    found = pk.leave_one_out(X.T @ X)
    torch.testing.assert_close(torch.from_numpy(state.residuals), found.residuals)
    torch.testing.assert_close(torch.from_numpy(state.guesses), X @ found.coefficients)
    cosine = (X[:, 0] @ X[:, 1] / X.norm(dim=0).prod()).item()
    assert np.isclose(cosine, np.cos(np.radians(setting[0])))


def test_nearly_parallel_vectors_have_long_duals():
    long = [np.linalg.norm(plane(angle).duals[:, 0]) for angle in (90, 30, 2)]
    assert np.allclose(long, 0.5 / np.sin(np.radians([90, 30, 2])))
    assert f"{long[2]:.2f}" in plane(2).sentence


@pytest.mark.parametrize("angle", [0, 180])
def test_parallel_vectors_have_none(angle):
    state = plane(angle)
    assert state.duals is None and np.allclose(state.residuals, 0) and "parallel" in state.sentence


@pytest.mark.parametrize(("angle", "angle_2"), [(60, 130), (60, 60), (0, 90), (0, 0)])
def test_three_vectors_say_what_lstsq_says(angle, angle_2):
    state = plane(angle, 1.5, 1.0, angle_2, 0.7)
    assert state.duals is None
    for j in range(3):
        others = np.delete(state.X, j, 1)
        a = np.linalg.lstsq(others, state.X[:, j], rcond=1e-9)[0]
        assert np.allclose(state.guesses[:, j], others @ a)
    names = ("x₀", "x₁", "x₂")
    free = [name for name, rest in zip(names, state.residuals, strict=True) if rest < 1e-9]
    assert all(name in state.sentence for name in free) and free
    assert sum(name in state.sentence for name in names) == len(free)


def test_a_vector_without_length_is_refused():
    with pytest.raises(ValueError, match="longer than 0"):
        plane(60, 0.0)


# Elimination ------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2])
def test_every_step_is_a_fresh_fit(k):
    X, Y, W, _ = problem(n=5, k=k)
    film = Film.from_moments(pk.Moments().update(X, Y), W, k, ridge=0)
    whole = (Y - Y.mean(0)).square().sum()

    def error(channels):
        columns = [c * k + i for c in sorted(channels) for i in range(k)]
        return refit(X[:, columns], Y)[2] / whole

    left, l1 = set(range(5)), W.abs().view(5, -1).sum(1).argsort().tolist()
    for step in range(4):
        state = film.at(step)
        costs = {c: error(left - {c}) - error(left) for c in left}
        assert np.allclose(state.scores[sorted(left)], [costs[c] for c in sorted(left)])
        assert np.isnan(state.scores[sorted(set(range(5)) - left)]).all()
        assert state.next == min(costs, key=costs.get) and state.left == len(left)
        assert np.isclose(state.errors["reap"], error(left))
        assert np.isclose(state.errors["rival"], error(set(l1[step:])))
        assert set(state.covers) <= left - {state.next}
        left -= {state.next}
    assert film.at(4).covers == () and "One is left" in film.at(4).sentence


def test_who_covers_is_who_says_most_of_it():
    X, Y, W, _ = problem(n=6)
    state = Film.from_moments(pk.Moments().update(X, Y), W, ridge=0).at(0)
    others = [i for i in range(6) if i != state.next]
    Xc = X - X.mean(0)
    a = torch.linalg.lstsq(Xc[:, others], Xc[:, state.next]).solution
    loud = (a.abs() * Xc[:, others].norm(dim=0)).argsort(descending=True)[:3]
    assert list(state.covers) == [others[i] for i in loud]


@pytest.mark.parametrize("k", [1, 2])
def test_the_bound_is_that_of_the_svd(k):
    X, Y, W, _ = problem(n=3, k=k, outputs=5)
    film = Film.from_moments(pk.Moments().update(X, Y), W, k, ridge=0)
    fitted = X @ refit(X, Y)[0]
    fitted -= fitted.mean(0)
    Yc, (U, s, V) = Y - Y.mean(0), torch.linalg.svd(fitted, full_matrices=False)
    for place, left in enumerate((3, 2, 1)):
        r = left * k
        nearest = (U[:, :r] * s[:r]) @ V[:r]
        assert np.isclose(film.bound[place], (Yc - nearest).square().sum() / Yc.square().sum())
    assert (film.bound <= film.reap + 1e-9).all() and (film.bound <= film.rival + 1e-9).all()


def test_weights_may_be_a_layers_own():
    X, Y, W, _ = problem(n=4, k=2)
    layer = nn.Linear(8, 3)
    layer.weight = nn.Parameter(W.T.contiguous())  # transposed below, and it has a gradient
    film = Film.from_moments(pk.Moments().update(X, Y), layer.weight.T, 2)
    # two orders of summation: equal to the last digits only
    np.testing.assert_allclose(
        film.rival, Film.from_moments(pk.Moments().update(X, Y), W, 2).rival, rtol=1e-9
    )
    assert Neurons.from_behaviors(X, layer.weight.T).at(0, 1, 0.1).error > 0


def test_elimination_refuses_steps_and_rivals_that_do_not_fit():
    X, Y, W, _ = problem(n=4)
    moments = pk.Moments().update(X, Y)
    with pytest.raises(ValueError, match=r"0\.\.3, got 4"):
        Film.from_moments(moments, W).at(4)
    with pytest.raises(ValueError, match="rival must have 4 numbers"):
        Film.from_moments(moments, W, rival=torch.ones(3))
