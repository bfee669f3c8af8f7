"""Mutants: formulas and promises broken on purpose, one at a time; a test has to notice each.

A mutant is a name, a file, what stands there (once) and what is put in its place, and the tests
that should notice, the quickest first.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One fault that somebody could make."""

    name: str
    file: str
    old: str
    new: str
    tests: str

    def applied(self, source: str) -> str:
        """The source with the fault in it."""
        if source.count(self.old) != 1:
            raise ValueError(
                f"{self.name}: {self.file} holds {self.old!r} {source.count(self.old)} times, "
                "expected once: the code has moved on, write the mutant anew"
            )
        return source.replace(self.old, self.new)
