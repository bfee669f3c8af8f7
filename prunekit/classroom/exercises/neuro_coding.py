"""The exercises of lesson 02: what a correct answer has to show."""

from itertools import permutations

import torch
from torch import Tensor

from prunekit.classroom.checks import Answer, exercise

LESSON = "02-neuro-coding"


def _matrix(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def _cosines(G: Tensor) -> Tensor:
    lengths = G.diagonal().sqrt()
    return G / torch.outer(lengths, lengths)


@exercise(LESSON)
def most_alike(answer: Answer) -> None:
    hint = "For each neuron, the number of the other one with the largest similarity."
    S = _matrix([1, 0.2, 0.6], [0.2, 1, 0.4], [0.6, 0.4, 1])
    wrong = {
        "Every neuron is most like itself: leave the diagonal out.": [0, 1, 2],
        "That is how alike they are; say which neuron it is.": [0.6, 0.4, 0.6],
        "These are the least alike.": [1, 0, 1],
    }
    answer.expect(answer(S), [2, 2, 0], hint, wrong)
    S = _matrix([1, -0.6, -0.2], [-0.6, 1, -0.4], [-0.2, -0.4, 1])
    wrong = {
        "A zero on the diagonal is not small enough: others may be below zero.": [
            0,
            1,
            2,
        ],
        "An opposite is not alike: keep the sign.": [1, 0, 1],
    }
    answer.expect(answer(S), [2, 2, 0], hint, wrong)
    n = answer.integer(4, 7)
    S = torch.corrcoef(answer.normal(n, 9))
    best = [max((j for j in range(n) if j != i), key=lambda j, i=i: S[i, j]) for i in range(n)]
    answer.expect(answer(S), best, hint)


def _shuffled_cosines(X: Tensor) -> Tensor:
    """Cosines of x_i and a shuffled x_j, averaged over all orders of the samples."""
    orders = list(permutations(range(len(X))))
    G = sum(X.T @ X[list(order)] for order in orders) / len(orders)
    lengths = X.square().sum(0).sqrt()
    return G / torch.outer(lengths, lengths)


@exercise(LESSON)
def chance_cosines(answer: Answer) -> None:
    hint = "Shuffled, every entry of x_j is μ_j on average; what is the inner product then?"
    for X in (_matrix([1, 0, 1], [1, 2, 4], [1, 1, 1]), answer.normal(5, 4).abs() + 0.1):
        mu, lengths = X.mean(0), X.square().sum(0).sqrt()
        flat = torch.outer(mu, mu) / torch.outer(lengths, lengths)
        wrong = {
            "These are the cosines as they are: nothing was shuffled.": _cosines(X.T @ X),
            "An inner product is a sum over all samples, not a mean: N is missing.": flat,
            "Shuffling keeps the length of x_j: only the inner product becomes an average.": (
                torch.ones_like(flat)
            ),
            "That is the value for Gaussian noise; take the means of these neurons.": (
                torch.full_like(flat, 1 / torch.pi)
            ),
            "Nothing is left of a correlation. A cosine does not take the means out.": 0 * flat,
            "Shuffle one of the two, also where i = j: the diagonal is no exception.": (
                (len(X) * flat).fill_diagonal_(1.0)
            ),
        }
        answer.expect(answer(X), _shuffled_cosines(X), hint, wrong)


@exercise(LESSON)
def correlations_of_sums(answer: Answer) -> None:
    hint = "Scatter around the mean, S = Σ(x − μ)(x − μ)ᵀ, then a cosine of it."
    for X in (_matrix([1, 2], [2, 4], [3, 9]), answer.normal(answer.integer(11, 19), 5) + 1):
        G, total, count = X.T @ X, X.sum(0), len(X)
        mean = total / count
        S = G - count * torch.outer(mean, mean)
        wrong = {
            "These are cosines: the means have to come out.": _cosines(G),
            "N samples have N means to take out of G: one μμᵀ is not enough.": (
                _cosines(G - torch.outer(mean, mean))
            ),
            "That is the scatter: divide by the lengths, the roots of its diagonal.": S,
            "That is the covariance: divide by the lengths, too.": S / count,
            "Divide by the lengths without the mean, the diagonal of S and not of G.": (
                S / torch.outer(G.diagonal().sqrt(), G.diagonal().sqrt())
            ),
        }
        got = answer(G, total, count)
        answer.require(
            torch.as_tensor(got).isfinite().all().item(),
            "NaN came, the root of something negative: too much was taken out. Mean or total?",
        )
        answer.expect(got, torch.corrcoef(X.T), hint, wrong)
    X = torch.cat([answer.normal(7, 3), torch.zeros(7, 1, dtype=torch.float64)], 1)
    wanted = torch.eye(4, dtype=torch.float64)
    wanted[:3, :3] = torch.corrcoef(X[:, :3].T)
    got = answer(X.T @ X, X.sum(0), 7)
    answer.require(
        torch.as_tensor(got).isfinite().all().item(),
        "A neuron that never speaks makes 0/0, which is not a number: say 0 for it.",
    )
    dead = {"A dead neuron, too, is 1 with itself.": wanted - torch.diag(_matrix([0, 0, 0, 1])[0])}
    answer.expect(got, wanted, "A dead neuron is like none but itself: 0, and 1.", dead)


@exercise(LESSON)
def channel_correlations(answer: Answer) -> None:
    hint = "A sample is one position of one image, a column of X is one channel."
    for images, n, high, wide in ((3, 2, 1, 2), (answer.integer(5, 7), 4, 3, 5)):
        maps = answer.normal(images, n, high, wide) + answer.normal(images, n, 1, 1)
        maps = maps + 1
        columns = [maps[:, j].reshape(-1) for j in range(n)]
        one_by_one = [torch.corrcoef(image.flatten(1)) for image in maps]
        centred = torch.corrcoef(torch.stack(columns))
        wrong = {
            "Averaged over the positions: that forgets where a channel speaks.": (
                torch.corrcoef(maps.mean((2, 3)).T)
            ),
            "Channels got mixed: `reshape` reads on along a map, so move the channels first.": (
                torch.corrcoef(maps.reshape(-1, n).T)
            ),
            "One correlation per image, averaged: put all images under each other instead.": (
                torch.stack(one_by_one).mean(0)
            ),
            "These are cosines: the means have to come out.": (
                _cosines(torch.stack(columns) @ torch.stack(columns).T)
            ),
            "These are correlations of images; neurons are the channels.": (
                torch.corrcoef(maps.flatten(1))
            ),
        }
        answer.expect(answer(maps), centred, hint, wrong)


def _moments(X: Tensor) -> tuple[int, Tensor, Tensor]:
    mean = X.mean(0)
    return len(X), mean, (X - mean).T @ (X - mean)


@exercise(LESSON)
def merge_moments(answer: Answer) -> None:
    n = answer.integer(2, 4)
    random = answer.normal(answer.integer(3, 5), n), answer.normal(9, n) + 2
    for A, B in ((_matrix([0]), _matrix([2], [4])), random):
        one, other = _moments(A), _moments(B)
        count, mean, scatter = _moments(torch.cat([A, B]))
        got = answer(one, other)
        answer.require(
            isinstance(got, list | tuple) and len(got) == 3,
            "Return three things, as you were given them: count, mean and scatter.",
        )
        answer.expect(got[0], count, "The count of both.")
        plain = {
            "The larger part counts more: weigh each mean by its count.": (one[1] + other[1]) / 2,
            "Means do not add: weigh each mean by its count.": one[1] + other[1],
        }
        answer.expect(got[1], mean, "The mean of all samples.", plain)
        gap = other[1] - one[1]
        between, both = torch.outer(gap, gap), one[2] + other[2]
        wrong = {
            "Each part was summed around its own mean: something has to be added.": both,
            "The gap between the means counts with a weight: how many samples lie how far away?": (
                both + between
            ),
            "The gap counts too much: divide by all the samples once.": (
                both + one[0] * other[0] * between
            ),
            "Each part lies away from the new mean, not from the other part's mean.": (
                both + count * between
            ),
        }
        hint = "Around the new mean: how far is it from each of the two old ones?"
        answer.expect(got[2], scatter, hint, wrong)


@exercise(LESSON)
def my_similarity(answer: Answer) -> None:
    n, rows = 6, 2 * answer.integer(15, 20) + 1
    Z = answer.normal(rows, n)
    Z[:, 1] = Z[:, 0] + 0.1 * Z[:, 1]
    X = Z.relu()
    S = torch.as_tensor(answer(X)).double()
    answer.require(S.shape == (n, n), f"A number per pair of neurons: ({n}, {n}).")
    answer.require(S.isfinite().all().item(), "Each entry has to be a number, none NaN.")
    answer.expect(S, S.T.clone(), "As like one way as the other: it has to be symmetric.")
    answer.expect(S.diagonal(), torch.ones(n), "Each neuron is like itself, with 1.")
    answer.require(S.abs().max().item() <= 1 + 1e-6, "Nothing is more alike than 1.")

    factors = torch.arange(1, n + 1) / 3
    hint = "Loudness must not count: a neuron may say it louder, and says the same."
    answer.expect(answer(X * factors), S, hint)
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    hint = "Neurons came in another order; each pair must keep its number."
    answer.expect(answer(X[:, order]), S[order][:, order], hint)
    hint = "Images came in another order, and the numbers changed. Are equal values told apart?"
    answer.expect(answer(X.flip(0)), S, hint)

    twins = torch.cat([X, 2 * X[:, :1]], 1)
    hint = "Neuron 6 says twice what neuron 0 says: their similarity is 1."
    answer.expect(torch.as_tensor(answer(twins))[0, 6], 1.0, hint)
    others = S[0, 2:].max().item()
    hint = "Neuron 1 says what neuron 0 says, nearly; no other may be as like it."
    answer.require(S[0, 1].item() > others, hint)
    silent = torch.cat([X, torch.zeros(rows, 1)], 1)
    S = torch.as_tensor(answer(silent)).double()
    hint = "Neuron 6 never speaks, and NaN came: 0/0 is not a number. Say 0 for it."
    answer.require(S.isfinite().all().item(), hint)
    answer.expect(S[6, :6], torch.zeros(6), "A dead neuron is like none of the others: 0.")
