"""Usual mistakes in lesson 03, and a phrase of the hint that each of them must get."""

import torch

import prunekit as pk


def _line(x, y):
    a = (x - x.mean()) @ (y - y.mean()) / (x - x.mean()).square().sum()
    return a, y.mean() - a * x.mean()


def through_zero(x, y):
    a = x @ y / (x @ x)
    return a, y.mean() - a * x.mean()


def no_constant(x, y):
    return x @ y / (x @ x), 0.0


def the_other_way(x, y):
    return _line(y, x)


def gap_of_means(x, y):
    return _line(x, y)[0], y.mean() - x.mean()


def constant_first(x, y):
    return _line(x, y)[::-1]


def still_speaking(W, b, i, j, a, c):
    W = W.clone()
    W[i] += a * W[j]
    return W, b + c * W[j]


def own_work_lost(W, b, i, j, a, c):
    W, row = W.clone(), W[j].clone()
    W[i], W[j] = a * row, 0
    return W, b + c * row


def zeroed_first(W, b, i, j, a, c):
    W = W.clone()
    W[j] = 0
    W[i] += a * W[j]
    return W, b + c * W[j]


def wrong_row_scaled(W, b, i, j, a, c):
    W, row = W.clone(), W[j].clone()
    W[i], W[j] = a * W[i] + row, 0
    return W, b + c * row


def in_place(W, b, i, j, a, c):
    W[i] += a * W[j]
    b += c * W[j]
    W[j] = 0
    return W, b


def _taken_over(W, i, j, a):
    W = W.clone()
    W[i], W[j] = W[i] + a * W[j], 0
    return W


def without_bias(W, b, i, j, a, c):
    return _taken_over(W, i, j, a), b


def unheard_constant(W, b, i, j, a, c):
    return _taken_over(W, i, j, a), b + c


def zeroed_before_bias(W, b, i, j, a, c):
    V = _taken_over(W, i, j, a)
    return V, b + c * V[j]


def heard_through_i(W, b, i, j, a, c):
    return _taken_over(W, i, j, a), b + c * W[i]


def _left(S):
    return S.diagonal() - S**2 / S.diagonal()[:, None]


def nobody_listens(S, W):
    return _left(S)


def turned(S, W):
    return (W.square().sum(1) * _left(S)).T


def speaker_heard(S, W):
    return W.square().sum(1)[:, None] * _left(S)


def only_angles(S, W):
    return W.square().sum(1) * _left(S) / S.diagonal()


def not_squared(S, W):
    return W.square().sum(1) * (S.diagonal() - S / S.diagonal()[:, None])


def zero_by_zero(S, W):
    return W.square().sum(1) * _left(S)


def nan_is_free(S, W):
    return zero_by_zero(S, W).nan_to_num()


def kept_as_zeros(weight, i, j, a):
    weight = weight.clone()
    weight[:, i] += a * weight[:, j]
    weight[:, j] = 0
    return weight


def still_there(weight, i, j, a):
    weight = weight.clone()
    weight[:, i] += a * weight[:, j]
    return weight


def only_cut(weight, i, j, a):
    return torch.cat([weight[:, :j], weight[:, j + 1 :]], 1)


def cut_first(weight, i, j, a):
    less = only_cut(weight, i, j, a)
    less[:, i % less.shape[1]] += a * weight[:, j]
    return less


def middle_tap(weight, i, j, a):
    weight, m = weight.clone(), weight.shape[2] // 2
    weight[:, i, m, m] += a * weight[:, j, m, m]
    return only_cut(weight, i, j, a)


def outputs_joined(weight, i, j, a):
    weight = weight.clone()
    weight[i] += a * weight[j]
    return torch.cat([weight[:j], weight[j + 1 :]])


def _errors(X, W, bias=True):
    Y, found = X @ W, [pk.unify(X, W, remove=r) for r in range(len(W))]
    return [(Y - X @ u.weights - u.bias * bias).square().sum() for u in found]


def _varies(Y):
    return (Y - Y.mean(0)).square().sum()


def as_promised(X, W, share):
    total, count = 0.0, 0
    for merge in pk.unify(X, W, remove=len(W) - 1).history:
        total += merge.error
        count += total <= share * _varies(X @ W)
    return int(count)


def one_by_one(X, W, share):
    history = pk.unify(X, W, remove=len(W) - 1).history
    return sum(bool(merge.error <= share * _varies(X @ W)) for merge in history)


def first_stop(X, W, share):
    limit = share * _varies(X @ W)
    for count, error in enumerate(_errors(X, W)):
        if error > limit:
            return count - 1
    return len(W) - 1


def one_too_many(X, W, share):
    return first_stop(X, W, share) + 1


def no_bias(X, W, share):
    errors, limit = _errors(X, W, bias=False), share * _varies(X @ W)
    return max(count for count, error in enumerate(errors) if error <= limit)


def beside_all(X, W, share):
    errors, limit = _errors(X, W), share * (X @ W).square().sum()
    return max(count for count, error in enumerate(errors) if error <= limit)


def difference(X, W):
    return torch.cdist(X.T, X.T) ** 2 * W.square().sum(1)


def behaviour_only(X, W):
    return _left(pk.Moments().update(X).scatter_xx)


def correlation(X, W):
    return pk.similarity(X, "correlation")


def with_nan(X, W):
    return zero_by_zero(pk.Moments().update(X).scatter_xx, W)


def goes_and_speaks(X, W):
    return pair_prices_guarded(pk.Moments().update(X).scatter_xx, W).T


def pair_prices_guarded(S, W):
    energy = S.diagonal()
    speaks = torch.where(energy > 0, energy, torch.inf)
    return W.square().sum(1) * (energy - S**2 / speaks[:, None])


def first_image(X, W):
    return behaviour_only(X, W) * (1 + X[0].abs()) * W.square().sum(1)


WRONG = {
    "speak_for": [
        (through_zero, "take the means out"),
        (no_constant, "the constant can do more"),
        (the_other_way, "y speaking for x"),
        (gap_of_means, "a times as loud"),
        (constant_first, "First a, then c"),
    ],
    "let_speak": [
        (still_speaking, "Neuron j still speaks"),
        (own_work_lost, "has lost its own work"),
        (zeroed_first, "zero before it was read"),
        (wrong_row_scaled, "row i grows by a times row j"),
        (in_place, "changed its input"),
        (without_bias, "The constant is missing"),
        (zeroed_before_bias, "The constant is missing"),
        (unheard_constant, "hears the constant through W_j"),
        (heard_through_i, "not through row i"),
    ],
    "pair_prices": [
        (nobody_listens, "how strongly does it listen"),
        (turned, "the other way round"),
        (speaker_heard, "not that of i"),
        (only_angles, "How loud x_j is"),
        (not_squared, "comes in squared"),
        (zero_by_zero, "0/0"),
        (nan_is_free, "speaks for nobody"),
    ],
    "drop_channel": [
        (kept_as_zeros, "not one of zeros"),
        (still_there, "still there"),
        (only_cut, "nobody speaks for it"),
        (cut_first, "take over first"),
        (middle_tap, "all taps grow"),
        (outputs_joined, "(outputs, channels, k, k)"),
    ],
    "unions_within": [
        (as_promised, "is a promise"),
        (one_by_one, "they come together"),
        (first_stop, "Errors may cancel"),
        (one_too_many, "breaks the limit"),
        (no_bias, "also gives a bias"),
        (beside_all, "around its mean"),
    ],
    "my_score": [
        (difference, "five times what neuron 1 says"),
        (behaviour_only, "8 times as loud"),
        (correlation, "no pair may be cheaper"),
        (with_nan, "must be a number"),
        (goes_and_speaks, "cannot cost more"),
        (first_image, "Images came in another order"),
    ],
}
