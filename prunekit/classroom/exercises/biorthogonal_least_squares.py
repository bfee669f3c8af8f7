"""Lesson 04: dual vectors from other sides, and what one inverse is good for."""

import torch
from torch import Tensor
from torch.linalg import inv, lstsq

import prunekit as pk
from prunekit.classroom.checks import Answer, exercise

LESSON = "04-biorthogonal-least-squares"
PAIR = torch.tensor([[2.0, 2.0], [0.0, 2.0]], dtype=torch.float64)  # columns x_0, x_1


def _drawn(answer: Answer, low: int = 4, high: int = 8) -> Tensor:
    """X (samples, n): independent columns that have something in common."""
    n = answer.integer(low, high)
    samples = 4 * n + 7
    return answer.normal(samples, n) + 0.7 * answer.normal(samples, 1)


def _residual(X: Tensor, j: int) -> Tensor:
    """What the other columns cannot say for column j (samples,)."""
    others = [i for i in range(X.shape[1]) if i != j]
    return X[:, j] - X[:, others] @ lstsq(X[:, others], X[:, j]).solution


@exercise(LESSON)
def unsaid_share(answer):
    def compare(X: Tensor, hint: str) -> None:
        G, H = X.T @ X, inv(X.T @ X)
        wanted = torch.stack([_residual(X, j).square().sum() for j in range(len(G))])
        wanted = wanted / X.square().sum(0)
        mistakes = {
            "That is the energy of the residual. Which part of the neuron's own energy, G_jj, "
            "is it?": 1 / H.diagonal(),
            "Upside down: a share lies between 0 and 1.": 1 / wanted,
            "That is what the others can say; asked is what they cannot.": 1 - wanted,
            "The diagonal of the inverse is not the inverse of the diagonal: invert all of G "
            "first.": torch.ones_like(wanted),
        }
        answer.expect(answer(G), wanted, hint, mistakes)

    compare(PAIR, "x_0 = (2, 0) and x_1 = (2, 2) meet at 45°: each share is sin² 45° = 1/2.")
    apart = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).diag()
    compare(apart, "Neurons perpendicular to each other cannot say a thing for one another.")
    compare(_drawn(answer), "The residual of j has the energy 1/H_jj; divide it by G_jj.")


@exercise(LESSON)
def dual_from_residual(answer):
    def compare(X: Tensor, j: int, hint: str) -> None:
        r, x = _residual(X, j), X[:, j]
        dual = X @ inv(X.T @ X)[:, j]  # by the other way
        mistakes = {
            "That is the residual itself: right direction, wrong length. Divide it by its "
            "energy.": r,
            "That has length 1. It must be ⟨x_j, x̃_j⟩ that is 1.": r / r.norm(),
            "Divide the residual by its own energy, not by that of x_j.": r / (x @ x),
            "That is x_j, rescaled: it is not perpendicular to the others. What they can say "
            "has to go first.": x / (x @ x),
        }
        answer.expect(answer(X, j), dual, hint, mistakes)

    compare(PAIR, 0, "Without x_1, (1, -1) is left of x_0 = (2, 0); the dual is (1/2, -1/2).")
    X = _drawn(answer)
    n = X.shape[1]
    for j in (n - 1, answer.integer(0, n - 2)):
        compare(X, j, "Fit x_j by all other columns; the residual over its energy is the dual.")


@exercise(LESSON)
def duals_by_qr(answer):
    X = _drawn(answer)
    n, Q = X.shape[1], torch.linalg.qr(X)[0]
    R = Q.T @ X
    mistakes = {
        "That is Q: its columns are perpendicular to each other. Duals are perpendicular to the "
        "other x_i.": Q,
        "Almost: the inverse of R has to be transposed.": Q @ inv(R),
        "That multiplies by R; what undoes it is needed.": Q @ R.T,
        "That is (n, samples): a column for each dual, please.": inv(R) @ Q.T,
    }
    hint = "XᵀX̃ must be the identity: with X = QR it is RᵀQᵀX̃. Which X̃ makes that I?"
    answer.expect(answer(X), X @ inv(X.T @ X), hint, mistakes)
    twins = X.clone()
    twins[:, 1] = X[:, 0] + 1e-7 * X[:, 1]
    miss = (twins.T @ answer(twins) - torch.eye(n)).abs().max().item()
    answer.require(
        miss < 1e-4,
        "Two neurons nearly alike, and XᵀX̃ is far from the identity. XᵀX squares the condition "
        "number, and half of the digits are gone: never form it.",
    )


@exercise(LESSON)
def bring_back(answer):
    def compare(X: Tensor, hint: str) -> None:
        old, x = X[:, :-1], X[:, -1]
        H, g = inv(old.T @ old), old.T @ x
        m, r = len(g), _residual(X, len(g)).square().sum()
        padded = torch.zeros(m + 1, m + 1, dtype=X.dtype)
        padded[:m, :m] = H
        v, plus = (torch.cat([sign * H @ g, torch.ones(1)]) for sign in (-1, 1))
        mistakes = {
            "The newcomer's own coefficient is 1, those of the others are negative: it is what "
            "they say that is taken away.": padded + torch.outer(plus, plus) / r,
            "You divide by the newcomer's energy. Only what the others cannot say for it counts: "
            "energy − gᵀHg.": padded + torch.outer(v, v) / (x @ x),
            "The H that was there has to stay: add to it.": torch.outer(v, v) / r,
            "That is what leaves when a neuron goes: here the sign is the other.": padded
            - torch.outer(v, v) / r,
        }
        answer.expect(answer(H, g, x @ x), inv(X.T @ X), hint, mistakes)

    compare(PAIR, "x_0 = (2, 0) alone has H = 1/4. With (2, 2) it is [[1/2, -1/4], [-1/4, 1/4]].")
    compare(_drawn(answer), "The newcomer comes last: pad H with a row and a column of zeros.")


@exercise(LESSON)
def leave_two_out(answer):
    def compare(X: Tensor, W: Tensor, i: int, j: int, hint: str) -> None:
        H, Y = inv(X.T @ X), X @ W
        kept = [c for c in range(X.shape[1]) if c not in (i, j)]
        left = Y - X[:, kept] @ lstsq(X[:, kept], Y).solution if kept else Y
        s, d, h = W.square().sum(1), H.diagonal(), H[i, j]
        V = W[j] - h / d[i] * W[i]  # row j of the weights when i has gone
        rest = d[j] - h * h / d[i]  # and what is then left of H_jj
        mistakes = {
            "Costs do not add up: when one has gone, it cannot cover for the other any more.": s[i]
            / d[i]
            + s[j] / d[j],
            "H has changed, but W has not: when i goes, row j takes over a part of its work.": s[i]
            / d[i]
            + s[j] / rest,
            "W has changed, but H has not: the dual of j gets shorter when i goes.": s[i] / d[i]
            + V.square().sum() / d[j],
            "That is only what the second removal adds.": V.square().sum() / rest,
        }
        answer.expect(answer(H, W, i, j), left.square().sum(), hint, mistakes)

    hint = "With x_0 = (2, 0), x_1 = (2, 2) and W = 1, 1 all of Y = (4, 2) is lost: 20."
    compare(PAIR, torch.ones(2, 1, dtype=torch.float64), 0, 1, hint)
    X = _drawn(answer)
    W, i = answer.normal(X.shape[1], 3), answer.integer(1, X.shape[1] - 1)
    for pair in ((0, i), (i, 0)):
        compare(X, W, *pair, "Remove i, update W and H, and ask what j costs then.")


@exercise(LESSON)
def better_set(answer):
    def ask(X: Tensor, Y: Tensor, keep: int) -> tuple[set[int], Tensor]:
        got = answer(X, Y, keep)
        kept = [int(j) for j in torch.as_tensor(got).flatten()]
        fine = len(kept) == keep == len(set(kept)) and set(kept) <= set(range(X.shape[1]))
        answer.require(fine, f"Give the numbers of the {keep} neurons that stay, each once.")
        left = Y - X[:, kept] @ lstsq(X[:, kept], Y).solution
        return set(kept), left.square().sum()

    # neuron 2 says nearly the sum of the other two, and the sum is what the next layer wants
    X = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.1]], dtype=torch.float64)
    Y = X[:, :2].sum(1, keepdim=True)
    answer.require(
        ask(X, Y, 2)[0] == {0, 1},
        "Y = x_0 + x_1 exactly, but you keep another pair. Who takes the best one first, and "
        "the best one to go with it (forward), can miss the best pair.",
    )
    answer.require(
        ask(X, Y, 1)[0] == {2},
        "Neuron 2 alone says nearly all of Y, but you keep another one. Who removes the cheapest "
        "first (backward, as greedy does) throws it away, and never looks back.",
    )
    for _ in range(8):
        X = _drawn(answer, 7, 8)
        Y = X @ answer.normal(X.shape[1], 2) + answer.normal(len(X), 2)
        keep = answer.integer(3, 5)
        greedy = pk.eliminate(pk.Moments().update(X, Y), centered=False, ridge=0)
        kept = greedy.kept_at(keep).tolist()
        least = (Y - X[:, kept] @ lstsq(X[:, kept], Y).solution).square().sum()
        answer.require(
            bool(ask(X, Y, keep)[1] <= least * (1 + 1e-9)),
            "Your set's error is larger than that of pk.eliminate: start from its set, or look "
            "at it as well.",
        )
