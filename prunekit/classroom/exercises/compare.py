"""Lesson 07: what a difference between two pruned networks is worth."""

import torch
from torch import Tensor, nn

from prunekit.classroom.checks import Answer, exercise

LESSON = "07-compare"


def _right(answer: Answer, percent: float, *shape: int) -> Tensor:
    """Which images are named correctly: bool of this shape."""
    return torch.rand(shape, generator=answer.random, dtype=torch.float64) < percent / 100


@exercise(LESSON)
def from_counts(answer: Answer) -> None:
    hint = "List the images as +1, -1 and 0, and take mean and standard deviation of that list."
    cases = [(4, 1, 10)]
    wins = answer.integer(21, 40)
    cases.append((wins, answer.integer(5, 10), wins + answer.integer(60, 150)))
    for wins, losses, images in cases:
        d = torch.tensor([100.0] * wins + [-100.0] * losses + [0.0] * (images - wins - losses))
        d = d.double()
        points, error = d.mean().item(), (d.std() / images**0.5).item()
        both = wins + losses
        mistakes = {
            "You divided by the images on which they differ: divide by all images.": (
                100 * (wins - losses) / both,
                (d[:both].std() / both**0.5).item(),
            ),
            "These are fractions of 1: give points, percent of the images.": (
                points / 100,
                error / 100,
            ),
            "Very near: the spread is taken around the mean, not around 0.": (
                points,
                100 * both**0.5 / images,
            ),
            "Very near: the spread of a sample divides by images - 1.": (
                points,
                (d.std(correction=0) / images**0.5).item(),
            ),
            "That is the spread of a single image; the mean of many strays less.": (
                points,
                d.std().item(),
            ),
            "Losses cancel wins in the mean, but not in the spread: both make it larger.": (
                points,
                100 * abs(wins - losses) ** 0.5 / images,
            ),
        }
        answer.expect(answer(wins, losses, images), (points, error), hint, mistakes)


@exercise(LESSON)
def two_spreads(answer: Answer) -> None:
    hint = "Average over one dimension first; then mean, spread and root of the numbers left."
    one = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]], dtype=torch.bool)
    other = torch.tensor([[0, 1, 1, 0], [0, 0, 0, 0]], dtype=torch.bool)
    cases = [(one, other)]
    shape = (answer.integer(4, 7), answer.integer(60, 110))
    easy = _right(answer, 70, 1, shape[1])  # the same images are easy for all draws
    cases.append((easy & _right(answer, 95, *shape), easy & _right(answer, 90, *shape)))
    for one, other in cases:
        draws, images = one.shape
        d = 100 * (one.double() - other.double()).numpy()  # (draws, images)
        points = d.mean()
        of_images = d.mean(0).std(ddof=1) / images**0.5
        of_draws = d.mean(1).std(ddof=1) / draws**0.5
        pooled = d.std(ddof=1) / d.size**0.5
        unpaired = [100 * x.double().numpy().mean(0) for x in (one, other)]
        unpaired = (sum(x.var(ddof=1) for x in unpaired) / images) ** 0.5
        mistakes = {
            "The two spreads are in the wrong order: that of the images comes first.": (
                points,
                of_draws,
                of_images,
            ),
            "The draws see the same images, so these are not draws · images independent "
            "numbers: average over the draws first.": (points, pooled, of_draws),
            "Both networks see the same images: subtract first, image by image.": (
                points,
                unpaired,
                of_draws,
            ),
            "That is how far one draw strays; the mean of several strays less: divide by the "
            "root of their number.": (points, of_images, of_draws * draws**0.5),
            "The sign: the first minus the second.": (-points, of_images, of_draws),
        }
        answer.expect(answer(one, other), (points, of_images, of_draws), hint, mistakes)


@exercise(LESSON)
def worth(answer: Answer) -> None:
    hint = "Subtract rows for the choice, columns for the repair."
    cases = [torch.tensor([[10.0, 60.0], [30.0, 70.0]], dtype=torch.float64)]
    cases.append(50 + 15 * answer.normal(2, 2))
    for table in cases:
        (a, b), (c, d) = table.tolist()
        choice, repair, overlap = (c - a + d - b) / 2, (b - a + d - c) / 2, d - c - b + a
        mistakes = {
            "You changed choice and repair at once, so nobody knows which of them it was: change "
            "one, keep the other.": (d - a, d - a, overlap),
            "Measured without repair only: average over both columns.": (c - a, repair, overlap),
            "Measured with repair only: average over both columns.": (d - b, repair, overlap),
            "Rows are choices, columns are repairs: yours are exchanged.": (
                repair,
                choice,
                overlap,
            ),
            "The sign of the last: negative when both together bring less than the sum.": (
                choice,
                repair,
                -overlap,
            ),
            "Averages, not sums: a gain is measured twice, so halve it.": (
                2 * choice,
                2 * repair,
                overlap,
            ),
        }
        answer.expect(answer(table), (choice, repair, overlap), hint, mistakes)


@exercise(LESSON)
def match_statistics(answer: Answer) -> None:
    samples, outputs = answer.integer(40, 80), answer.integer(3, 6)
    Y = answer.normal(samples, outputs) * (1 + answer.normal(outputs).abs())
    Y = Y + 5 * answer.normal(outputs)
    now = answer.normal(samples, outputs) * (1 + answer.normal(outputs).abs()) + 2
    norm = nn.BatchNorm1d(outputs, eps=1e-12).double().train()  # an independent way to do it
    norm.weight.data, norm.bias.data = Y.std(0, correction=0), Y.mean(0)
    with torch.no_grad():
        wanted = norm(now)
    got = answer(Y, now)
    pair = isinstance(got, tuple | list) and len(got) == 2
    answer.require(pair, "Return a pair: scale and shift.")
    scale, shift = (torch.as_tensor(part) for part in got)
    answer.require(
        tuple(scale.shape) == tuple(shift.shape) == (outputs,),
        f"One scale and one shift for each output, shape ({outputs},); the shapes are "
        f"{tuple(scale.shape)} and {tuple(shift.shape)}.",
    )
    right = Y.std(0) / now.std(0)
    mistakes = {
        "Scale and shift lead the wrong way, from the original to the pruned outputs.": (
            now * (1 / right) + now.mean(0) - Y.mean(0) / right
        ),
        "The scale moves the mean too: take that into account in the shift.": (
            now * right + Y.mean(0) - now.mean(0)
        ),
        "You matched variances: the scale is a ratio of standard deviations, the root.": (
            now * right**2 + Y.mean(0) - now.mean(0) * right**2
        ),
        "The mean fits, but not the spread: scale as well.": now + Y.mean(0) - now.mean(0),
    }
    hint = "scale · now + shift must have the mean and the spread of Y, output by output."
    answer.expect(scale * now + shift, wanted, hint, mistakes)
    now[:, 0] = 3.0
    scale, shift = answer(Y, now)
    answer.require(
        bool(torch.isfinite(scale).all() and torch.isfinite(shift).all()),
        "An output that became constant has no spread to divide by: its scale must stay finite.",
    )
    means = (scale * now + shift).mean(0)
    answer.expect(means, Y.mean(0), "The mean of a constant output must be right as well.")


@exercise(LESSON)
def choose_then_confirm(answer: Answer) -> None:
    hint = "Let the marked images choose the row, and count on the others."
    hand = torch.tensor([[1, 1, 0, 0, 1, 0], [1, 0, 1, 1, 1, 1], [0, 1, 1, 1, 0, 1]]) == 1
    cases = [(hand, torch.tensor([True, True, False, False, False, False]))]
    for _ in range(3):
        shape = (answer.integer(5, 9), answer.integer(60, 90))
        cases.append((_right(answer, 60, *shape), torch.arange(shape[1]) % 3 == 0))
    for right, chooser in cases:

        def scored(row: Tensor, where: Tensor, right: Tensor = right) -> tuple[int, float]:
            return int(row), 100 * right[int(row), where].double().mean().item()

        first, every = right[:, chooser].sum(1).argmax(), torch.ones_like(chooser)
        mistakes = {
            "These images chose the winner: their praise is luck in part. Count on the others.": (
                scored(first, chooser)
            ),
            "All images counted, also those that chose: leave them out.": scored(first, every),
            "You chose on the images that were to confirm: then nothing is left to confirm.": (
                scored(right[:, ~chooser].sum(1).argmax(), ~chooser)
            ),
            "You chose by all images, so the confirming ones had a say as well.": (
                scored(right.sum(1).argmax(), ~chooser)
            ),
        }
        answer.expect(answer(right, chooser), scored(first, ~chooser), hint, mistakes)


def _pair(answer: Answer, images: int, lead: float) -> tuple[Tensor, Tensor]:
    """Two networks that agree on 94 of 100 images; the first leads by so many points."""
    common, u = _right(answer, 80, images), _right(answer, 50 + lead / 0.12, images)
    differ = _right(answer, 6, images)
    return torch.where(differ, u, common), torch.where(differ, ~u, common)


@exercise(LESSON)
def who_is_better(answer: Answer) -> None:
    def said(one: Tensor, other: Tensor) -> str:
        word = answer(one, other)
        known = ("one", "other", "undecided")
        answer.require(word in known, "Return 'one', 'other' or 'undecided', as a string.")
        return word

    one, other = _pair(answer, 300, 0)
    answer.require(said(one, one) == "undecided", "The same network twice: nobody can be better.")
    clear = torch.ones(300) == 1, torch.arange(300) % 2 == 0
    answer.require(said(*clear) == "one", "All right against half right: the first is better.")
    answer.require(said(*clear[::-1]) == "other", "Exchanged, the second is the better one.")
    decided = sum(said(*_pair(answer, 400, 0)) != "undecided" for _ in range(200))
    answer.require(
        decided <= 30,
        f"Of 200 pairs of equally good networks, you called {decided} different. Luck alone does "
        "that to you: ask for a larger lead (5 of 100 false alarms are usual).",
    )
    found = sum(said(*_pair(answer, 2000, 2)) == "one" for _ in range(20))
    answer.require(
        found >= 14,
        f"Of 20 networks that lead by 2 points on 2,000 images, you found {found}. Both see the "
        "same images: only those on which they differ can speak, the others add no noise.",
    )
    three = torch.tensor([True, True, True])
    answer.require(
        said(three, ~three) == "undecided",
        "Three images, all won by the first: three coins fall alike once in four times. "
        "Is your spread 0 here?",
    )
