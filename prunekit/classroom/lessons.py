"""Make a lesson's exercise notebook from its solution: ``python -m prunekit.classroom.lessons``.

What stands between ``# BEGIN SOLUTION`` and ``# END SOLUTION`` (as nbgrader reads them) becomes a
blank, and the outputs go.
"""

import re
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from prunekit.results.whole import whole

__all__ = ["BLANK", "exercise_of", "main"]

BLANK = "# YOUR CODE HERE\n{indent}raise NotImplementedError"
SOLUTION = re.compile(
    r"^(?P<indent>[ \t]*)# BEGIN SOLUTION\n.*?^[ \t]*# END SOLUTION$", re.MULTILINE | re.DOTALL
)


def exercise_of(solution: NotebookNode) -> NotebookNode:
    """The same notebook with blanks for the solutions and without outputs."""
    exercise = nbformat.from_dict(solution)
    for cell in exercise.cells:
        if cell.cell_type == "code":
            cell.source = SOLUTION.sub(_blank, cell.source)
            cell.outputs, cell.execution_count = [], None
        if "SOLUTION" in cell.source:
            raise ValueError(f"a solution is not closed, or nested:\n{cell.source}")
    return exercise


def _blank(solution: re.Match) -> str:
    indent = solution["indent"]
    return indent + BLANK.format(indent=indent)


def main(folder: str = "lessons") -> None:
    """Write ``exercise.ipynb`` beside every ``solution.ipynb`` below the folder."""
    for source in sorted(Path(folder).glob("*/solution.ipynb")):
        target = source.with_name("exercise.ipynb")
        text = nbformat.writes(exercise_of(nbformat.read(source, as_version=4)))
        with whole(target) as file:
            file.write(f"{text}\n".encode())
        print(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
