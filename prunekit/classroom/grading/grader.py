"""Grade a folder of submissions: ``python -m prunekit grade FOLDER``.

Every notebook runs in a process of its own, shut in as well as the machine allows (`sandbox`,
`limits`); then each exercise is checked on random data that no student has seen, the same for all.
The submissions are only read, and what they hold is read by a process that may come to grief.

The verdict is made in another process than the learner's: inputs go there and results come back as
plain data. So nothing that a notebook does to `check`, to the library or to its own process makes a
wrong result right. Two things remain: an exercise that hands over more than plain data is checked
where the learner's code runs, and its verdict can be forged there (`checks.Exercise` marks it); and
a function may look up in the library what an exercise wants. A grade here saves reading, it is no
proctor.
"""

import asyncio
import os
import secrets
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pandas import DataFrame
from tqdm.auto import tqdm

from prunekit.classroom.checks import EXERCISES
from prunekit.classroom.grading.client import Examiner
from prunekit.classroom.grading.inside import MAX_WORDS
from prunekit.classroom.grading.limits import Limits, grouped
from prunekit.classroom.grading.sandbox import why_not
from prunekit.classroom.grading.session import outcomes
from prunekit.classroom.grading.submissions import Submission, Unreadable, fetch, find
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
        Limits: of a notebook, of one cell or check, and in GiB for all that a notebook starts.
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
    limits = Limits(minutes, seconds, memory)
    hidden = Path(folder).resolve()
    hidden = hidden if _isolated(isolation, hidden) else None
    print(f"seed {seed} (--seed {seed} repeats this grading)", flush=True)
    rows: dict[Path, list[Row]] = {}

    def keep(one: Submission, found: list[Row]) -> None:
        rows[one.path] = found
        write([row for known in submissions for row in rows.get(known.path, [])], path)

    complete = True
    try:
        examiners = [Examiner(limits, hidden) for _ in range(jobs or os.cpu_count() or 1)]
        room = partial(_rows, seed=seed, limits=limits, hidden=hidden)
        asyncio.run(_all(submissions, examiners, room, keep, progress))
    except KeyboardInterrupt:
        complete = False
    every = tuple(row for one in submissions for row in rows.get(one.path, []))
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


def _isolated(isolation: str, folder: Path) -> bool:
    """Whether notebooks will be shut in; says so, and what is not enforced."""
    if isolation not in ISOLATION:
        raise ValueError(f"isolation is {isolation!r}: give one of {', '.join(ISOLATION)}")
    reason = "--isolation never" if isolation == "never" else why_not(folder)
    if reason and isolation == "always":
        raise ValueError(f"notebooks cannot be shut in: {reason}; or give --isolation auto")
    if reason is None:
        print("isolation: on. Notebooks have no network, and see and change no file of yours.")
    else:
        print(
            f"isolation: OFF ({reason}).\n  Notebooks run with your rights: they could read and "
            "change your files, use the network, and leave processes behind.\n  Grade work of "
            "people you trust only, or on a machine that holds nothing else."
        )
    if not grouped():
        print(
            "memory: looked at twice a second, as systemd lends no control group here. More may "
            "be taken\n  for a moment, and segments that no process maps are not seen.",
            flush=True,
        )
    return reason is None


async def _all(
    submissions: Sequence[Submission],
    examiners: Sequence[Examiner],
    graded: Callable[[Submission, Examiner], Awaitable[list[Row]]],
    keep: Callable[[Submission, list[Row]], None],
    progress: bool,
) -> None:
    """Grade them, one at a time for each examiner; each is kept as soon as it is graded."""
    waiting = iter(submissions)
    with tqdm(total=len(submissions), desc="submissions", disable=not progress) as bar:

        async def work(examiner: Examiner) -> None:
            try:
                for submission in waiting:
                    keep(submission, await graded(submission, examiner))
                    bar.update()
            finally:
                await examiner.close()

        async with asyncio.TaskGroup() as group:
            for examiner in examiners[: len(submissions)]:
                group.create_task(work(examiner))


async def _rows(
    submission: Submission, examiner: Examiner, seed: int, limits: Limits, hidden: Path | None
) -> list[Row]:
    """The rows of one submission, whatever is wrong with it."""

    def row(exercise: str, status: str, message: str, seconds: float = 0.0) -> Row:
        lesson = EXERCISES[exercise].lesson if exercise else ""
        points, seconds = int(status == "correct"), round(seconds, 1)
        whose = (submission.student, submission.file, lesson, exercise)
        return Row(*whose, status if status in SIGNS else "failed", points, message, seconds, seed)

    try:
        content = await asyncio.to_thread(fetch, submission.path)
        found = await outcomes(content, examiner, seed, limits, hidden)
        return [row(o.exercise, o.status, o.message, o.seconds) for o in found]
    except Unreadable as error:
        return [row("", "failed", str(error))]
    except Exception as error:  # one submission never stops the rest
        words = f"Grading it failed with {type(error).__name__}: {str(error)[:MAX_WORDS]}"
        return [row("", "failed", words)]


def main(folder: str, **options: object) -> int:
    """Grade, print the tables, and say where the grades are."""
    grades = grade(folder, **options)
    print(f"\n{grades}\n\n{len({row.file for row in grades.rows})} notebooks: {grades.path}")
    if not grades.complete:
        print("Interrupted: the notebooks graded so far are in the file.", file=sys.stderr)
    return 0 if grades.complete else 130
