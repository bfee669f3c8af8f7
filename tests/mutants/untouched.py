"""Promises about what a user has: networks, settings, random numbers, dtypes stay as they are."""

from tests.mutants.mutant import Mutant

BASELINES = "prunekit/baselines.py"
CODING = "prunekit/coding.py"
COST = "prunekit/network/cost.py"
GIVEN = "prunekit/network/given.py"
CALIBRATION = "prunekit/network/calibration.py"
INPUTS = "prunekit/network/inputs.py"
MOMENTS = "prunekit/algebra/moments.py"
PASSES = "prunekit/network/passes.py"
PRO = "prunekit/pro.py"
RECALIBRATION = "prunekit/network/recalibration.py"
DICE = "prunekit/network/dice.py"
RECORDING = "prunekit/network/recording.py"
SURVEY = "prunekit/network/survey.py"
WALK = "prunekit/network/walk.py"
WIDTHS = "prunekit/network/widths.py"

UNTOUCHED = [
    Mutant(
        "float64 inside",
        *(MOMENTS, "X, Y = float64(X, copy=True), float64(Y, copy=True)"),
        "X, Y = X.float().clone(), Y.float().clone()",
        "test_moments",
    ),
    Mutant(
        "the same seed, the same channels",
        BASELINES,
        "torch.randperm(site.channels, generator=torch.Generator().manual_seed(seed))",
        "torch.randperm(site.channels)",
        "test_baselines",
    ),
    Mutant(
        "another seed, other channels",
        *(BASELINES, "torch.Generator().manual_seed(seed)", "torch.Generator().manual_seed(0)"),
        "test_baselines",
    ),
    Mutant(
        "similarity is symmetric to the last digit",
        *(CODING, "cosines = (cosines + cosines.T) / 2", "cosines = cosines + 0"),
        "test_coding",
    ),
    Mutant(
        "positions are drawn from their own seed",
        *(CODING, "torch.Generator().manual_seed(seed)", "torch.Generator().manual_seed(0)"),
        "test_coding",
    ),
    Mutant(
        "PRO: an exchange keeps within the budget",
        *(PRO, "and cost(tried) <= budget:", "and cost(tried) <= 1.1 * budget:"),
        "test_pro",
    ),
    Mutant(
        "modes come back after counting",
        *(COST, "            module.training = training\n    return counter"),
        "            module.training = False\n    return counter",
        "test_cost",
    ),
    Mutant(
        "modes come back after timing",
        *(COST, "            module.training = training\n    timed"),
        "            module.training = False\n    timed",
        "test_widths",
    ),
    Mutant(
        "fused layers are counted",
        *(COST, "with Unfused(), FlopCounterMode", "with FlopCounterMode"),
        "test_cost",
    ),
    Mutant(
        "random numbers of the user are not used up",
        *(GIVEN, "torch.random.fork_rng(devices),", "torch.random.fork_rng(enabled=False),"),
        "test_as_users_have_them",
    ),
    Mutant(
        "working copies carry no hooks",
        *(GIVEN, "memo[id(value)] = hooks(value)", "pass"),
        "test_as_users_have_them",
    ),
    Mutant(
        "inference mode around it changes nothing",
        *(GIVEN, "torch.inference_mode(False),", "torch.no_grad(),"),
        "test_as_users_have_them",
    ),
    Mutant(
        "autocast around it changes nothing",
        *(GIVEN, '        torch.autocast("cpu", enabled=False),\n', ""),
        "test_as_users_have_them",
    ),
    Mutant(
        "inputs stay as they are, whatever forward() does to them",
        *(INPUTS, "inputs = map_tensors(Tensor.clone, inputs)", "inputs = inputs"),
        "test_quiet",
    ),
    Mutant(
        "calibration data is finite",
        *(CALIBRATION, "if value.is_floating_point() and not torch.isfinite(value)"),
        "if False and not torch.isfinite(value)",
        "test_refusals",
    ),
    Mutant(
        "a batch of another shape is refused",
        *(CALIBRATION, "if value.ndim != wanted.ndim or not (any"),
        "if False and not (any",
        "test_refusals",
    ),
    Mutant(
        "a batch of a size that the network does not take is refused",
        *(
            CALIBRATION,
            "        return False\n    return True",
            "        return True\n    return True",
        ),
        "test_pipeline",
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
        "an error of the network comes out",
        *(PASSES, "if self._error is not None:", "if False:"),
        "test_walk",
    ),
    Mutant(
        "batch norms keep their momentum",
        *(RECALIBRATION, "norm.momentum = momentum", "norm.momentum = None"),
        "test_cost",
    ),
    Mutant(
        "recalibration leaves the network given alone",
        *(RECALIBRATION, "model = copied(model, hooks=True)", "model = model"),
        "test_cost test_as_users_have_them",
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
        "gradients leave no hook behind",
        *(RECORDING, "            hook.remove()", "            pass"),
        "test_baselines",
    ),
    Mutant(
        "the same dice in every pass that is recorded",
        *(DICE, "torch.default_generator.manual_seed(seed)", "int(seed)"),
        "test_walk",
    ),
    Mutant(
        "the survey leaves no hook behind",
        *(SURVEY, "                hook.remove()", "                pass"),
        "test_walk test_optimizer",
    ),
    Mutant(
        "a walk that ends in an error unwinds its passes",
        *(WALK, "            one.close()", "            pass"),
        "test_walk",
    ),
    Mutant(
        "progress of timing can be switched off",
        *(WIDTHS, 'unit="network", disable=not progress', 'unit="network", disable=False'),
        "test_quiet",
    ),
    Mutant(
        "near ties are decided by index",
        *("prunekit/algebra/choice.py", "RELATIVE, OF_SCALE = 1e-6, 1e-9"),
        "RELATIVE, OF_SCALE = 0.0, 0.0",
        "test_choice",
    ),
    Mutant(
        "the network's outputs are never pruned",
        *("prunekit/network/structure.py", "if found.outside & group.keys():", "if False:"),
        "test_network",
    ),
]
