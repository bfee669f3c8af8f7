"""Grade a folder of submissions: ``python -m prunekit grade FOLDER``.

Every notebook runs in a kernel of its own, shut in as well as the machine allows
(`sandbox`), with limits to its time and memory; then each exercise is checked on random
data that no student has seen, the same for all. The submissions are only read.

Who plays tricks on `check` or prints ✓ gains nothing. But a check runs in the same process as the
learner's code, and whoever works at it can forge a verdict from there, or look up what the check
wants; the message of a sandboxed notebook goes no further than its own grades. A grade here saves
reading, it is no proctor.
"""

import asyncio
import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pandas import DataFrame
from tqdm.auto import tqdm

from prunekit.classroom import exercises  # noqa: F401  (they register themselves)
from prunekit.classroom.checks import EXERCISES
from prunekit.classroom.grading.client import Limits
from prunekit.classroom.grading.sandbox import why_not
from prunekit.classroom.grading.session import outcomes
from prunekit.classroom.grading.submissions import Submission, Unreadable, answered, find, read
from prunekit.classroom.grading.table import SIGNS, Row, summary, write
from prunekit.results.frames import frame

__all__ = ["Grades", "grade", "main"]

ISOLATION = ("auto", "always", "never")


@dataclass(frozen=True)
class Grades:
    """What grading gave; ``complete`` is False if it was interrupted."""

    rows: tuple[Row, ...]
    path: Path
    seed: int
    complete: bool

    def to_dataframe(self) -> DataFrame:
        """A row per exercise of each submission, a column per attribute of `table.Row`."""
        return frame(self.rows, Row)

    def __str__(self) -> str:
        return summary(self.rows)


def grade(
    folder: str | Path,
    *,
    out: str | Path | None = None,
    seed: int | None = None,
    minutes: float = 3.0,
    seconds: float = 30.0,
    memory: float = 4.0,
    jobs: int | None = None,
    isolation: str = "auto",
    progress: bool = True,
) -> Grades:
    """Grade the notebooks of a folder, ``FOLDER/*.ipynb`` and ``FOLDER/<student>/*.ipynb``.

    Parameters
    ----------
    folder
        Holds the submissions; nothing but the grades is written there.
    out
        The CSV file; ``grades.csv`` in the folder by default. One that is there is kept as .bak.
    seed
        Of the random data, the same for all; a new one by default, and stored with the grades.
    minutes, seconds, memory
        Limits: of a notebook, of one cell or check, and in GiB (on Linux).
    jobs
        Notebooks at a time, one thread each; as many as there are cores by default.
    isolation
        "auto" shuts notebooks in where bubblewrap works, "always" refuses to go on where it does
        not, "never" does not try.
    progress
        Whether to show a bar.

    Raises
    ------
    FileNotFoundError, ValueError
        If the folder has nothing to grade, or an option is out of its range.
    """
    for name, value in {"minutes": minutes, "seconds": seconds, "memory": memory}.items():
        if not 0 < value < float("inf"):
            raise ValueError(f"{name} is {value}: give a number above 0")
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs is {jobs}: at least one notebook must run at a time")
    submissions = find(Path(folder))
    path = _ready(Path(out) if out is not None else Path(folder) / "grades.csv")
    seed = secrets.randbelow(10**6) if seed is None else seed
    limits = Limits(minutes, seconds, memory, _isolated(isolation))
    print(f"seed {seed} (--seed {seed} repeats this grading)", flush=True)
    rows: dict[Submission, list[Row]] = {}

    def keep(one: Submission, found: list[Row]) -> None:
        rows[one] = found
        write([row for known in submissions for row in rows.get(known, [])], path)

    complete = True
    try:
        asyncio.run(_all(submissions, seed, limits, jobs or os.cpu_count() or 1, keep, progress))
    except KeyboardInterrupt:
        complete = False
    every = tuple(row for one in submissions for row in rows.get(one, []))
    return Grades(every, path, seed, complete)


def _ready(path: Path) -> Path:
    """Put an older file aside, and find out now whether a new one can be written."""
    try:
        if path.exists():
            os.replace(path, path.with_name(path.name + ".bak"))
        write([], path)
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be written ({error}): name another --out") from None
    return path


def _isolated(isolation: str) -> bool:
    """Whether notebooks will be shut in; says so, and what is not enforced if they are not."""
    if isolation not in ISOLATION:
        raise ValueError(f"isolation is {isolation!r}: give one of {', '.join(ISOLATION)}")
    reason = "--isolation never" if isolation == "never" else why_not()
    if reason and isolation == "always":
        raise ValueError(f"notebooks cannot be shut in: {reason}; or give --isolation auto")
    if reason is None:
        print("isolation: on. Notebooks have no network, and see and change no file of yours.")
        return True
    memory = "" if sys.platform == "linux" else " Memory is not limited either."
    print(
        f"isolation: OFF ({reason}).\n  Notebooks run with your rights: they could read and change "
        f"your files, and use the network.{memory}\n  Grade work of people you trust only, or on a "
        "machine that holds nothing else.",
        flush=True,
    )
    return False


async def _all(
    submissions: Sequence[Submission],
    seed: int,
    limits: Limits,
    jobs: int,
    keep: Callable[[Submission, list[Row]], None],
    progress: bool,
) -> None:
    """Grade them, so many at a time; each is kept as soon as it is graded."""
    free = asyncio.Semaphore(jobs)
    with tqdm(total=len(submissions), desc="submissions", disable=not progress) as bar:

        async def one(submission: Submission) -> None:
            async with free:
                keep(submission, await _rows(submission, seed, limits))
                bar.update()

        await asyncio.gather(*map(one, submissions))


async def _rows(submission: Submission, seed: int, limits: Limits) -> list[Row]:
    """The rows of one submission, whatever is wrong with it."""

    def row(exercise: str, status: str, message: str, seconds: float = 0.0) -> Row:
        lesson = EXERCISES[exercise].lesson if exercise else ""
        points, seconds = int(status == "correct"), round(seconds, 1)
        whose = (submission.student, submission.file, lesson, exercise)
        return Row(*whose, status if status in SIGNS else "failed", points, message, seconds, seed)

    try:
        cells = read(submission.path)
        names = answered(cells)
        with tempfile.TemporaryDirectory(prefix="prunekit-", ignore_cleanup_errors=True) as place:
            scratch = Path(place).resolve()
            found = await outcomes(cells, names, scratch, seed, limits)
        return [row(o.exercise, o.status, o.message, o.seconds) for o in found]
    except Unreadable as error:
        return [row("", "failed", str(error))]
    except Exception as error:  # one submission never stops the rest
        return [row("", "failed", f"Grading it failed with {type(error).__name__}: {error}")]


def main(folder: str, **options: object) -> int:
    """Grade, print the tables, and say where the grades are."""
    grades = grade(folder, **options)
    print(f"\n{grades}\n\n{len({row.file for row in grades.rows})} notebooks: {grades.path}")
    if not grades.complete:
        print("Interrupted: the notebooks graded so far are in the file.", file=sys.stderr)
    return 0 if grades.complete else 130
