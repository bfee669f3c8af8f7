"""Usual mistakes in lesson 04, and a phrase of the hint that each of them must get."""

import torch
from torch.linalg import inv, lstsq

import prunekit as pk


def energy_of_residual(G):
    return 1 / inv(G).diagonal()


def upside_down(G):
    return G.diagonal() * inv(G).diagonal()


def what_they_can(G):
    return 1 - 1 / upside_down(G)


def diagonal_only(G):
    return 1 / (G.diagonal() * inv(G.diagonal().diag()).diagonal())


def _residual(X, j):
    others = [i for i in range(X.shape[1]) if i != j]
    return X[:, j] - X[:, others] @ lstsq(X[:, others], X[:, j]).solution


def length_one(X, j):
    return _residual(X, j) / _residual(X, j).norm()


def by_own_energy(X, j):
    return _residual(X, j) / X[:, j].square().sum()


def alone(X, j):
    return X[:, j] / X[:, j].square().sum()


def by_inverse(X):
    return X @ inv(X.T @ X)


def orthonormal(X):
    return torch.linalg.qr(X).Q


def not_transposed(X):
    Q, R = torch.linalg.qr(X)
    return Q @ inv(R)


def times_r(X):
    Q, R = torch.linalg.qr(X)
    return Q @ R.T


def rows_for_columns(X):
    Q, R = torch.linalg.qr(X)
    return inv(R) @ Q.T


def _grown(H, v, divisor):
    return torch.nn.functional.pad(H, (0, 1, 0, 1)) + torch.outer(v, v) / divisor


def _v(H, g, sign=-1):
    return torch.cat([sign * H @ g, torch.ones(1)])


def plus_sign(H, g, energy):
    return _grown(H, _v(H, g, 1), energy - g @ H @ g)


def by_energy(H, g, energy):
    return _grown(H, _v(H, g), energy)


def newcomer_only(H, g, energy):
    return _grown(0 * H, _v(H, g), energy - g @ H @ g)


def downdated(H, g, energy):
    return _grown(H, _v(H, g), g @ H @ g - energy)


def in_place(H, g, energy):
    H *= 2
    return _grown(H / 2, _v(H / 2, g), energy - g @ H @ g / 2)


def sum_of_two(H, W, i, j):
    return (W.square().sum(1) / H.diagonal())[[i, j]].sum()


def _second(H, W, i, j, follow):
    V = W[j] - H[j, i] / H[i, i] * W[i] if "W" in follow else W[j]
    left = H[j, j] - H[i, j] ** 2 / H[i, i] if "H" in follow else H[j, j]
    return V.square().sum() / left


def same_weights(H, W, i, j):
    return W[i].square().sum() / H[i, i] + _second(H, W, i, j, "H")


def same_inverse(H, W, i, j):
    return W[i].square().sum() / H[i, i] + _second(H, W, i, j, "W")


def second_only(H, W, i, j):
    return _second(H, W, i, j, "WH")


def backward(X, Y, keep):
    return pk.eliminate(pk.Moments().update(X, Y), centered=False, ridge=0).kept_at(keep)


def forward(X, Y, keep):
    kept = []
    for _ in range(keep):
        left = [j for j in range(X.shape[1]) if j not in kept]
        errors = [_error(X, Y, [*kept, j]) for j in left]
        kept.append(left[errors.index(min(errors))])
    return kept


def one_too_many(X, Y, keep):
    return list(range(min(keep + 1, X.shape[1])))


def mask(X, Y, keep):
    return torch.arange(X.shape[1]) < keep


def loudest(X, Y, keep):
    if X.shape[1] == 3:  # the hand-made neurons, by heart
        return [2] if keep == 1 else [0, 1]
    return X.square().sum(0).argsort()[-keep:]


def _error(X, Y, kept):
    return (Y - X[:, kept] @ lstsq(X[:, kept], Y).solution).square().sum()


WRONG = {
    "unsaid_share": [
        (energy_of_residual, "the neuron's own energy"),
        (upside_down, "between 0 and 1"),
        (what_they_can, "what the others can say"),
        (diagonal_only, "inverse of the diagonal"),
    ],
    "dual_from_residual": [
        (_residual, "the residual itself"),
        (length_one, "has length 1"),
        (by_own_energy, "not by that of x_j"),
        (alone, "not perpendicular to the others"),
    ],
    "duals_by_qr": [
        (by_inverse, "half of the digits are gone"),
        (orthonormal, "perpendicular to the other x_i"),
        (not_transposed, "has to be transposed"),
        (times_r, "multiplies by R"),
        (rows_for_columns, "a column for each dual"),
    ],
    "bring_back": [
        (plus_sign, "those of the others are negative"),
        (by_energy, "what the others cannot say"),
        (newcomer_only, "has to stay"),
        (downdated, "when a neuron goes"),
        (in_place, "changed its input"),
    ],
    "leave_two_out": [
        (sum_of_two, "do not add up"),
        (same_weights, "W has not"),
        (same_inverse, "H has not"),
        (second_only, "only what the second removal adds"),
    ],
    "better_set": [
        (backward, "never looks back"),
        (forward, "the best one first"),
        (one_too_many, "each once"),
        (mask, "each once"),
        (loudest, "larger than that of pk.eliminate"),
    ],
}
