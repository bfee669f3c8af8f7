"""Promises: what a user may rely on, each taken back in one place."""

from tests.mutants import Mutant

GIVEN, PASSES = "prunekit/network/given.py", "prunekit/network/passes.py"
RECORDING, PRUNING = "prunekit/network/recording.py", "prunekit/pipeline/pruning.py"
AMOUNTS, BUDGET = "prunekit/pipeline/amounts.py", "prunekit/pipeline/budget.py"
FILES, TRIAL = "prunekit/results/files.py", "prunekit/pipeline/trial.py"

PROMISES = [
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
        "random numbers of the user are not used up",
        *(GIVEN, "torch.random.fork_rng(devices),", "torch.random.fork_rng(enabled=False),"),
        "test_pipeline test_as_users_have_them",
    ),
    Mutant(
        "working copies carry no hooks",
        *(GIVEN, "memo[id(value)] = hooks(value)", "pass"),
        "test_as_users_have_them",
    ),
    Mutant(
        "recording leaves no hook behind",
        *(RECORDING, "    finally:\n        for handle in hooks:\n            handle.remove()"),
        "    finally:\n        pass",
        "test_walk test_coding",
    ),
    Mutant(
        "a network that catches exceptions does not swallow the stop",
        *(RECORDING, "class Stop(BaseException):", "class Stop(Exception):"),
        "test_walk",
    ),
    Mutant(
        "every pass is unwound",
        *(PASSES, "        self._stopped = True\n        while", "        return\n        while"),
        "test_walk",
    ),
    Mutant(
        "a pass throws dice of its own",
        *(PASSES, "torch.set_rng_state(self._dice)", "self._dice"),
        "test_walk",
    ),
    Mutant(
        "what forward() stores on self is the pass's own",
        *(PASSES, "copy.deepcopy(model, shared)", "model"),
        "test_walk",
    ),
    Mutant(
        "float64 inside",
        *("prunekit/algebra/moments.py", "X, Y = float64(X, copy=True), float64(Y, copy=True)"),
        "X, Y = X.float().clone(), Y.float().clone()",
        "test_moments test_one_site",
    ),
    Mutant(
        "near ties are decided by index",
        *("prunekit/algebra/choice.py", "RELATIVE, OF_SCALE = 1e-6, 1e-9"),
        "RELATIVE, OF_SCALE = 0.0, 0.0",
        "test_reap test_unification test_baselines test_jitter",
    ),
    Mutant(
        "50 is refused, with a hint",
        *(AMOUNTS, "    if not 0 <= ratio < 1:\n        hint", "    if ratio < 0:\n        hint"),
        "test_refusals",
    ),
    Mutant(
        "one channel stays",
        *(AMOUNTS, "rounded_up(max(1, channels", "rounded_up(max(0, channels"),
        "test_pipeline test_channels",
    ),
    Mutant(
        "a budget is kept: by what is just above it",
        *(BUDGET, "if cost(middle) <= budget.limit", "if cost(middle) <= 1.1 * budget.limit"),
        "test_pipeline test_budgets",
    ),
    Mutant(
        "a budget that cannot be reached is refused",
        *(BUDGET, "if least <= self.limit:", "if True:"),
        "test_refusals test_optimizer_budgets",
    ),
    Mutant(
        "a ratio that matches no site is refused",
        *(AMOUNTS, "if not any(fnmatchcase(site.name, pattern) for site in sites):", "if False:"),
        "test_refusals",
    ),
    Mutant(
        "a file is whole at any moment",
        *(FILES, 'part = path.with_name(f".{path.name}.{os.getpid()}.part")', "part = path"),
        "test_plans",
    ),
    Mutant(
        "damage is noticed",
        *(FILES, "broken = archive.testzip()", "broken = None"),
        "test_plans",
    ),
    Mutant(
        "nothing in a file is run",
        *(
            FILES,
            'map_location="cpu", weights_only=True)',
            'map_location="cpu", weights_only=False)',
        ),
        "test_plans",
    ),
    Mutant(
        "measurements of something else are refused",
        *(TRIAL, "if about != self._fingerprint:", "if False:"),
        "test_optimizer_files",
    ),
    Mutant(
        "a repair never makes it worse",
        *("prunekit/pipeline/repairs.py", "return before if worse > 0 else (W, b)", "return W, b"),
        "test_pipeline test_one_site test_methods",
    ),
    Mutant(
        "batch norms keep their momentum",
        *("prunekit/network/recalibration.py", "norm.momentum = momentum", "norm.momentum = None"),
        "test_widths",
    ),
    Mutant(
        "similarity is symmetric to the last digit",
        *("prunekit/coding.py", "cosines = (cosines + cosines.T) / 2", "cosines = cosines + 0"),
        "test_jitter",
    ),
    Mutant(
        "progress can be switched off",
        *("prunekit/pipeline/front_to_back.py", 'unit="layer", disable=not progress'),
        'unit="layer", disable=False',
        "test_pipeline",
    ),
]
