"""Mutants stay applicable: `python -m tests.mutants` runs them."""

import ast
import json
from pathlib import Path

import pytest

from .mutants import FORMULAS, PROMISES

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("mutant", [*FORMULAS, *PROMISES], ids=lambda mutant: mutant.name)
def test_it_still_breaks_what_is_there(mutant):
    source = (ROOT / mutant.file).read_text("utf-8")
    read = json.loads if mutant.file.endswith(".ipynb") else lambda text: ast.dump(ast.parse(text))
    assert read(mutant.applied(source)) != read(source)
    assert all((ROOT / test).is_file() for test in mutant.test_files)


def test_there_are_enough():
    assert len(FORMULAS) >= 30 and len(PROMISES) >= 20
    assert len({mutant.name for mutant in (*FORMULAS, *PROMISES)}) == len(FORMULAS + PROMISES)
