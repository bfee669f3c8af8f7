"""The examples in docstrings do what they say; a warning there is an error."""

import doctest
import importlib
import pkgutil
import warnings

import pytest
import torch

import prunekit

# by name: as an attribute of the package, prune is the function and not its file
NAMES = [info.name for info in pkgutil.walk_packages(prunekit.__path__, "prunekit.")]
MODULES = [importlib.import_module(name) for name in NAMES if not name.endswith("__main__")]


def examples(module):
    return [test for test in doctest.DocTestFinder().find(module) if test.examples]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples(module):
    torch.manual_seed(0)
    runner = doctest.DocTestRunner(verbose=False)
    report = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for test in examples(module):
            runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)


def test_the_example_of_a_method_of_your_own_is_among_them():
    (pipeline,) = (module for module in MODULES if module.__name__ == "prunekit.pipeline.pruning")
    (found,) = (
        test for test in examples(pipeline) if test.name == "prunekit.pipeline.pruning.prune"
    )
    assert any("def quietest_first(site)" in example.source for example in found.examples)


def test_a_wrong_example_would_be_noticed():
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(wrong, out=lambda _: None)
    assert runner.failures == 1
