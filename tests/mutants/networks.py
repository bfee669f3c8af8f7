"""Formulas of networks and of what prunes them: layers, costs, trials, errors, widths."""

from tests.mutants.mutant import Mutant

AMOUNTS = "prunekit/pipeline/amounts.py"
BUDGET = "prunekit/pipeline/budget.py"
COST = "prunekit/network/cost.py"
FRONT = "prunekit/pipeline/front_to_back.py"
LAYERS = "prunekit/network/layers.py"
OPTIMIZER = "prunekit/pipeline/optimizer.py"
OWN = "prunekit/network/own.py"
RECALIBRATION = "prunekit/network/recalibration.py"
RECORDING = "prunekit/network/recording.py"
SURVEY = "prunekit/network/survey.py"
TRIAL = "prunekit/pipeline/trial.py"
WALK = "prunekit/network/walk.py"
TURN = "prunekit/network/turn.py"
DISTRIBUTION = "prunekit/pipeline/distribution.py"
WIDTHS = "prunekit/network/widths.py"

NETWORKS = [
    Mutant(
        "costs: FLOPs are called MACs",
        *(COST, ".get_total_flops() // 2", ".get_total_flops()"),
        "test_cost",
    ),
    Mutant(
        "costs: MACs of the whole batch",
        *(COST, "lambda value: value[:1] if value.ndim else value", "lambda value: value"),
        "test_cost",
    ),
    Mutant(
        "seconds: the range is of all runs",
        *(COST, "t[len(t) // 4], t[(3 * len(t)) // 4]", "t[0], t[-1]"),
        "test_cost",
    ),
    Mutant(
        "convolutions: padding 'same' begins with the larger half",
        *(LAYERS, "pads = [total // 2, total - total // 2, *pads]"),
        "pads = [total - total // 2, total // 2, *pads]",
        "test_layers",
    ),
    Mutant(
        "convolutions: dilation takes neighbours",
        *(LAYERS, "stride)[..., ::dilation]", "stride)[..., :k]"),
        "test_layers",
    ),
    Mutant(
        "transposed convolutions: the kernel is not turned",
        *(LAYERS, "weight = weight.flip(tuple(range(2, weight.ndim))).transpose(0, 1)"),
        "weight = weight.transpose(0, 1)",
        "test_layers",
    ),
    Mutant(
        "transposed convolutions: output_padding is forgotten",
        *(LAYERS, "margin + layer.output_padding[axis]", "margin"),
        "test_layers",
    ),
    Mutant(
        "coefficients per channel: each tap gets the whole bias",
        *(OWN, "(b / taps).repeat(taps)", "b.repeat(taps)"),
        "test_one_site",
    ),
    Mutant(
        "coefficients per channel: shifts of the taps are averaged",
        *(OWN, "bias + shift.view(-1, outputs).sum(0)", "bias + shift.view(-1, outputs).mean(0)"),
        "test_one_site",
    ),
    Mutant(
        "rows of a channel in W: taps before channels",
        *(OWN, "(inputs[:, None] * taps + torch.arange(taps))"),
        "(inputs[:, None] + torch.arange(taps) * taken.width)",
        "test_one_site",
    ),
    Mutant(
        "batch norms: old statistics stay in the mean",
        *(RECALIBRATION, "norm.reset_running_stats()", "norm.running_mean.mul_(1)"),
        "test_cost",
    ),
    Mutant(
        "batch norms: the last batches count most",
        *(RECALIBRATION, "norm.momentum = None  #", "norm.momentum = 0.1  #"),
        "test_cost",
    ),
    Mutant(
        "gradients: the loss of the least likely class",
        *(RECORDING, "z.detach().argmax(1)", "z.detach().argmin(1)"),
        "test_baselines",
    ),
    Mutant(
        "survey: Y without the bias",
        *("prunekit/algebra/moments.py", "self.mean_x @ W + b,", "self.mean_x @ W,"),
        "test_optimizer",
    ),
    Mutant(
        "a group of a layer: inputs of the first group for all",
        *(TURN, "torch.arange(g * size, g * size + size)", "torch.arange(size)"),
        "test_walk",
    ),
    Mutant(
        "a layer aims at what it would give now, not at what the original gave",
        *(WALK, "return Seen(now.taken, then.taken, then.given, held, scale, shift)"),
        "return Seen(now.taken, then.taken, then.given * 0.5, held, scale, shift)",
        "test_walk",
    ),
    Mutant(
        "a sum makes up for what the other summand lacks, in units of the norm behind",
        *(WALK, "((then.other - now.other) / scale)", "(then.other - now.other)"),
        "test_behind",
    ),
    Mutant(
        "a layer says again what is added, with its new weights",
        *("prunekit/network/passes.py", "if self._behind:  # nothing has changed", "if True:"),
        "test_behind",
    ),
    Mutant(
        "costs: the formula is believed unchecked",
        *(WIDTHS, "if all(formula(keep) == counted(keep) for keep in (narrow, halves)):"),
        "if True:",
        "test_widths",
    ),
    Mutant(
        "costs: biases that a repair adds are free",
        *(WIDTHS, "return counted(keep) + biases", "return counted(keep)"),
        "test_widths",
    ),
    Mutant(
        "seconds: savings are added",
        *(WIDTHS, "full - sum(saved.get", "full + sum(saved.get"),
        "test_widths",
    ),
    Mutant(
        "seconds: the ratio upside down",
        *(WIDTHS, "full * pruned.median / intact.median", "full * intact.median / pruned.median"),
        "test_optimizer_budgets",
    ),
    Mutant(
        "ratios: channels that stay are rounded up",
        *(AMOUNTS, "n - int(ratio * n + 0.5)", "n - int(ratio * n)"),
        "test_channels",
    ),
    Mutant(
        "uniform widths: half of the steps are left out",
        *(BUDGET, "for i in range(s.channels - 1)}", "for i in range(0, s.channels - 1, 2)}"),
        "test_pipeline",
    ),
    Mutant(
        "relative error: of the last consumer alone",
        *(FRONT, "error + consumer.problem.error(W, b), energy + spread"),
        "consumer.problem.error(W, b), spread",
        "test_report",
    ),
    Mutant(
        "relative error: without the bias that was found",
        *(FRONT, "consumer.problem.error(W, b), energy", "consumer.problem.error(W), energy"),
        "test_report",
    ),
    Mutant(
        "max_error: what earlier sites did counts",
        *(FRONT, "bound = error(site.channels) + max_error", "bound = max_error"),
        "test_max_error",
    ),
    Mutant(
        "a refitted bias is added to the old one",
        *(FRONT, "W, b - consumer.bias)", "W, b)"),
        "test_one_site",
    ),
    Mutant(
        "PRO: D on all inputs, not on the probes",
        *("prunekit/network/calibration.py", "count -= size", "count -= 0"),
        "test_optimizer",
    ),
    Mutant(
        "PRO: batches count equally, however large",
        *(TRIAL, "total += samples_of(batch) * output_error(", "total += output_error("),
        "test_optimizer",
    ),
    Mutant(
        "ratios of PRO: what stays, not what goes",
        *("prunekit/pipeline/ratios.py", "1 - keep / s.channels for", "keep / s.channels for"),
        "test_optimizer",
    ),
]
