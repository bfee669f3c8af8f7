"""Usual mistakes in lesson 02, and a phrase of the hint that each of them must get."""

import torch


def itself(S):
    return S.argmax(1)


def zero_diagonal(S):
    return (S - torch.eye(len(S))).argmax(1)


def opposites(S):
    return (S.abs() - 2 * torch.eye(len(S))).argmax(1)


def how_alike(S):
    return (S - 2 * torch.eye(len(S))).max(1).values


def least_alike(S):
    return S.argmin(1)


def in_place(S):
    return S.fill_diagonal_(-torch.inf).argmax(1)


def cosines(X):
    lengths = X.square().sum(0).sqrt()
    return X.T @ X / torch.outer(lengths, lengths)


def without_count(X):
    mu, lengths = X.mean(0), X.square().sum(0).sqrt()
    return torch.outer(mu, mu) / torch.outer(lengths, lengths)


def means_for_behaviours(X):
    return cosines(X.mean(0).expand_as(X))


def of_gauss(X):
    return torch.full((X.shape[1],) * 2, 1 / torch.pi)


def nothing_is_left(X):
    return torch.zeros(X.shape[1], X.shape[1])


def scaled(S):
    lengths = S.diagonal().sqrt()
    return S / torch.outer(lengths, lengths)


def means_left_in(G, total, count):
    return scaled(G)


def one_mean_out(G, total, count):
    return scaled(G - torch.outer(total, total) / count**2)


def scatter(G, total, count):
    return G - torch.outer(total, total) / count


def covariance(G, total, count):
    return scatter(G, total, count) / count


def full_lengths(G, total, count):
    lengths = G.diagonal().sqrt()
    return scatter(G, total, count) / torch.outer(lengths, lengths)


def total_for_mean(G, total, count):
    return scaled(G - count * torch.outer(total, total))


def zero_by_zero(G, total, count):
    return scaled(scatter(G, total, count))


def dead_to_itself(G, total, count):
    return scaled(scatter(G, total, count)).nan_to_num()


def pooled(maps):
    return torch.corrcoef(maps.mean((2, 3)).T)


def mixed(maps):
    return torch.corrcoef(maps.reshape(-1, maps.shape[1]).T)


def image_by_image(maps):
    return torch.stack([torch.corrcoef(m.flatten(1)) for m in maps]).mean(0)


def cosines_of_maps(maps):
    return cosines(maps.movedim(1, 3).flatten(0, 2))


def of_images(maps):
    return torch.corrcoef(maps.flatten(1))


def _mean(one, other):
    count = one[0] + other[0]
    return count, (one[0] * one[1] + other[0] * other[1]) / count


def half_way(one, other):
    return one[0] + other[0], (one[1] + other[1]) / 2, one[2] + other[2]


def only_added(one, other):
    return *_mean(one, other), one[2] + other[2]


def whole_gap(one, other):
    gap = other[1] - one[1]
    return *_mean(one, other), one[2] + other[2] + torch.outer(gap, gap)


def undivided(one, other):
    gap = other[1] - one[1]
    weight = one[0] * other[0]
    return *_mean(one, other), one[2] + other[2] + weight * torch.outer(gap, gap)


def no_counts(one, other):
    return _mean(one, other)[1]


def inner_products(X):
    return X.T @ X


def with_nan(X):
    return cosines(X)


def distances(X):
    return -torch.cdist(X.T, X.T)


def ranked(X):
    """Spearman, with equal values told apart by their place."""
    return torch.corrcoef(X.argsort(dim=0, stable=True).argsort(0).double().T)


def loud(X):
    top = X.amax(0)
    return torch.minimum(top[:, None], top) / torch.maximum(top[:, None], top)


def one_way(X):
    fires = (X > 0).double()
    return fires.T @ fires / fires.sum(0)


WRONG = {
    "most_alike": [
        (itself, "leave the diagonal out"),
        (zero_diagonal, "A zero on the diagonal is not small enough"),
        (opposites, "An opposite is not alike"),
        (how_alike, "say which neuron it is"),
        (least_alike, "least alike"),
        (in_place, "changed its input"),
    ],
    "chance_cosines": [
        (cosines, "nothing was shuffled"),
        (without_count, "N is missing"),
        (means_for_behaviours, "Shuffling keeps the length"),
        (of_gauss, "for Gaussian noise"),
        (nothing_is_left, "Nothing is left of a correlation"),
    ],
    "correlations_of_sums": [
        (means_left_in, "the means have to come out"),
        (one_mean_out, "one μμᵀ is not enough"),
        (scatter, "That is the scatter"),
        (covariance, "That is the covariance"),
        (full_lengths, "the diagonal of S and not of G"),
        (total_for_mean, "too much was taken out"),
        (zero_by_zero, "0/0"),
        (dead_to_itself, "A dead neuron, too, is 1 with itself"),
    ],
    "channel_correlations": [
        (pooled, "forgets where a channel speaks"),
        (mixed, "Channels got mixed"),
        (image_by_image, "One correlation per image"),
        (cosines_of_maps, "the means have to come out"),
        (of_images, "correlations of images"),
    ],
    "merge_moments": [
        (half_way, "The larger part counts more"),
        (only_added, "around its own mean"),
        (whole_gap, "counts with a weight"),
        (undivided, "The gap counts too much"),
        (no_counts, "Return three things"),
    ],
    "my_similarity": [
        (inner_products, "like itself, with 1"),
        (with_nan, "NaN came"),
        (distances, "like itself, with 1"),
        (ranked, "Are equal values told apart"),
        (loud, "Loudness must not count"),
        (one_way, "symmetric"),
    ],
}
