"""Submissions: whose they are, what they say, and which exercises they answer."""

import os
import re
import stat
from dataclasses import dataclass
from json import JSONDecodeError
from pathlib import Path

import nbformat
from nbformat import reader

from prunekit.classroom import exercises  # noqa: F401  (they register themselves)
from prunekit.classroom.checks import EXERCISES
from prunekit.classroom.grading.inside import MAX_WORDS

__all__ = ["Submission", "Unreadable", "answered", "defined_in", "fetch", "find", "read"]

MAX_MB = 50  # an exercise notebook has less than 1 MB, pictures included


class Unreadable(Exception):
    """A submission cannot be graded; the message says why, and the cure."""


@dataclass(frozen=True)
class Submission:
    """A notebook that a student handed in; ``file`` is its name as seen from the folder."""

    student: str
    file: str
    path: Path


def find(folder: Path) -> list[Submission]:
    """``folder/*.ipynb`` by their names, ``folder/<student>/*.ipynb`` by the folders' names.

    A submission is where it really lies: links are found, but not followed.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such folder, it cannot be read, or it holds no notebooks.
    """
    if not folder.exists():
        raise FileNotFoundError(
            f"there is no folder {str(folder)!r}: name the one that holds the submissions"
        )
    if not folder.is_dir():
        raise ValueError(f"{str(folder)!r} is a file: name the folder that holds the submissions")
    folder = folder.resolve()
    try:
        paths = [path for entry in folder.iterdir() for path in (entry, *_in(entry))]
    except OSError as error:
        raise ValueError(f"{str(folder)!r} cannot be read ({error}): check its rights") from None
    found = [
        Submission(
            path.stem if path.parent == folder else path.parent.name,
            path.relative_to(folder).as_posix(),
            path,
        )
        for path in paths
        if path.suffix.lower() == ".ipynb" and not _hidden(path, folder)
    ]
    if not found:
        raise ValueError(
            f"{str(folder)!r} holds no notebooks: put each student's .ipynb into it, or into a "
            "folder of their name inside it (unpack archives first)"
        )
    return sorted(found, key=lambda one: (one.student.casefold(), one.file))


def _in(folder: Path) -> list[Path]:
    """What a student's folder holds; one that cannot be read is named rather than left out."""
    try:
        if folder.is_symlink():
            return [folder / "is a link.ipynb"] if folder.is_dir() else []
        return list(folder.iterdir()) if folder.is_dir() else []
    except OSError:
        return [folder / "cannot be opened.ipynb"]


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)  # checkpoints


def fetch(path: Path) -> bytes:
    """What a file holds, cut at `MAX_MB`; only of a regular file, and no link is followed.

    Raises
    ------
    Unreadable
        If it is something else, or cannot be opened.
    """
    careful = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # a FIFO would wait
    try:
        if path.is_symlink():
            raise Unreadable("It is a link, not a file: ask for the notebook itself.")
        if not path.is_file():
            raise Unreadable("It is not a file: ask for the notebook itself.")
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | careful)
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise Unreadable("It is not a file: ask for the notebook itself.")
            content = file.read(MAX_MB * 2**20 + 1)
    except OSError as error:
        words = f"It cannot be opened ({error.strerror}): check its rights, or ask for it again."
        raise Unreadable(words) from None
    if len(content) > MAX_MB * 2**20:
        raise Unreadable(f"It has more than {MAX_MB} MB: clear its outputs, or ask for it again.")
    return content


def read(content: bytes) -> list[str]:
    """The sources of a notebook's code cells, of whatever format version.

    Raises
    ------
    Unreadable
        If it is no notebook, or has no code.
    """
    try:
        notebook = nbformat.convert(reader.reads(content.decode("utf-8-sig")), 4)
        cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    except MemoryError:
        raise Unreadable("It holds too much: ask for it again, its outputs cleared.") from None
    except (reader.NotJSONError, JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable("It is not a notebook (no JSON): ask for the .ipynb file.") from None
    except Exception as error:  # JSON of another kind, or of a format to come
        words = f"It is not a notebook that nbformat knows ({type(error).__name__}: {error})."
        raise Unreadable(words[:MAX_WORDS] + " Ask for the .ipynb file, saved by Lab.") from None
    if not any(isinstance(source, str) and source.strip() for source in cells):
        raise Unreadable("It has no code: ask for the notebook with the answers.")
    return [source for source in cells if isinstance(source, str)]


def defined_in(source: str) -> list[str]:
    """The names that a cell gives to functions, also one that Python cannot read."""
    names = re.findall(r"^(?:def[ \t]+(\w+)|(\w+)[ \t]*=(?!=))", source, flags=re.MULTILINE)
    return [function or variable for function, variable in names]


def answered(cells: list[str]) -> list[str]:
    """Every exercise of the lessons that the notebook checks; else of those that it defines.

    The names decide, not the file's: ``check(mean_square)`` belongs to one lesson only.

    Raises
    ------
    Unreadable
        If no exercise is in it.
    """
    text = "\n".join(cells)
    checked = re.findall(r"^[^#\n]*\bcheck\([ \t]*(\w+)", text, flags=re.MULTILINE)
    for names in (checked, defined_in(text)):
        lessons = {EXERCISES[name].lesson for name in names if name in EXERCISES}
        if lessons:
            return [name for name, exercise in EXERCISES.items() if exercise.lesson in lessons]
    raise Unreadable("No exercise is in it: ask for the lesson's exercise.ipynb, filled in.")
