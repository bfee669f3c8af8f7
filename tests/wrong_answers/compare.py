"""Usual mistakes in lesson 07, and a phrase of the hint that each of them must get."""

import torch


def of_those_that_differ(wins, losses, images):
    d = torch.tensor([100.0] * wins + [-100.0] * losses)
    return d.mean(), d.std() / len(d) ** 0.5


def fractions(wins, losses, images):
    points = (wins - losses) / images
    return points, (((wins + losses) / images - points**2) / (images - 1)) ** 0.5


def around_zero(wins, losses, images):
    return 100 * (wins - losses) / images, 100 * (wins + losses) ** 0.5 / images


def of_one_image(wins, losses, images):
    d = torch.tensor([100.0] * wins + [-100.0] * losses + [0.0] * (images - wins - losses))
    return d.mean(), d.double().std()


def in_points(one, other):
    return 100 * one.double(), 100 * other.double()


def error_of(values):
    return values.std() / len(values) ** 0.5


def exchanged(one, other):
    one, other = in_points(one, other)
    d = one - other
    return d.mean(), error_of(d.mean(1)), error_of(d.mean(0))


def pooled(one, other):
    one, other = in_points(one, other)
    d = one - other
    return d.mean(), error_of(d.flatten()), error_of(d.mean(1))


def unpaired(one, other):
    one, other = in_points(one, other)
    d = one - other
    images = (error_of(one.mean(0)) ** 2 + error_of(other.mean(0)) ** 2) ** 0.5
    return d.mean(), images, error_of(d.mean(1))


def one_draw(one, other):
    one, other = in_points(one, other)
    d = one - other
    return d.mean(), error_of(d.mean(0)), d.mean(1).std()


def backwards(one, other):
    one, other = in_points(one, other)
    d = other - one
    return d.mean(), error_of(d.mean(0)), error_of(d.mean(1))


def both_at_once(table):
    (a, b), (c, d) = table.tolist()
    return d - a, d - a, d - c - b + a


def without_repair(table):
    (a, b), (c, d) = table.tolist()
    return c - a, (b - a + d - c) / 2, d - c - b + a


def transposed(table):
    (a, b), (c, d) = table.tolist()
    return (b - a + d - c) / 2, (c - a + d - b) / 2, d - c - b + a


def wrong_sign(table):
    (a, b), (c, d) = table.tolist()
    return (c - a + d - b) / 2, (b - a + d - c) / 2, b + c - a - d


def wrong_way(Y, now):
    scale = now.std(0) / Y.std(0)
    return scale, now.mean(0) - scale * Y.mean(0)


def unscaled_shift(Y, now):
    return Y.std(0) / now.std(0), Y.mean(0) - now.mean(0)


def variances(Y, now):
    scale = Y.var(0) / now.var(0)
    return scale, Y.mean(0) - scale * now.mean(0)


def mean_only(Y, now):
    return torch.ones(Y.shape[1]).double(), Y.mean(0) - now.mean(0)


def one_for_all(Y, now):
    return Y.std() / now.std(), Y.mean()


def infinite(Y, now):
    scale = Y.std(0) / now.std(0)
    return scale, Y.mean(0) - scale * now.mean(0)


def score(right, row, where):
    return int(row), 100 * right[row, where].double().mean()


def own_praise(right, chooser):
    return score(right, right[:, chooser].sum(1).argmax(), chooser)


def everything_counted(right, chooser):
    return score(right, right[:, chooser].sum(1).argmax(), torch.ones_like(chooser))


def peeked(right, chooser):
    return score(right, right[:, ~chooser].sum(1).argmax(), ~chooser)


def larger(one, other):
    lead = one.double().mean() - other.double().mean()
    return "undecided" if lead == 0 else "one" if lead > 0 else "other"


def judged(lead, error, errors=2):
    return "undecided" if abs(lead) <= errors * error else "one" if lead > 0 else "other"


def one_error(one, other):
    d = one.double() - other.double()
    return judged(d.mean(), error_of(d), 1)


def two_accuracies(one, other):
    a, b = one.double(), other.double()
    return judged(a.mean() - b.mean(), (error_of(a) ** 2 + error_of(b) ** 2) ** 0.5)


def no_spread(one, other):
    d = one.double() - other.double()
    return judged(d.mean(), error_of(d))


def true_or_false(one, other):
    return bool(one.double().mean() > other.double().mean())


WRONG = {
    "from_counts": [
        (of_those_that_differ, "divide by all images"),
        (fractions, "fractions of 1"),
        (around_zero, "around the mean, not around 0"),
        (of_one_image, "spread of a single image"),
    ],
    "two_spreads": [
        (exchanged, "in the wrong order"),
        (pooled, "average over the draws first"),
        (unpaired, "subtract first, image by image"),
        (one_draw, "how far one draw strays"),
        (backwards, "the first minus the second"),
    ],
    "worth": [
        (both_at_once, "changed choice and repair at once"),
        (without_repair, "without repair only"),
        (transposed, "yours are exchanged"),
        (wrong_sign, "negative when both together"),
    ],
    "match_statistics": [
        (wrong_way, "lead the wrong way"),
        (unscaled_shift, "moves the mean too"),
        (variances, "ratio of standard deviations"),
        (mean_only, "scale as well"),
        (one_for_all, "for each output"),
        (infinite, "must stay finite"),
    ],
    "choose_then_confirm": [
        (own_praise, "luck in part"),
        (everything_counted, "leave them out"),
        (peeked, "nothing is left to confirm"),
    ],
    "who_is_better": [
        (larger, "ask for a larger lead"),
        (one_error, "ask for a larger lead"),
        (two_accuracies, "only those on which they differ"),
        (no_spread, "all won by the first"),
        (true_or_false, "as a string"),
    ],
}
