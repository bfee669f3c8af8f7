"""Mutants: formulas and promises broken on purpose, one at a time; a test has to notice each."""

from tests.mutants.algebra import ALGEBRA
from tests.mutants.budgets import BUDGETS
from tests.mutants.chapters import CHAPTERS
from tests.mutants.course import COURSE
from tests.mutants.networks import NETWORKS
from tests.mutants.rivals import RIVALS
from tests.mutants.structure import STRUCTURE
from tests.mutants.untouched import UNTOUCHED

__all__ = ["FORMULAS", "PROMISES"]

FORMULAS = [*CHAPTERS, *RIVALS, *ALGEBRA, *NETWORKS]
PROMISES = [*UNTOUCHED, *BUDGETS, *COURSE, *STRUCTURE]
