"""Formulas, each with a sign, a factor, an index or a term wrong."""

from tests.mutants import Mutant

BIORTHOGONAL, REAP = "prunekit/biorthogonal.py", "prunekit/reap.py"
UNIFICATION, CODING = "prunekit/unification.py", "prunekit/coding.py"
BASELINES, PRO = "prunekit/baselines.py", "prunekit/pro.py"
MOMENTS, SQUARES = "prunekit/algebra/moments.py", "prunekit/algebra/least_squares.py"
WIDTHS = "prunekit/network/widths.py"

FORMULAS = [
    Mutant(
        "residual of a vector: its length, not the square",
        *(BIORTHOGONAL, "lengths**2 / H.diagonal()", "lengths / H.diagonal()"),
        "test_biorthogonal",
    ),
    Mutant(
        "leave-one-out coefficients: sign",
        *(BIORTHOGONAL, "A = -D / D.diagonal()", "A = D / D.diagonal()"),
        "test_biorthogonal",
    ),
    Mutant(
        "downdate: sign",
        *(BIORTHOGONAL, "H -= H[:, c] @", "H += H[:, c] @"),
        "test_biorthogonal",
    ),
    Mutant(
        "duals after a removal: sign",
        *(BIORTHOGONAL, "left = duals - gone @", "left = duals + gone @"),
        "test_biorthogonal",
    ),
    Mutant(
        "removal cost: without the inverse of H_cc",
        *(BIORTHOGONAL, "(W_c * torch.linalg.solve(H_cc, W_c))", "(W_c * W_c)"),
        "test_reap test_biorthogonal",
    ),
    Mutant(
        "removal cost of a behaviour: H_cc not inverted",
        *(BIORTHOGONAL, "torch.linalg.inv(H_cc).diagonal", "H_cc.diagonal"),
        "test_reap test_biorthogonal",
    ),
    Mutant(
        "removal: H grows",
        *(BIORTHOGONAL, "H.addmm_(H_c, A, alpha=-1)", "H.addmm_(H_c, A, alpha=1)"),
        "test_reap test_biorthogonal",
    ),
    Mutant(
        "REAP: the ridge pulls towards zero",
        *(REAP, "(self.problem.cross + self.ridge * self.problem.weights)", "self.problem.cross"),
        "test_reap",
    ),
    Mutant(
        "REAP: what the ridge charges is counted once",
        *(REAP, "(fall * (2 * distance - fall))", "(fall * (distance - fall))"),
        "test_reap",
    ),
    Mutant(
        "REAP: the first consumer alone is asked",
        REAP,
        "costs = sum(layer.costs(ids, score) for layer in layers)",
        "costs = layers[0].costs(ids, score)",
        "test_reap",
    ),
    Mutant(
        "REAP: the output scale is forgotten",
        *(REAP, "torch.ones_like(problem.mean_y) if scale is None else scale"),
        "torch.ones_like(problem.mean_y)",
        "test_reap test_one_site",
    ),
    Mutant(
        "exchanges: gain and loss the other way round",
        *(REAP, "(costs[out] - costs[-1]).item()", "(costs[-1] - costs[out]).item()"),
        "test_reap_exchanges",
    ),
    Mutant(
        "exchanges: the block is taken out, not put in",
        *(REAP, "grown = layer.H + V @", "grown = layer.H - V @"),
        "test_reap_exchanges",
    ),
    Mutant(
        "recorded steps: who covers, with the wrong sign",
        *(REAP, "cover = -torch.linalg.solve", "cover = torch.linalg.solve"),
        "test_reap test_reap_exchanges test_widgets",
    ),
    Mutant(
        "unification: a divided by ‖x_j‖²",
        *(UNIFICATION, "G / energy[:, None]", "G / energy"),
        "test_unification",
    ),
    Mutant(
        "unification: the mixed term counted once",
        *(UNIFICATION, "- 2 * a * G +", "- a * G +"),
        "test_unification",
    ),
    Mutant(
        "unification: W_i does not grow before the next score",
        *(UNIFICATION, "W[i] += a[i, j] * W[j]", "W[i] += 0 * W[j]"),
        "test_unification",
    ),
    Mutant(
        "unification: the constant with the wrong sign",
        *(UNIFICATION, "- merge.scale * means[merge.into]", "+ merge.scale * means[merge.into]"),
        "test_unification",
    ),
    Mutant(
        "similarity: correlations are not centred",
        *(CODING, "G = behaviors.scatter_xx if", "G = behaviors.gram if"),
        "test_coding",
    ),
    Mutant(
        "similarity: angles in radians",
        *(CODING, "cosines.acos().rad2deg()", "cosines.acos()"),
        "test_coding",
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
        "least squares: W⁰ is not taken off before the fit",
        SQUARES,
        "(self.cross[columns] - self.gram[columns][:, columns] @ W0)",
        "self.cross[columns]",
        "test_reap test_pipeline",
    ),
    Mutant(
        "least squares: the mixed term of the error once",
        *(SQUARES, "self.energy - 2 * (W", "self.energy - (W"),
        "test_reap",
    ),
    Mutant(
        "least squares: the bias without the mean of X",
        *(SQUARES, "return self.mean_y - self.mean_x @ W", "return self.mean_y + 0 * W.sum(0)"),
        "test_reap test_pipeline",
    ),
    Mutant(
        "forward selection: what a channel explains stays in R",
        *(SQUARES, "self.R -= G_c @", "self.R += G_c @"),
        "test_baselines",
    ),
    Mutant(
        "APoZ: counts zeros",
        *(BASELINES, "(x != 0).double()", "(x == 0).double()"),
        "test_baselines",
    ),
    Mutant(
        "FPGM: the farthest filter counts alone",
        *(BASELINES, "torch.cdist(site.filters, site.filters).sum(1)"),
        "torch.cdist(site.filters, site.filters).amax(1)",
        "test_baselines",
    ),
    Mutant(
        "Taylor: absolute value before the sum over positions",
        *(BASELINES, "(x * g).sum(2).abs().sum(0)", "(x * g).abs().sum(2).sum(0)"),
        "test_baselines",
    ),
    Mutant(
        "ThiNet: the mixed term once",
        *(BASELINES, "cost += 2 * inner", "cost += inner"),
        "test_baselines",
    ),
    Mutant(
        "merging: lengths the other way round",
        *(BASELINES, "lengths / lengths[best]", "lengths[best] / lengths"),
        "test_baselines",
    ),
    Mutant(
        "LBYL: the ridge is taken off",
        *(BASELINES, "[:, kept] + damping * eye", "[:, kept] - damping * eye"),
        "test_baselines",
    ),
    Mutant(
        "POEM: the slope is not squared",
        *("prunekit/poem.py", "(z > 0).to(z)).square()", "(z > 0).to(z)).abs()"),
        "test_poem",
    ),
    Mutant(
        "PRO: D is a sum, not a mean",
        *(PRO, "return total / len(z0[0])", "return total"),
        "test_pro",
    ),
    Mutant(
        "PRO: a step is judged by D alone",
        *(PRO, "return (step[0] - e) / (c - step[1])", "return (step[0] - e) + 0 * c"),
        "test_pro",
    ),
    Mutant(
        "PRO: widths are rounded down",
        *(PRO, "-(-keep // round_to) * round_to", "max(1, keep // round_to * round_to)"),
        "test_pro test_channels",
    ),
    Mutant(
        "costs: the formula is believed unchecked",
        WIDTHS,
        "if all(formula(keep) == counted(keep) for keep in (narrow, halves)):",
        "if True:",
        "test_widths test_budgets",
    ),
    Mutant(
        "costs: biases that a repair adds are free",
        *(WIDTHS, "return counted(keep) + biases", "return counted(keep)"),
        "test_widths test_budgets",
    ),
    Mutant(
        "costs: FLOPs are called MACs",
        *("prunekit/network/cost.py", ".get_total_flops() // 2", ".get_total_flops()"),
        "test_cost",
    ),
]
