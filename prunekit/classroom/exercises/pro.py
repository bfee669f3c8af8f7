"""Lesson 06: what a pruned layer does to the outputs, and how to spend a budget."""

import math
from itertools import product

import torch
from torch import Tensor

from prunekit.classroom.checks import Answer, exercise

LESSON = "06-pro"


@exercise(LESSON)
def relative_move(answer: Answer) -> None:
    z0 = torch.tensor([[0.0, 10.0], [2.0, 10.0], [4.0, 16.0]], dtype=torch.float64)
    answer.expect(answer(z0, z0), 0.0, "Outputs that did not move have moved by 0.")
    constant = z0.mean(0).expand(3, 2)
    hint = (
        "A network that always answers the mean must score 1: divide by how far z0 itself strays "
        "from its mean, taken for each output."
    )
    centre, energy = (z0 - z0.mean(0)).square().sum(), z0.square().sum()
    mistakes = {
        "You divided by the length of z0. A bias in all outputs would hide every move: take the "
        "mean of each output out first.": centre / energy,
        "One mean for all outputs is not enough: each output has its own.": centre
        / (z0 - z0.mean()).square().sum(),
        "That is D itself: divide it by how far z0 strays from its mean.": centre / 3,
    }
    answer.expect(answer(constant, z0), 1.0, hint, mistakes)

    images, outputs = answer.integer(20, 40), answer.integer(3, 7)
    z0 = answer.normal(images, outputs) * 3 + answer.normal(outputs)
    z = z0 + answer.normal(images, outputs) * 0.4
    spread = z0.shape[0] * z0.var(0, correction=0).sum()
    wanted = (z - z0).pow(2).sum() / spread
    strayed = z0 - z0.mean(0)
    mistakes = {
        "Lengths instead of squared lengths: square the numbers before you add them.": (
            (z - z0).norm(dim=1).sum() / strayed.norm(dim=1).sum()
        ),
        "You took the root: both D and the spread are squares.": wanted.sqrt(),
        "Divide by the spread of z0, the intact network, not of z.": (
            (z - z0).square().sum() / (z - z.mean(0)).square().sum()
        ),
        "One side is averaged over images and outputs, the other only over images.": (
            wanted / outputs
        ),
    }
    answer.expect(answer(z, z0), wanted, "Squared moves over squared spread.", mistakes)


@exercise(LESSON)
def macs_saved(answer: Answer) -> None:
    hint = "Count all MACs before and after, and subtract."
    # the reader of digits: 64 inputs, 64 and 32 neurons, 10 outputs
    mistakes = {
        "The next layer becomes cheaper too: it hears one channel less.": 64,
        "The layer itself becomes cheaper too: it makes one channel less.": 32,
        "That is what is left of the MACs, not what is saved.": 63 * (64 + 32) + 320,
    }
    answer.expect(answer([64, 64, 32, 10], [1, 1, 1], 1, 1), 96, hint, mistakes)

    widths = [7 + 2 * i + answer.integer(0, 1) for i in range(6)]  # no two alike
    per_pair = [50 - 8 * i - answer.integer(0, 7) for i in range(5)]
    layer, gone = answer.integer(1, 4), answer.integer(3, 4)
    after = [w - gone * (i == layer) for i, w in enumerate(widths)]
    before, left = (sum(per_pair[i] * w[i] * w[i + 1] for i in range(5)) for w in (widths, after))
    made = per_pair[layer - 1] * widths[layer - 1]  # MACs that one channel costs where it is made
    taken = per_pair[layer] * widths[layer + 1]  # and where it is taken
    mistakes = {
        "The next layer becomes cheaper too: it hears fewer channels.": gone * made,
        "The layer itself becomes cheaper too: it makes fewer channels.": gone * taken,
        "That is the saving of one channel: how many go?": made + taken,
        "You let `gone` channels stay; they are those that go.": (widths[layer] - gone)
        * (made + taken),
        "The prices per pair are swapped: per_pair[i] lies between layers i and i + 1.": gone
        * (per_pair[layer] * widths[layer - 1] + per_pair[layer - 1] * widths[layer + 1]),
    }
    answer.expect(answer(widths, per_pair, layer, gone), before - left, hint, mistakes)


def _problem(answer: Answer, layers: int, levels: int) -> tuple[Tensor, Tensor]:
    """Curves D (layers, levels), rising but not convex, and whole savings of as many."""
    D = answer.normal(layers, levels).abs().cumsum(1)
    saved = torch.tensor([[answer.integer(2, 9) for _ in range(levels)] for _ in range(layers)])
    D[:, 0], saved[:, 0] = 0.0, 0
    return D, saved.cumsum(1)


def _best_at(D: Tensor, saved: Tensor, price: float) -> list[int]:
    """Each layer's level of least D − price · saved, one by one."""
    scores = [
        [d - price * s for d, s in zip(*row, strict=True)]
        for row in zip(D.tolist(), saved.tolist(), strict=True)
    ]
    return [row.index(min(row)) for row in scores]


@exercise(LESSON)
def levels_at_price(answer: Answer) -> None:
    D = torch.tensor([[0.0, 0.5, 6.0], [0.0, 3.0, 5.5]], dtype=torch.float64)
    saved = torch.tensor([[0, 2, 4], [0, 2, 4]])
    hint = "Each layer alone: D less what it earns, price times saved; the level of the least."
    larger = _problem(answer, answer.integer(6, 9), answer.integer(6, 8))
    median = (larger[0][:, -1] / larger[1][:, -1]).median().item()
    cases = [
        (D, saved, 0.0, "At price 0 saving earns nothing: nobody prunes."),
        (D, saved, 100.0, "At a huge price all go as far as they can."),
        (D, saved, 1.0, hint),
        (*larger, 1.01 * median, hint),
    ]
    for D, saved, price, words in cases:
        one = int((D - price * saved).sum(0).argmin())
        ratio = 1 + (D[:, 1:] / saved[:, 1:]).argmin(1)
        mistakes = {
            "You add price · saved, which punishes saving: subtract it.": (
                (D + price * saved).argmin(1)
            ),
            "That is the level of the largest value: take the least.": (
                (D - price * saved).argmax(1)
            ),
            "D per MAC saved does not know the price: it says the same at all prices.": ratio,
            "That is one level for all layers: minimise each layer by itself.": [one] * len(D),
            "You minimised down the layers: minimise each row.": (D - price * saved).argmin(0),
        }
        answer.expect(answer(D, saved, price), _best_at(D, saved, price), words, mistakes)


def _total(values: Tensor, levels: Tensor) -> float:
    return values.gather(1, levels[:, None]).sum().item()


def _usable(answer: Answer, levels: object, D: Tensor, saved: Tensor, need: int) -> Tensor:
    """The learner's levels, if they are levels and save enough."""
    levels = torch.as_tensor(levels)
    answer.require(
        tuple(levels.shape) == (len(D),),
        f"Return one level per layer, shape ({len(D)},); the shape is {tuple(levels.shape)}.",
    )
    levels = levels.long()
    answer.require(
        bool(((levels >= 0) & (levels < D.shape[1])).all()), "Levels are column numbers of D."
    )
    answer.require(
        _total(saved, levels) >= need,
        f"These levels save {_total(saved, levels):g}, but at least {need} is needed.",
    )
    return levels


def _by_price(D: Tensor, saved: Tensor, need: int) -> list[int]:
    """What the lowest price gives that saves enough."""
    prices = {0.0}
    for d, s in zip(D.tolist(), saved.tolist(), strict=True):
        pairs = product(range(len(d)), repeat=2)
        prices |= {(d[b] - d[a]) / (s[b] - s[a]) for a, b in pairs if s[b] > s[a]}
    found = (_best_at(D, saved, price * (1 + 1e-7)) for price in sorted(prices))
    return next(f for f in found if _total(saved, torch.tensor(f)) >= need)


def _walked(D: Tensor, saved: Tensor, need: int) -> list[int]:
    """The greedy walk: always the step with the smallest rise of D per saving."""
    at, slopes = torch.zeros(len(D), dtype=torch.long), D.diff() / saved.diff()
    slopes = torch.cat([slopes, torch.full((len(D), 1), torch.inf)], 1)
    while _total(saved, at) < need:
        at[slopes.gather(1, at[:, None]).argmin()] += 1
    return at.tolist()


def _exact(D: Tensor, saved: Tensor, need: int) -> list[int]:
    """Every choice there is, one after the other."""
    choices = torch.tensor(list(product(range(D.shape[1]), repeat=len(D))))  # (choices, layers)
    rows = torch.arange(len(D))
    D_all, saved_all = D[rows, choices].sum(1), saved[rows, choices].sum(1)
    return choices[D_all.where(saved_all >= need, math.inf).argmin()].tolist()


@exercise(LESSON)
def best_levels(answer: Answer) -> None:
    # no price gives [2, 1, 0]: each layer goes all the way or stays; then, a walk that overshoots
    D = torch.tensor([[0, 3, 4], [0, 3.4, 4.5], [0, 50, 60]], dtype=torch.float64)
    saved = torch.tensor([[0, 2, 4]]).repeat(3, 1)
    short = torch.tensor([[0.0, 1.0, 3.0], [0.0, 2.0, 9.0]], dtype=torch.float64)
    cases = [(D, saved, 6), (D, saved, 3), (short, torch.tensor([[0, 2, 4], [0, 3, 6]]), 3)]
    for _ in range(4):
        D, saved = _problem(answer, answer.integer(4, 5), answer.integer(4, 6))
        cases.append((D, saved, int(0.55 * saved[:, -1].sum())))
    for D, saved, need in cases:
        hint = "There are levels with a smaller total D that save enough (more is allowed, too)."
        mistakes = {
            "That is the greedy walk, which cannot take a step back: keep several ways "
            "open.": _walked(D, saved, need),
            "These are the levels of one price, and save more than needed: look between "
            "prices.": _by_price(D, saved, need),
        }
        got = _usable(answer, answer(D, saved, need), D, saved, need)
        answer.expect(got, _exact(D, saved, need), hint, mistakes)


@exercise(LESSON)
def my_criterion(answer: Answer) -> None:
    images, outputs = answer.integer(30, 50), answer.integer(4, 8)
    z0 = 3 * answer.normal(images, outputs)

    def measured(z: Tensor, reference: Tensor = z0) -> float:
        value = torch.as_tensor(answer(z, reference)).double()
        answer.require(value.numel() == 1, f"Return one number, not shape {tuple(value.shape)}.")
        answer.require(
            bool(value.isfinite()),
            "It is not finite. Does it divide by 0, or take the logarithm of a probability that "
            "rounds to 0? (Logarithms of probabilities have a function of their own.)",
        )
        return value.item()

    wrong = z0.clone()  # the largest output changes places with the smallest
    ids, top, low = torch.arange(images), z0.argmax(1), z0.argmin(1)
    wrong[ids, top], wrong[ids, low] = z0[ids, low], z0[ids, top]
    half = torch.where((ids % 2 == 0)[:, None], wrong, z0)
    answer.require(abs(measured(z0)) < 1e-9, "Outputs that did not move must cost 0.")
    cost = measured(wrong)
    answer.require(cost > 1e-9, "Every image changes its class here: that must cost more than 0.")
    z = z0 + answer.normal(images, outputs)
    answer.require(
        min(measured(z), measured(2 * z0), measured(z0, 2 * z0)) >= -1e-9,
        "It can be negative, so moves may cancel out: no move may be worth less than none.",
    )
    harmless = z0 + answer.normal(images, 1)
    answer.require(
        abs(measured(harmless)) < 1e-6 * cost,
        "The same number was added to every output of an image. No probability and no decision "
        "changes, so it must cost 0: what do you compare that does not change either?",
    )
    one = measured(z)
    order = torch.arange(images - 1, -1, -1)
    same = math.isclose(measured(z[order], z0[order]), one, rel_tol=1e-6)
    answer.require(same, "The order of the images must not matter.")
    twice = measured(z.repeat(2, 1), z0.repeat(2, 1))
    answer.require(
        math.isclose(twice, one, rel_tol=1e-6),
        "With every image twice it changes: take a mean over images, so that budgets mean the "
        "same for 100 images as for 1,000.",
    )
    answer.require(
        1e-9 < measured(half) < cost,
        "Half of the images change their class: that must cost something, and less than all.",
    )
    measured(200 * wrong, 200 * z0)
