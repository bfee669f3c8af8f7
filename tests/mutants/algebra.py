"""Formulas of moments and least squares."""

from tests.mutants.mutant import Mutant

ELIMINATION = "prunekit/algebra/elimination.py"
MOMENTS = "prunekit/algebra/moments.py"
SQUARES = "prunekit/algebra/least_squares.py"

ALGEBRA = [
    Mutant(
        "through the ReLU: what is below zero counts, too",
        *("prunekit/algebra/relu.py", "torch.where(z > 0, z - guess, -guess.relu())", "z - guess"),
        "test_relu",
    ),
    Mutant(
        "through the ReLU: the ridge pulls at nothing",
        *(
            "prunekit/algebra/relu.py",
            "cross - problem.ridge[:, None] * (W - problem.weights)",
            "cross",
        ),
        "test_relu",
    ),
    Mutant(
        "elimination: the first to go are kept",
        *(ELIMINATION, "self.order[len(self.order) - keep :]", "self.order[:keep]"),
        "test_baselines",
    ),
    Mutant(
        "moments: the difference of means at the wrong weight",
        *(MOMENTS, "c = n * m / (n + m)", "c = n / (n + m)"),
        "test_moments",
    ),
    Mutant(
        "moments: the mean moves the wrong share",
        *(MOMENTS, "dx * (m / (n + m))", "dx * (n / (n + m))"),
        "test_moments",
    ),
    Mutant(
        "moments of a part: the mean of Y keeps what the others say",
        *(MOMENTS, "self.mean_y - self.mean_x[rest] @ W", "self.mean_y"),
        "test_moments",
    ),
    Mutant(
        "moments of a part: Y keeps what the others say",
        *(MOMENTS, "self.scatter_xy[columns] - G[columns][:, rest] @ W"),
        "self.scatter_xy[columns]",
        "test_moments",
    ),
    Mutant(
        "moments of a part: the mixed term once",
        *(MOMENTS, "W * (2 * self.scatter_xy[rest] -", "W * (self.scatter_xy[rest] -"),
        "test_moments",
    ),
    Mutant(
        "moments: Y + b instead of Y − b",
        *(MOMENTS, "torch.outer(self.mean_x, self.mean_y - b)"),
        "torch.outer(self.mean_x, self.mean_y + b)",
        "test_reap",
    ),
    Mutant(
        "least squares: W⁰ is not taken off before the fit",
        *(SQUARES, "(self.cross[columns] - self.gram[columns][:, columns] @ W0)"),
        "self.cross[columns]",
        "test_reap",
    ),
    Mutant(
        "least squares: the mixed term of the error once",
        *(SQUARES, "self.energy - 2 * (W", "self.energy - (W"),
        "test_reap",
    ),
    Mutant(
        "least squares: the bias without the mean of X",
        *(SQUARES, "return self.mean_y - self.mean_x @ W", "return self.mean_y + 0 * W.sum(0)"),
        "test_reap",
    ),
    Mutant(
        "forward selection: what a channel explains stays in R",
        *(SQUARES, "self.R -= G_c @", "self.R += G_c @"),
        "test_baselines",
    ),
    Mutant(
        "least squares: the ridge in every entry, not on the diagonal",
        *(SQUARES, "raised.diagonal().add_(ridge)"),
        "raised.add_(ridge)",
        "test_reap",
    ),
    Mutant(
        "least squares: the error of another b counts one sample",
        *(SQUARES, "errors + self.count * (self.bias(W) - b).square()"),
        "errors + (self.bias(W) - b).square()",
        "test_least_squares",
    ),
    Mutant(
        "least squares: uncentred, ‖Y − b⁰‖² without its mean",
        *(SQUARES, "moments.scatter_yy + moments.count * dy * dy", "moments.scatter_yy"),
        "test_reap",
    ),
    Mutant(
        "least squares: a scale is not squared",
        *(SQUARES, "errors * scale.square()", "errors * scale"),
        "test_least_squares",
    ),
    Mutant(
        "least squares: rank counts directions of nothing",
        *(SQUARES, "(values > self.rounding * values.max()).sum()", "(values > -1).sum()"),
        "test_report",
    ),
    Mutant(
        "least squares: one ridge for all columns",
        *(
            SQUARES,
            "            ridge * energies,\n",
            "            ridge * energies.mean().expand_as(energies),\n",
        ),
        "test_rescaled",
    ),
    Mutant(
        "least squares: columns are damped alike",
        *(
            SQUARES,
            "self.ridge + more * self.rounding * self.energies\n",
            "self.ridge + more * self.rounding * self.energies.mean()\n",
        ),
        "test_rescaled",
    ),
    Mutant(
        "forward selection: the ridge pulls towards zero",
        *(SQUARES, "problem.cross + ridge[:, None] * problem.weights", "problem.cross.clone()"),
        "test_baselines",
    ),
    Mutant(
        "columns of a channel: not in one block",
        *(SQUARES, "channels[:, None] * block_size + offsets"),
        "channels[:, None] + offsets * len(channels)",
        "test_reap",
    ),
]
