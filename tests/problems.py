"""Least-squares problems for the tests, and their solution as textbooks do it."""

import torch

from prunekit.algebra.least_squares import columns_of

F64 = torch.float64


def problem(samples=60, n=6, k=1, outputs=3, seed=0, noise=0.1):
    """Correlated, non-negative columns with a mean, and answers that X nearly explains."""
    g = torch.Generator().manual_seed(seed)
    mix = torch.eye(n * k, dtype=F64) + 0.3 * torch.randn(n * k, n * k, generator=g, dtype=F64)
    X = (torch.randn(samples, n * k, generator=g, dtype=F64) @ mix).relu() + 0.3
    W = torch.randn(n * k, outputs, generator=g, dtype=F64)
    b = torch.randn(outputs, generator=g, dtype=F64)
    Y = X @ W + b + noise * torch.randn(samples, outputs, generator=g, dtype=F64)
    return X, Y, W, b


def refit(X, Y):
    """W, b and ‖Y − XW − b‖² of least squares with a column of ones."""
    A = torch.cat([X, torch.ones(len(X), 1, dtype=F64)], 1)
    solution = torch.linalg.lstsq(A, Y, driver="gelsd").solution
    return solution[:-1], solution[-1], (Y - A @ solution).square().sum().item()


def of(channels, k=1):
    """The columns of X that belong to channels, of k columns each."""
    return columns_of(torch.tensor(sorted(int(c) for c in channels), dtype=torch.int64), k)


def deficient(seed, n=4, samples=30):
    """Columns of which some are dead, constant, twins, or sums of others; which ones is drawn."""
    g = torch.Generator().manual_seed(seed)
    X = torch.randn(samples, n, generator=g, dtype=F64).relu() + 0.1
    extra = [
        torch.zeros(samples, dtype=F64),
        torch.full((samples,), 3.0, dtype=F64),
        X[:, 0].clone(),
        -2.5 * X[:, 1],
        X[:, 0] - 0.5 * X[:, 2],
    ]
    chosen = torch.randperm(5, generator=g)[: 1 + seed % 4].tolist()
    X = torch.cat([X, torch.stack([extra[i] for i in chosen], 1)], 1)
    return X[:, torch.randperm(X.shape[1], generator=g)]
