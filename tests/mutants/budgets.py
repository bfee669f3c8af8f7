"""Promises about budgets, files, and what is refused."""

from tests.mutants.mutant import Mutant

AMOUNTS = "prunekit/pipeline/amounts.py"
ARGUMENTS = "prunekit/algebra/arguments.py"
ARCHIVES = "prunekit/results/archives.py"
BUDGET = "prunekit/pipeline/budget.py"
BY_HAND = "prunekit/pipeline/by_hand.py"
FILE = "prunekit/results/files.py"
FINGERPRINT = "prunekit/pipeline/fingerprint.py"
FRONT = "prunekit/pipeline/front_to_back.py"
METHODS = "prunekit/pipeline/methods.py"
MEASURED = "prunekit/pipeline/measurements.py"
OPTIMIZER = "prunekit/pipeline/optimizer.py"
PLANS = "prunekit/results/plans.py"
PRUNING = "prunekit/pipeline/pruning.py"
REPAIRS = "prunekit/pipeline/repairs.py"
DISTRIBUTION = "prunekit/pipeline/distribution.py"
REFINING = "prunekit/pipeline/refining.py"
SEARCH = "prunekit/pipeline/search.py"
WHOLE = "prunekit/results/whole.py"

BUDGETS = [
    Mutant(
        "types come before comparisons",
        *(ARGUMENTS, "if isinstance(value, bool) or not isinstance(value, type_):", "if False:"),
        "test_refusals",
    ),
    Mutant(
        "sparse tensors are refused",
        *(ARGUMENTS, "elif value.layout != torch.strided:", "elif False:"),
        "test_refusals",
    ),
    Mutant(
        "50 is refused, with a hint",
        *(AMOUNTS, "    if not 0 <= ratio < 1:\n        hint", "    if ratio < 0:\n        hint"),
        "test_refusals",
    ),
    Mutant(
        "one channel stays",
        *(AMOUNTS, "keep = max(1, n", "keep = max(0, n"),
        "test_channels",
    ),
    Mutant(
        "a ratio that matches no site is refused",
        *(AMOUNTS, "if not hits:", "if False:"),
        "test_refusals",
    ),
    Mutant(
        "an error names the argument: of ratios by layer, which",
        *(AMOUNTS, 'check_ratio(ratio, f"pruning_ratio[{pattern!r}]")', "check_ratio(ratio)"),
        "test_refusals",
    ),
    Mutant(
        "an error bound above 1 is refused",
        *(AMOUNTS, "not 0 < max_error < 1:", "max_error <= 0:"),
        "test_refusals",
    ),
    Mutant(
        "two amounts at once are refused",
        *(AMOUNTS, "if len(given) != 1:", "if not given:"),
        "test_channels",
    ),
    Mutant(
        "a budget is kept: by what is just above it",
        *(BUDGET, "if cost(middle) <= budget.limit", "if cost(middle) <= 1.1 * budget.limit"),
        "test_pipeline",
    ),
    Mutant(
        "a budget that cannot be reached is refused",
        *(BUDGET, "if least <= self.limit:", "if True:"),
        "test_refusals",
    ),
    Mutant(
        "ids given by hand: one channel stays",
        *(BY_HAND, "if len(found) == count:", "if False:"),
        "test_channels",
    ),
    Mutant(
        "ids given by hand: each once",
        *(BY_HAND, "    if twice:", "    if False:"),
        "test_channels",
    ),
    Mutant(
        "progress can be switched off",
        *(FRONT, 'unit="layer", disable=not progress', 'unit="layer", disable=False'),
        "test_quiet",
    ),
    Mutant(
        "a bias comes in the network's dtype",
        *(FRONT, 'layer.weight.new_zeros(width(layer, "out"))'),
        'layer.weight.double().new_zeros(width(layer, "out"))',
        "test_pipeline",
    ),
    Mutant(
        "a method orders every channel once",
        *(METHODS, " or ids != list(range(channels)):", ":"),
        "test_methods",
    ),
    Mutant(
        "ratios of PRO give round widths",
        *(OPTIMIZER, "check_round_to(round_to))", "min(1, check_round_to(round_to)))"),
        "test_channels",
    ),
    Mutant(
        "the original stays as it is: pruned in place",
        *(PRUNING, "frozen_copy(model), frozen_copy(model)", "frozen_copy(model), model"),
        "test_pipeline",
    ),
    Mutant(
        "modes come back",
        *(PRUNING, "new.training = old.training", "new.training = False"),
        "test_pipeline",
    ),
    Mutant(
        "what was frozen stays frozen",
        *(PRUNING, "flags.get(name, flags.get(weight, True))", "True"),
        "test_pipeline",
    ),
    Mutant(
        "ignored layers are not refitted",
        *(PRUNING, "ignored_names(model, ignored_layers))", "set())"),
        "test_channels",
    ),
    Mutant(
        "layers that share weights are not refitted",
        *("prunekit/network/marking.py", " and model.get_submodule(name).weight not in shared", ""),
        "test_pipeline",
    ),
    Mutant(
        "widths within a budget are round",
        *(DISTRIBUTION, "uniform_widths(task.sites, budget, round_to)"),
        "uniform_widths(task.sites, budget)",
        "test_channels",
    ),
    Mutant(
        "PRO's ratios are never worse than one",
        *(DISTRIBUTION, "return tried[errors.index(min(errors))]"),
        "return best",
        "test_distribution",
    ),
    Mutant(
        "a fit that errs more on samples held back is not taken",
        *("prunekit/algebra/held_back.py", "if min(errors) >= judge.error(silenced, b0):"),
        "if False:",
        "test_held_back",
    ),
    Mutant(
        "refinement keeps the best state, not the last",
        *(REFINING, "self.student.load_state_dict(self.state)", "pass"),
        "test_refining",
    ),
    Mutant(
        "a repair never makes it worse",
        *(REPAIRS, "return before if worse > 0 else (W, b)", "return W, b"),
        "test_repairs",
    ),
    Mutant(
        "seconds are measured before they are promised",
        *(SEARCH, "            if spent <= limit:", "            if True:"),
        "test_optimizer_budgets",
    ),
    Mutant(
        "PRO's progress can be switched off",
        *(SEARCH, 'unit="trial", disable=not self.progress', 'unit="trial", disable=False'),
        "test_quiet",
    ),
    Mutant(
        "measurements of something else are refused",
        *(MEASURED, "if about != self.about:", "if False:"),
        "test_optimizer_files",
    ),
    Mutant(
        "measurements of a network that says something else are refused",
        *(MEASURED, "if not _alike(z0, self.z0):", "if False:"),
        "test_optimizer_files",
    ),
    Mutant(
        "edited measurements are refused",
        *(MEASURED, "if written != _checksum(content):", "if False:"),
        "test_optimizer_files",
    ),
    Mutant(
        "a method is what it refers to",
        *(FINGERPRINT, "        yield from _used(value)\n", ""),
        "test_fingerprint",
    ),
    Mutant(
        "a file is whole at any moment",
        *(WHOLE, "    part, raw = _new(place.parent, mode if was is None else was)"),
        '    part, raw = place, _Raw(place, "wb")',
        "test_whole",
    ),
    Mutant(
        "every writer has a name of its own",
        *(WHOLE, "{PREFIX}{secrets.token_hex(8)}{SUFFIX}", "{PREFIX}{SUFFIX}"),
        "test_whole",
    ),
    Mutant(
        "what somebody writes is not swept up",
        *(WHOLE, "                    _lock(file, wait=False)\n", ""),
        "test_whole",
    ),
    Mutant(
        "the mode of a file is kept",
        *(WHOLE, "            os.chmod(part, was)", "            pass"),
        "test_whole",
    ),
    Mutant(
        "links are written through",
        *(WHOLE, "Path(os.path.realpath(given))", "Path(given).absolute()"),
        "test_whole",
    ),
    Mutant(
        "damage is noticed",
        *(ARCHIVES, "broken = archive.testzip()", "broken = None"),
        "test_hostile_files",
    ),
    Mutant(
        "nothing in a file is run",
        *(ARCHIVES, 'found == "stranger"', "False"),
        "test_hostile_files",
    ),
    Mutant(
        "nothing is unpacked",
        *(ARCHIVES, "if packed or room > place.stat().st_size:", "if False:"),
        "test_hostile_files",
    ),
    Mutant(
        "plans are checked as they are read",
        *(PLANS, "                schema.check_plan(content)", "                pass"),
        "test_hostile_files",
    ),
    Mutant(
        "plans are checked on the network",
        *(PLANS, "    schema.check_cuts(model, plan.cuts)\n", ""),
        "test_hostile_files",
    ),
    Mutant(
        "plans add biases only",
        *(PLANS, "    schema.check_added(pruned, plan.added)\n", ""),
        "test_hostile_files",
    ),
    Mutant(
        "another dtype is refused",
        *(FILE, "value.dtype != state[name].dtype:", "False:"),
        "test_plans",
    ),
    Mutant(
        "an interrupted save leaves nothing behind",
        *(WHOLE, "part.unlink(missing_ok=True)", "pass"),
        "test_plans",
    ),
    Mutant(
        "replaying a plan leaves the network given alone",
        *(PLANS, "pruned = copied(model)", "pruned = model"),
        "test_plans",
    ),
    Mutant(
        "a replayed bias comes in the network's dtype",
        *(PLANS, "layer.weight.new_zeros(shape)", "layer.weight.double().new_zeros(shape)"),
        "test_plans",
    ),
    Mutant(
        "a plan of a newer format is refused",
        *(PLANS, "if version <= FORMAT:", "if True:"),
        "test_plans",
    ),
    Mutant(
        "another architecture is refused",
        *(PLANS, "    if not wrong:", "    if True:"),
        "test_plans",
    ),
    Mutant(
        "a layer that a fit makes worse keeps its weights",
        *(REPAIRS, "if stay and problem.error(W) <= problem.error(W0, b0):", "if stay:"),
        "test_repairs",
    ),
]
