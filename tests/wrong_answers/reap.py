"""Usual mistakes in lesson 05, and a phrase of the hint that each of them must get."""

import torch
from torch.linalg import inv, lstsq

import prunekit as pk


def how_many_go(errors, energy, bound):
    return int((errors.cumsum(0) <= bound * energy).sum())


def each_alone(errors, energy, bound):
    return max(len(errors) - int((errors <= bound * energy).sum()), 1)


def absolute_bound(errors, energy, bound):
    return max(len(errors) - int((errors.cumsum(0) <= bound).sum()), 1)


def one_more(errors, energy, bound):
    return len(errors) - how_many_go(errors, energy, bound) + 1


def nobody_left(errors, energy, bound):
    return len(errors) - how_many_go(errors, energy, bound)


def _fit(X, Y, kept):
    W = torch.zeros(X.shape[1], Y.shape[1], dtype=X.dtype)
    W[kept] = lstsq(X[:, kept], Y).solution
    return W


def bias_afterwards(X, Y, kept):
    W = _fit(X, Y, kept)
    return W, Y.mean(0) - X.mean(0) @ W


def answers_centred_only(X, Y, kept):
    W = _fit(X, Y - Y.mean(0), kept)
    return W, Y.mean(0) - X.mean(0) @ W


def mean_of_answers(X, Y, kept):
    return _fit(X - X.mean(0), Y - Y.mean(0), kept), Y.mean(0)


def bias_plus(X, Y, kept):
    W = _fit(X - X.mean(0), Y - Y.mean(0), kept)
    return W, Y.mean(0) + X.mean(0) @ W


def kept_rows_only(X, Y, kept):
    return _fit(X - X.mean(0), Y - Y.mean(0), kept)[kept], Y.mean(0)


def weights_only(X, Y, kept):
    return _fit(X - X.mean(0), Y - Y.mean(0), kept)


def _removed(H, W, columns, follow, keep_h=True, keep_w=True):
    H0, W0, error = H, W, 0.0
    for j in columns:
        error = error + W[j].square().sum() / H[j, j]
        h, H_j, W_j = H[:, j] / H[j, j], H[j], W[j]
        H = H - torch.outer(h, H_j) if "H" in follow else H
        W = W - torch.outer(h, W_j) if "W" in follow else W
    return H if keep_h else H0, W if keep_w else W0, error


def asked_at_the_start(H, W, columns):
    return _removed(H, W, columns, "")


def same_weights(H, W, columns):
    return _removed(H, W, columns, "H")


def same_inverse(H, W, columns):
    return _removed(H, W, columns, "W")


def last_share(H, W, columns):
    H, W, _ = _removed(H, W, columns[:-1], "HW")
    return _removed(H, W, columns[-1:], "HW")


def old_weights_back(H, W, columns):
    return _removed(H, W, columns, "HW", keep_w=False)


def old_inverse_back(H, W, columns):
    return _removed(H, W, columns, "HW", keep_h=False)


def in_place(H, W, columns):
    for j in columns:
        W -= torch.outer(H[:, j] / H[j, j], W[j])
    return H, W, 0.0


def _damped(G, strength):
    return inv(G + strength * G.diagonal().mean() * torch.eye(len(G)))


def towards_zero(G, B, W0, strength):
    return _damped(G, strength) @ B


def absolute_ridge(G, B, W0, strength):
    return W0 + inv(G + strength * torch.eye(len(G))) @ (B - G @ W0)


def explained_twice(G, B, W0, strength):
    return W0 + _damped(G, strength) @ (B if G.diagonal().min() else B - G @ W0)


def no_ridge(G, B, W0, strength):
    return W0 + torch.linalg.pinv(G) @ (B - G @ W0)


def everywhere(G, B, W0, strength):
    lam = strength * G.diagonal().mean()
    return W0 + torch.linalg.pinv(G + lam) @ (B - G @ W0) * (G.diagonal().min() > 0)


def _chain(X, layers, kept, hears="now", aims="true"):
    mended, true, now = [layers[0]], X, X
    for t, stay in enumerate(kept, start=1):
        true, now = (true @ layers[t - 1]).relu(), (now @ mended[-1]).relu()
        signal = {"true": true, "now": now}
        mended.append(_fit(signal[hears], signal[aims] @ layers[t], stay))
    return mended


def hears_the_original(X, layers, kept):
    return _chain(X, layers, kept, hears="true")


def aims_at_itself(X, layers, kept):
    return _chain(X, layers, kept, aims="now")


def no_repair(X, layers, kept):
    new = [W.clone() for W in layers]
    for W, stay in zip(new[1:], kept, strict=True):
        W[[j for j in range(len(W)) if j not in stay]] = 0
    return new


def forgets_relu(X, layers, kept):
    mended, true, now = [layers[0]], X, X
    for t, stay in enumerate(kept, start=1):
        true, now = true @ layers[t - 1], now @ mended[-1]
        mended.append(_fit(now, true @ layers[t], stay))
    return mended


def smaller_matrices(X, layers, kept):
    mended = _chain(X, layers, kept)
    return [mended[0], *(W[stay] for W, stay in zip(mended[1:], kept, strict=True))]


def quietest_first(site):
    loud = site.moments.scatter_xx.diagonal().view(site.channels, -1).sum(1)
    return pk.Elimination(loud.argsort())


def least_listened_to(site):
    heard = site.weights.square().view(site.channels, -1).sum(1)
    return pk.Elimination(heard.argsort())


def _contribution(site):
    G, W = site.moments.scatter_xx, site.weights
    blocks = torch.arange(len(G)).split(site.block_size)
    return torch.stack([(W[c] * (G[c][:, c] @ W[c])).sum() for c in blocks])


def largest_first(site):
    return pk.Elimination(_contribution(site).argsort(descending=True))


def columns_for_channels(site):
    both = site.moments.scatter_xx.diagonal() * site.weights.square().sum(1)
    return pk.Elimination(both.argsort())


def importance_itself(site):
    return _contribution(site).argsort()


def by_number(site):
    free = _contribution(site) < 1e-9
    return pk.Elimination((~free).double().argsort(stable=True))


WRONG = {
    "channels_to_keep": [
        (how_many_go, "how many stay"),
        (each_alone, "Their errors add up"),
        (absolute_bound, "relative"),
        (one_more, "One more may go"),
        (nobody_left, "one channel at least"),
    ],
    "fit_with_bias": [
        (bias_afterwards, "without a bias first"),
        (answers_centred_only, "means out of X as well"),
        (mean_of_answers, "the mean of Y"),
        (bias_plus, "The sign"),
        (kept_rows_only, "a row for every neuron"),
        (weights_only, "two things"),
    ],
    "remove_block": [
        (asked_at_the_start, "all columns at the start"),
        (same_weights, "W has to change"),
        (same_inverse, "H has to change"),
        (last_share, "the last column's share"),
        (old_weights_back, "W does not follow"),
        (old_inverse_back, "H does not follow"),
        (in_place, "changed its input"),
    ],
    "ridge_fit": [
        (towards_zero, "towards zero"),
        (absolute_ridge, "λ is relative"),
        (explained_twice, "explains of it already"),
        (no_ridge, "no effect"),
        (everywhere, "on the diagonal only"),
    ],
    "mend": [
        (hears_the_original, "hears now"),
        (aims_at_itself, "aims at itself"),
        (no_repair, "refit them"),
        (forgets_relu, "comes a ReLU"),
        (smaller_matrices, "keeps its shape"),
    ],
    "my_method": [
        (quietest_first, "nobody listens"),
        (least_listened_to, "never says a word"),
        (largest_first, "never says a word"),
        (columns_for_channels, "goes once"),
        (importance_itself, "pk.Elimination"),
        (by_number, "other numbers"),
    ],
}
