"""A mutant: one fault that somebody could make, and the tests that should notice."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes
    ----------
    name : what is wrong or, of a promise, what does not hold any more
    file : where
    old, new : what stands there, once, and what is put in its place
    tests : names of the test files that should notice, the quickest first
    """

    name: str
    file: str
    old: str
    new: str
    tests: str

    @property
    def test_files(self) -> list[str]:
        """Where the tests are, as seen from the root."""
        return [f"tests/{name}.py" for name in self.tests.split()]

    def applied(self, source: str) -> str:
        """The source with the fault in it."""
        if source.count(self.old) != 1:
            raise ValueError(
                f"{self.name}: {self.file} holds {self.old!r} {source.count(self.old)} times, "
                "expected once: the code has moved on, write the mutant anew"
            )
        return source.replace(self.old, self.new)
