"""Promises of the course, and of the tests themselves."""

from tests.mutants.mutant import Mutant

CHECKS = "prunekit/classroom/checks.py"
FRAMES = "prunekit/results/frames.py"

COURSE = [
    Mutant(
        "pandas is imported by those who want a table",
        *(FRAMES, "if TYPE_CHECKING:", "if True:"),
        "test_plain_install",
    ),
    Mutant(
        "imports point one way",
        *(FRAMES, "from dataclasses import astuple, fields\n"),
        "from dataclasses import astuple, fields\n\nfrom prunekit.pipeline import amounts\n",
        "test_architecture",
    ),
    Mutant(
        "an answer of another shape is not right",
        *(CHECKS, "    if got.shape != wanted.shape:\n        return False\n", ""),
        "test_checks",
    ),
    Mutant(
        "an answer is put to other data with another seed",
        *(CHECKS, "torch.Generator().manual_seed(seed)", "torch.Generator().manual_seed(0)"),
        "test_checks",
    ),
    Mutant(
        "data sets are not fetched unasked",
        *("prunekit/classroom/data.py", "if folder is None and download:", "if folder is None:"),
        "test_data",
    ),
    Mutant(
        "tests reach nothing beyond this machine",
        *("tests/offline/sitecustomize.py", "if not is_here(host):", "if False:"),
        "test_offline",
    ),
    Mutant(
        "the shipped weights are read without running anything",
        *("prunekit/classroom/pretrained.py", ", weights_only=True)", ", weights_only=False)"),
        "test_architecture",
    ),
    Mutant(
        "notebooks: cells ran in order",
        *("notebooks/05_reap.ipynb", '"execution_count": 7,', '"execution_count": 70,'),
        "test_notebooks",
    ),
    Mutant(
        "notebooks: a figure has its sentence",
        *("notebooks/05_reap.ipynb", '"    alt=\\"Greedy lies', '"    title=\\"Greedy lies'),
        "test_notebooks",
    ),
]
