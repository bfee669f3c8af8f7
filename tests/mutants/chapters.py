"""Formulas of the story: coding, unification, the biorthogonal system, REAP."""

from tests.mutants.mutant import Mutant

BIORTHOGONAL = "prunekit/biorthogonal.py"
CODING = "prunekit/coding.py"
DELAYED = "prunekit/algebra/delayed.py"
LAYER = "prunekit/algebra/layer.py"
REAP = "prunekit/reap.py"
UNIFICATION = "prunekit/unification.py"

CHAPTERS = [
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
        "test_reap",
    ),
    Mutant(
        "removal cost of a behaviour: H_cc not inverted",
        *(BIORTHOGONAL, "torch.linalg.inv(H_cc).diagonal", "H_cc.diagonal"),
        "test_reap",
    ),
    Mutant(
        "removal: H grows",
        *(BIORTHOGONAL, "H.addmm_(H_c, A, alpha=-1)", "H.addmm_(H_c, A, alpha=1)"),
        "test_reap",
    ),
    Mutant(
        "W does not follow a removal",
        *(BIORTHOGONAL, "    W -= fall\n", "    W -= 0 * fall\n"),
        "test_reap",
    ),
    Mutant(
        "leave-one-out coefficients: scaled the wrong way",
        *(BIORTHOGONAL, "A * lengths / lengths[:, None]", "A * lengths[:, None] / lengths"),
        "test_biorthogonal",
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
        "behaviours: rows and columns of a map get mixed up",
        *(CODING, "X.transpose(1, 2).flatten(0, 1)", "X.reshape(-1, X.shape[1])"),
        "test_coding",
    ),
    Mutant(
        "REAP: the ridge pulls towards zero",
        *(
            LAYER,
            "(self.problem.cross + self.ridge[:, None] * self.problem.weights)",
            "self.problem.cross",
        ),
        "test_reap",
    ),
    Mutant(
        "REAP: what the ridge charges is counted once",
        *(DELAYED, "2 * (U * (P * self._ridge @ self._W0))", "(U * (P * self._ridge @ self._W0))"),
        "test_reap",
    ),
    Mutant(
        "downdates that wait: weights that wait are forgotten",
        *(DELAYED, "W_c = self._W[c] - self._P[:w, c].T @ self._U[:w]", "W_c = self._W[c]"),
        "test_delayed",
    ),
    Mutant(
        "downdates that wait: K is not followed to second order",
        *(DELAYED, "(UW_i - (UU @ P_i) / 2)", "UW_i"),
        "test_delayed",
    ),
    Mutant(
        "downdates that wait: rows of H that wait are forgotten",
        *(DELAYED, "H_c = self._H[c] - self._P[:w, c].T @ self._A[:w]", "H_c = self._H[c].clone()"),
        "test_delayed",
    ),
    Mutant(
        "REAP: the first consumer alone is asked",
        *(REAP, "costs = sum(layer.left.costs(ids, score) for layer in layers)"),
        "costs = layers[0].left.costs(ids, score)",
        "test_reap",
    ),
    Mutant(
        "REAP: the output scale is forgotten",
        *(LAYER, "torch.ones_like(problem.mean_y) if scale is None else scale"),
        "torch.ones_like(problem.mean_y)",
        "test_reap",
    ),
    Mutant(
        "exchanges: gain and loss the other way round",
        *(REAP, "(costs[out] - costs[-1]).item()", "(costs[-1] - costs[out]).item()"),
        "test_reap_exchanges",
    ),
    Mutant(
        "exchanges: the block is taken out, not put in",
        *(REAP, "channels, :] + V_c @ MV_c", "channels, :] - V_c @ MV_c"),
        "test_reap_exchanges",
    ),
    Mutant(
        "recorded steps: who covers, with the wrong sign",
        *(REAP, "= -torch.linalg.solve(H_cc, H_c).T", "= torch.linalg.solve(H_cc, H_c).T"),
        "test_reap",
    ),
    Mutant(
        "REAP: never factorised again after dependent columns",
        *(LAYER, "if damped and", "if False and"),
        "test_reap_robustness",
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
        "unification: ‖x_i‖² along the wrong axis",
        *(UNIFICATION, "a**2 * G.diagonal()[:, None]", "a**2 * G.diagonal()"),
        "test_unification",
    ),
    Mutant(
        "unification: a ratio is rounded down",
        *(UNIFICATION, "int(ratio * n + 0.5)", "int(ratio * n)"),
        "test_unification_stops",
    ),
    Mutant(
        "unification: the merge that exceeds the bound is made",
        *(UNIFICATION, "return merges[:fine]", "return merges[: fine + 1]"),
        "test_unification_stops",
    ),
    Mutant(
        "unification: constants of the taps are averaged",
        *(UNIFICATION, "c.view(-1, outputs).sum(0)", "c.view(-1, outputs).mean(0)"),
        "test_one_site",
    ),
]
