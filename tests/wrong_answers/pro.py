"""Usual mistakes in lesson 06, and a phrase of the hint that each of them must get."""

import torch


def per_image(z, z0):
    return (z - z0).square().sum(1).mean()


def uncentred(z, z0):
    return (z - z0).square().sum() / z0.square().sum()


def one_mean(z, z0):
    return (z - z0).square().sum() / (z0 - z0.mean()).square().sum()


def rooted(z, z0):
    return ((z - z0).square().sum() / (z0 - z0.mean(0)).square().sum()).sqrt()


def of_the_pruned(z, z0):
    return (z - z0).square().sum() / (z - z.mean(0)).square().sum()


def made_only(widths, per_pair, layer, gone):
    return gone * per_pair[layer - 1] * widths[layer - 1]


def heard_only(widths, per_pair, layer, gone):
    return gone * per_pair[layer] * widths[layer + 1]


def cost(widths, per_pair):
    pairs = zip(per_pair, widths, widths[1:], strict=False)
    return sum(price * left * right for price, left, right in pairs)


def what_is_left(widths, per_pair, layer, gone):
    left = list(widths)
    left[layer] -= gone
    return cost(left, per_pair)


def one_channel(widths, per_pair, layer, gone):
    return per_pair[layer - 1] * widths[layer - 1] + per_pair[layer] * widths[layer + 1]


def swapped_prices(widths, per_pair, layer, gone):
    return gone * (per_pair[layer] * widths[layer - 1] + per_pair[layer - 1] * widths[layer + 1])


def punished(D, saved, price):
    return (D + price * saved).argmin(1)


def per_saving(D, saved, price):
    return 1 + (D[:, 1:] / saved[:, 1:]).argmin(1)


def together(D, saved, price):
    return [int((D - price * saved).sum(0).argmin())] * len(D)


def down_the_layers(D, saved, price):
    return (D - price * saved).argmin(0)


def value_not_level(D, saved, price):
    return (D - price * saved).min(1).values


def one_price(D, saved, need):
    low, high = 0.0, 1e6
    for _ in range(80):
        price = (low + high) / 2
        levels = (D - price * saved).argmin(1)
        enough = saved.gather(1, levels[:, None]).sum() >= need
        low, high = (low, price) if enough else (price, high)
    return (D - high * saved).argmin(1)


def walk(D, saved, need):
    at = [0] * len(D)
    while sum(saved[i, a].item() for i, a in enumerate(at)) < need:
        steps = {}
        for i, a in enumerate(at):
            if a + 1 < D.shape[1]:
                steps[i] = ((D[i, a + 1] - D[i, a]) / (saved[i, a + 1] - saved[i, a])).item()
        at[min(steps, key=steps.get)] += 1
    return at


def too_little(D, saved, need):
    return [0] * len(D)


def everything(D, saved, need):
    return [D.shape[1] - 1] * len(D)


def mean_square(z, z0):
    return (z - z0).square().sum(1).mean()


def divergence(z, z0, reduce=torch.mean):
    p, q = z0.log_softmax(1), z.log_softmax(1)
    return reduce((p.exp() * (p - q)).sum(1))


def summed(z, z0):
    return divergence(z, z0, torch.sum)


def log_of_softmax(z, z0):
    p, q = z0.softmax(1), z.softmax(1)
    return (p * (p.log() - q.log())).sum(1).mean()


def moved_top(z, z0):
    top = z0.argmax(1, keepdim=True)
    return (z0.softmax(1) - z.softmax(1)).gather(1, top).mean()


def one_per_image(z, z0):
    return (z.argmax(1) != z0.argmax(1)).double()


WRONG = {
    "relative_move": [
        (per_image, "That is D itself"),
        (uncentred, "A bias in all outputs"),
        (one_mean, "each output has its own"),
        (rooted, "both D and the spread are squares"),
        (of_the_pruned, "how far z0 itself strays"),
    ],
    "macs_saved": [
        (made_only, "The next layer becomes cheaper too"),
        (heard_only, "The layer itself becomes cheaper too"),
        (what_is_left, "what is left of the MACs"),
        (one_channel, "how many go?"),
        (swapped_prices, "prices per pair are swapped"),
    ],
    "levels_at_price": [
        (punished, "punishes saving"),
        (per_saving, "does not know the price"),
        (together, "one level for all layers"),
        (down_the_layers, "minimise each row"),
        (value_not_level, "At a huge price"),
    ],
    "best_levels": [
        (one_price, "look between prices"),
        (walk, "cannot take a step back"),
        (too_little, "is needed"),
        (everything, "smaller total D"),
    ],
    "my_criterion": [
        (mean_square, "The same number was added"),
        (summed, "With every image twice"),
        (log_of_softmax, "not finite"),
        (moved_top, "can be negative"),
        (one_per_image, "Return one number"),
    ],
}
