"""Formulas of PRO, of POEM, and of what REAP is measured against."""

from tests.mutants.mutant import Mutant

BASELINES = "prunekit/baselines.py"
POEM = "prunekit/poem.py"
PRO = "prunekit/pro.py"
RANKING = "prunekit/classroom/ranking.py"

RIVALS = [
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
        "Lasso: the first on the path goes first",
        *(BASELINES, "entered.argsort(descending=True, stable=True)"),
        "entered.argsort(stable=True)",
        "test_baselines",
    ),
    Mutant(
        "activation: the mean before the absolute value",
        *(BASELINES, "x.double().abs().mean(2).sum(0)", "x.double().mean(2).abs().sum(0)"),
        "test_baselines",
    ),
    Mutant(
        "merging: the batch norm behind a filter is forgotten",
        *(BASELINES, "return site.filters * site.filter_scale[:, None]", "return site.filters"),
        "test_baselines",
    ),
    Mutant(
        "LBYL: the offset is forgotten",
        *(BASELINES, "torch.cat([_folded(site), site.filter_shift[:, None]], 1)", "_folded(site)"),
        "test_baselines",
    ),
    Mutant(
        "ThiNet and Lasso: ⟨Z_c, Z_e⟩ over another channel's weights",
        *(BASELINES, '"ckeq,cko,eqo->ce", G, W, W', '"ckeq,cko,eko->ce", G, W, W'),
        "test_baselines",
    ),
    Mutant(
        "POEM: the slope is not squared",
        *(POEM, "(z > 0).to(z)).square()", "(z > 0).to(z)).abs()"),
        "test_poem",
    ),
    Mutant(
        "POEM: the ridge pulls to where the last step ended",
        *(POEM, "aim = start[:, output] + torch", "aim = v + torch"),
        "test_poem",
    ),
    Mutant(
        "POEM: the shift is scaled",
        *(POEM, "Z = scale * Y + shift", "Z = scale * (Y + shift)"),
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
        "test_channels",
    ),
    Mutant(
        "PRO: KL the other way round",
        *(PRO, "log_softmax(1) for v in (z, z0))", "log_softmax(1) for v in (z0, z))"),
        "test_pro",
    ),
    Mutant(
        "PRO: the largest D of a layer stands for their sum",
        *(PRO, "return sum(alone[item] for", "return max(alone[item] for"),
        "test_pro",
    ),
    Mutant(
        "PRO: the last step is judged by its price, too",
        *(PRO, "_first(enough, lambda step: step[0]) if enough else"),
        "_first(enough, price) if enough else",
        "test_pro",
    ),
    Mutant(
        "PRO: channels that cost most are given back first",
        *(PRO, "/ max(cost(up) - paid, 1e-12)", "* max(cost(up) - paid, 1e-12)"),
        "test_pro",
    ),
    Mutant(
        "PRO: a step is rounded down",
        *(PRO, "int(step * count + 0.5)", "int(step * count)"),
        "test_pro",
    ),
    Mutant(
        "leaderboard: the standard error divided by N",
        *(RANKING, "d.std() / len(d) ** 0.5", "d.std() / len(d)"),
        "test_leaderboard",
    ),
    Mutant(
        "leaderboard: a tie within one standard error",
        *(RANKING, "behind <= 2 * error + 1e-9", "behind <= error + 1e-9"),
        "test_leaderboard",
    ),
]
