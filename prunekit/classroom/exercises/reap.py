"""Lesson 05: what a layer loses, the fits that mend it, and a method of one's own."""

import torch
from torch import Tensor
from torch.linalg import inv, lstsq

import prunekit as pk
from prunekit.algebra.statistics import Consumer
from prunekit.classroom.checks import Answer, exercise

LESSON = "05-reap"
F64 = torch.float64


def _drawn(answer: Answer, n: int, outputs: int) -> tuple[Tensor, Tensor, Tensor]:
    """X (samples, n) of non-negative columns, W (n, outputs), and Y that X nearly explains."""
    samples = 5 * n + 9
    X = (answer.normal(samples, n) + 0.6 * answer.normal(samples, 1) + 0.4).relu()
    W = answer.normal(n, outputs)
    return X, W, X @ W + 1.5 + 0.1 * answer.normal(samples, outputs)


def _fit(X: Tensor, Y: Tensor, kept: list[int]) -> Tensor:
    """W (n, outputs) of Y ≈ XW by the kept columns, without a bias; the other rows are zero."""
    moments = pk.Moments().update(X, Y)
    problem = pk.LeastSquares.from_moments(moments, centered=False, ridge=0)
    return problem.solve(torch.tensor(kept))


@exercise(LESSON)
def channels_to_keep(answer):
    def compare(errors: Tensor, energy: float, bound: float, hint: str) -> None:
        n, total = len(errors), errors.cumsum(0)
        gone = sum(e <= bound * energy for e in total.tolist())
        mistakes = {
            "That is how many may go; asked is how many stay.": gone,
            "You compare each removal alone. Their errors add up.": n
            - int((errors <= bound * energy).sum()),
            "The bound is relative: compare with bound · energy.": n - int((total <= bound).sum()),
            "One more may go: the last removal that still fits counts.": n - gone + 1,
        }
        mistakes = {words: max(keep, 1) for words, keep in mistakes.items()}
        answer.expect(answer(errors, energy, bound), max(n - gone, 1), hint, mistakes)

    hand = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 20.0], dtype=F64)
    hint = "After two removals the error is 3, after three 6: of 100, 5.5 % allow two."
    compare(hand, 100.0, 0.055, hint)
    compare(hand, 40.0, 0.9, "All six may go here, but a layer needs one channel at least.")
    errors = answer.normal(answer.integer(9, 20)).abs().sort().values
    compare(errors, 3 * errors.sum().item(), 0.1, "Add the errors up, from the first on.")


@exercise(LESSON)
def fit_with_bias(answer):
    n = answer.integer(4, 7)
    X, _, Y = _drawn(answer, n, 3)
    kept = [0, 2, n - 1]
    fitted = lstsq(torch.cat([X[:, kept], torch.ones(len(X), 1)], 1), Y).solution
    W = torch.zeros(n, 3, dtype=F64)
    W[kept], b = fitted[:-1], fitted[-1]

    got = answer(X, Y, kept)
    answer.require(isinstance(got, tuple | list) and len(got) == 2, "Return two things: W and b.")
    shapes = "W has a row for every neuron, zero where it is gone, and b one number per output."
    answer.require([tuple(torch.as_tensor(g).shape) for g in got] == [(n, 3), (3,)], shapes)
    mistakes = {
        "You fitted without a bias first: take the means out of X and Y before the fit.": _fit(
            X, Y, kept
        ),
        "Only Y was centred: take the means out of X as well.": _fit(X, Y - Y.mean(0), kept),
    }
    answer.expect(got[0], W, "Fit the centred Y by the centred columns that are kept.", mistakes)
    mistakes = {
        "That is the mean of Y. The kept neurons have a mean, too: they say part of it.": Y.mean(0),
        "The sign: what X says on average is taken away from the mean of Y.": Y.mean(0)
        + X.mean(0) @ W,
    }
    answer.expect(got[1], b, "On average XW + b must be the mean of Y.", mistakes)


@exercise(LESSON)
def remove_block(answer):
    def compare(X: Tensor, W: Tensor, c: list[int], hint: str) -> None:
        H = inv(X.T @ X)
        U = torch.linalg.solve(H[c][:, c], W[c])  # all at once, as the notebook did
        left = H - H[:, c] @ torch.linalg.solve(H[c][:, c], H[c])
        error = (W[c] * U).sum()
        got = answer(H, W, c)
        three = isinstance(got, tuple | list) and len(got) == 3
        answer.require(three, "Return three things: H, W and the error.")
        mistakes = {
            "You asked all columns at the start. After one has gone, H and W are others: "
            "remove, update, ask again.": _one_by_one(H, W, c, ""),
            "W has to change with each column that goes, as H does.": _one_by_one(H, W, c, "H"),
            "H has to change with each column that goes, as W does.": _one_by_one(H, W, c, "W"),
            "That is the last column's share only: add all of them up.": error
            - _one_by_one(H, W, c[:-1], "HW"),
        }
        answer.expect(got[2], error, hint, mistakes)
        answer.expect(got[1], W - H[:, c] @ U, "W does not follow: W ← W − H_:j W_j / H_jj.")
        answer.expect(got[0], left, "H does not follow: H ← H − H_:j H_j: / H_jj.")

    X = torch.tensor([[2.0, 2.0], [0.0, 2.0]], dtype=F64)
    hint = "Both columns go here, and with them all of Y = (4, 2): the error is 20."
    compare(X, torch.ones(2, 1, dtype=F64), [0, 1], hint)
    n = answer.integer(3, 4)
    X, W, _ = _drawn(answer, 4 * n, 3)
    c = list(range(4, 8))
    compare(X, W, c, "Add ‖W_j‖² / H_jj of every column, with the H and W of that moment.")


def _one_by_one(H: Tensor, W: Tensor, c: list[int], follow: str) -> Tensor:
    """The sum of ‖W_j‖² / H_jj as the columns go; only what ``follow`` names is updated."""
    error = torch.zeros((), dtype=F64)
    for j in c:
        error = error + W[j].square().sum() / H[j, j]
        h, H_j, W_j = H[:, j] / H[j, j], H[j], W[j]
        H = H - torch.outer(h, H_j) if "H" in follow else H
        W = W - torch.outer(h, W_j) if "W" in follow else W
    return error


@exercise(LESSON)
def ridge_fit(answer):
    n = answer.integer(4, 7)
    X, W0, Y = _drawn(answer, n, 2)
    G, B, eye = X.T @ X, X.T @ Y, torch.eye(n, dtype=F64)
    dead = torch.zeros_like(G)
    dead[0, 0] = 4.0
    hint = "Neurons 1, 2, … never spoke: nothing is known, so their rows stay as in W0."
    zero = {"Unheard rows become zero: you pull W towards zero, not W0.": 0 * W0[1:]}
    answer.expect(answer(dead, dead @ W0, W0, 0.01)[1:], W0[1:], hint, zero)

    strength = 0.05
    lam = strength * G.diagonal().mean()
    # least squares with n more samples, that say "be as W0"
    more = lam.sqrt() * eye
    wanted = lstsq(torch.cat([X, more]), torch.cat([Y, more @ W0])).solution
    mistakes = {
        "That pulls towards zero: where does W0 come in?": inv(G + lam * eye) @ B,
        "λ is relative: strength times the mean of G's diagonal.": W0
        + inv(G + strength * eye) @ (B - G @ W0),
        "B is all that Y says. What W0 explains of it already, G·W0, is not to be fitted again.": W0
        + inv(G + lam * eye) @ B,
        "λ has no effect: that is plain least squares.": inv(G) @ B,
        "λ stands on the diagonal only: times the identity.": W0
        + torch.linalg.solve(G + lam, B - G @ W0),
    }
    hint = "Solve (G + λI)(W − W0) = B − G·W0."
    answer.expect(answer(G, B, W0, strength), wanted, hint, mistakes)


@exercise(LESSON)
def mend(answer):
    widths = [8, answer.integer(6, 8), answer.integer(5, 6), 3]
    X = answer.normal(150, widths[0])
    layers = [answer.normal(*shape) + 0.4 for shape in zip(widths, widths[1:], strict=False)]
    everyone = [list(range(n)) for n in widths[1:-1]]

    def ask(kept: list[list[int]]) -> list[Tensor]:
        got = answer(X, layers, kept)
        fine = isinstance(got, tuple | list) and len(got) == len(layers)
        answer.require(fine, "Return a list with as many matrices as came.")
        same = [tuple(W.shape) for W in got] == [tuple(W.shape) for W in layers]
        answer.require(same, "Every matrix keeps its shape; the rows of neurons that go are zero.")
        return got

    for W, original in zip(ask(everyone), layers, strict=True):
        answer.expect(W, original, "Nobody goes, so nothing may change.")
    kept = [everyone[0][1:], everyone[1][:-1]]
    intact, now, plain, wanted = X, X, X, layers[0]
    got = ask(kept)
    answer.expect(got[0], wanted, "The first matrix hears the inputs: it stays as it is.")
    for t, stay in enumerate(kept, start=1):
        intact = (intact @ layers[t - 1]).relu()
        now, plain = (now @ wanted).relu(), plain @ layers[t - 1]
        aim, unrepaired = intact @ layers[t], torch.zeros_like(layers[t])
        unrepaired[stay] = layers[t][stay]
        wanted = _fit(now, aim, stay)
        mistakes = {
            "The rows of the neurons that stay are as before: refit them.": unrepaired,
            "X must be what the layer hears now, from the layers already pruned.": _fit(
                intact, aim, stay
            ),
            "Behind every matrix comes a ReLU.": _fit(plain, plain @ layers[t], stay),
            "It aims at itself: the target is what the original network answers.": _fit(
                now, now @ layers[t], stay
            ),
        }
        hint = f"Matrix {t}: fit the original's answers by what the kept neurons say now."
        answer.expect(got[t], wanted, hint, mistakes)


@exercise(LESSON, plain=False)  # it takes a `pk.Statistics`, with functions in it
def my_method(answer):
    for k in (1, 4):
        n = answer.integer(7, 9)
        X, W, _ = _drawn(answer, n * k, 3)
        X, W, mute, unused = X.view(-1, n, k), W.view(n, k, 3), n - 2, 1
        X[:, unused], W[mute] = 4 * X[:, unused], 4 * W[mute]  # one is loud, one has large weights
        X[:, mute], W[unused] = 0.0, 0.0
        filters = answer.normal(n, 5)
        order = _order(answer, X, W, filters)
        answer.require(
            order.index(mute) < 2,
            f"Channel {mute} never says a word, yet others go before it: look at site.moments.",
        )
        answer.require(
            order.index(unused) < 2,
            f"To channel {unused} nobody listens: its rows of site.weights are zero, yet others "
            "go before it.",
        )
        # the same channels, numbered from the other end; the two that cost nothing are a tie
        again = _order(answer, X.flip(1), W.flip(0), filters.flip(0))
        answer.require(
            order[2:] == [n - 1 - channel for channel in again[2:]],
            "Give the same channels other numbers, and other channels go: the order must come "
            "from what they say.",
        )


def _order(answer: Answer, X: Tensor, W: Tensor, filters: Tensor) -> list[int]:
    """What a method says of X (samples, n, k) and W (n, k, outputs); k columns per channel."""
    samples, n, k = X.shape
    flat, weights = X.reshape(samples, n * k), W.reshape(n * k, -1)
    Y = flat @ weights + 0.5
    b = torch.full((W.shape[2],), 0.5, dtype=F64)
    moments = pk.Moments().update(flat, Y)
    site = pk.Statistics(
        name="exercise",
        consumers=(Consumer("exercise", lambda: moments, weights, b, block_size=k),),
        filters=filters,
        filter_scale=torch.ones(n, dtype=F64),
        filter_shift=torch.zeros(n, dtype=F64),
        inputs=lambda: iter([X]),
        inputs_with_gradients=lambda: iter([(X, (Y @ weights.T).view_as(X))]),
        rows=lambda count: (flat[:count], Y[:count]),
    )
    got = answer(site)
    hint = "Return a pk.Elimination: pk.Elimination(importance.argsort())."
    answer.require(isinstance(got, pk.Elimination), hint)
    order = [int(channel) for channel in torch.as_tensor(got.order).flatten()]
    hint = f"Every one of the {n} channels goes once, a channel with all its {k} columns."
    answer.require(sorted(order) == list(range(n)), hint)
    return order
