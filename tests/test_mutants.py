"""Mutants stay applicable: `python -m tests.mutants` runs them."""

import ast
from pathlib import Path

import pytest

from .mutants.formulas import FORMULAS
from .mutants.promises import PROMISES

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("mutant", [*FORMULAS, *PROMISES], ids=lambda mutant: mutant.name)
def test_it_still_breaks_what_is_there(mutant):
    source = (ROOT / mutant.file).read_text("utf-8")
    broken = ast.dump(ast.parse(mutant.applied(source)))
    assert broken != ast.dump(ast.parse(source))


def test_there_are_enough():
    assert len(FORMULAS) >= 30 and len(PROMISES) >= 20
    assert len({mutant.name for mutant in (*FORMULAS, *PROMISES)}) == len(FORMULAS + PROMISES)
