"""Grades as a file for a spreadsheet, and as tables for the terminal."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prunekit.results.frames import frame
from prunekit.results.report import text_table
from prunekit.results.whole import whole

__all__ = ["SIGNS", "Row", "summary", "write"]

SIGNS = {"correct": "✓", "not yet": "✗", "not started": "○", "failed": "!"}
LEGEND = "✓ correct  ✗ not yet  ○ not started  ! failed: see its message"
MAX_MESSAGE = 500
# what begins a formula, full-width and small forms too: first, or behind what may separate cells
FORMULA = re.compile(r"""(^|[;|][\s"']*|,"?)([=+\-@＝＋－＠﹦﹢﹣﹫−])""")
MOST_FREQUENT = 8


@dataclass(frozen=True)
class Row:
    """One exercise of one submission; where nothing could be graded, ``exercise`` is empty."""

    student: str
    file: str
    lesson: str
    exercise: str
    status: str
    points: int
    message: str
    seconds: float
    seed: int


def clean(text: str) -> str:
    """One line without control characters: a learner's message must not steer a terminal."""
    line = " · ".join(" ".join(part.split()) for part in text.splitlines() if part.strip())
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"


def harmless(cell: object) -> object:
    """A cell that no spreadsheet takes for a formula, also one that splits it at semicolons."""
    return FORMULA.sub(r"\1'\2", clean(cell)) if isinstance(cell, str) else cell


def write(rows: Sequence[Row], path: Path) -> None:
    """Write all rows at once: a reader finds the whole file, the old one or the new one."""
    cells = frame(rows, Row).map(harmless)
    with whole(path, "out", mode=0o600) as file:  # grades are nobody else's
        file.write(cells.to_csv(index=False).encode("utf-8-sig"))  # the mark is for Excel


def summary(rows: Sequence[Row]) -> str:
    """A table per lesson, students by exercises; then what went wrong most often."""
    lessons = sorted({row.lesson for row in rows if row.exercise})
    parts = [_table(lesson, [row for row in rows if row.lesson == lesson]) for lesson in lessons]
    unread = [f"! {clean(row.file)}: {clean(row.message)}" for row in rows if not row.exercise]
    parts += ["Not graded:\n" + "\n".join(unread)] if unread else []
    return "\n\n".join(part for part in (*parts, _frequent(rows)) if part)


def _table(lesson: str, rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(row.exercise for row in rows))
    files: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        files.setdefault((row.student, row.file), {})[row.exercise] = row
    times = Counter(student for student, _ in files)
    lines = [["", *(str(number) for number in range(1, len(names) + 1)), "points", "%"]]
    for (student, file), answers in files.items():
        points = sum(row.points for row in answers.values())
        signs = [SIGNS[answers[name].status] for name in names]
        who = clean(student if times[student] == 1 else f"{student} ({file})")
        lines.append([who, *signs, f"{points}/{len(names)}", f"{100 * points / len(names):.0f}"])
    right = [sum(row.points for row in rows if row.exercise == name) for name in names]
    share = 100 * sum(right) / (len(names) * len(files))
    lines.append(["correct", *map(str, right), f"{sum(right)}", f"{share:.0f}"])
    key = " · ".join(f"{number} {name}" for number, name in enumerate(names, 1))
    return f"{lesson}, {len(files)} submissions\n\n{text_table(lines)}\n\n{key}\n{LEGEND}"


def _frequent(rows: Sequence[Row]) -> str:
    """The hints that most submissions of the class were given."""
    wrong = [row for row in rows if row.status in ("not yet", "failed") and row.exercise]
    if not wrong:
        return ""
    exercise, most = Counter(row.exercise for row in wrong).most_common(1)[0]
    said = Counter((row.exercise, _first_line(row.message)) for row in wrong)
    lines = [f"{n:4} × {name}: {words}" for (name, words), n in said.most_common(MOST_FREQUENT)]
    title = f"Most often wrong: {exercise}, in {most} submissions. What was said most often:"
    return title + "\n" + "\n".join(lines)


def _first_line(message: str) -> str:
    return clean(next(iter(message.splitlines()), ""))
