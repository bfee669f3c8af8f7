"""The grader, run from a copy of the package that has three exercises made for these tests."""

import contextlib
import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import psutil
from nbformat.v4 import new_code_cell, new_notebook

import prunekit

EXERCISES = '''
"""Three exercises; the last is checked in the learner's process."""

from prunekit.classroom.checks import exercise


@exercise("98-crafted")
def mean_square(answer):
    x = answer.normal(5)
    answer.expect(answer(x), x.square().mean(), "Average.", {"That is the sum.": x @ x})


@exercise("98-crafted")
def scaled(answer):
    x = answer.normal(3)
    answer.expect(answer(x, 2.0), 2 * x, "Multiply.")


@exercise("98-crafted", plain=False)
def largest(answer):
    x = answer.normal(7)
    answer.expect(answer(x), x.max(), "Look for the largest.")
'''
SETUP = "import os\nimport torch\nfrom prunekit.classroom.checks import check"
SQUARE = "def mean_square(x):\n    return x.square().mean()"
SCALED = "def scaled(x, a):\n    return a * x"
LARGEST = "def largest(x):\n    return x.max()"
CHECKS = ["check(mean_square)", "check(scaled)", "check(largest)"]


def copied(folder):
    """The package with these exercises."""
    source = Path(prunekit.__file__).parent
    shutil.copytree(source, folder / "prunekit", ignore=shutil.ignore_patterns("*.pt"))
    exercises = folder / "prunekit" / "classroom" / "exercises"
    for path in exercises.glob("[a-z]*.py"):
        path.unlink()
    (exercises / "crafted.py").write_text(EXERCISES, "utf-8")
    return folder


def save(path, *cells, checked=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    sources = [SETUP, *cells, *(CHECKS if checked else [])]
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in sources]), path)


def start(package, *words, path=(), environment=(), **options):
    path = map(str, [package, os.environ["PYTHONPATH"], *path])  # the guard of conftest.py
    ours = {"PYTHONPATH": os.pathsep.join(path), "SECRET": "key", **dict(environment)}
    return subprocess.Popen(
        [sys.executable, "-m", "prunekit", "grade", *map(str, words)],
        env=os.environ | ours,
        cwd=package,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def end(process):
    """Leave nothing behind, whatever happened: no process, no open pipe."""
    family = [process]
    with contextlib.suppress(psutil.NoSuchProcess):
        family = [*psutil.Process(process.pid).children(recursive=True), process]
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            member.kill()
    process.wait()
    for pipe in (process.stdout, process.stderr):
        pipe.close()


def run(package, *words, **options):
    process = start(package, *words, **options)
    try:
        out, err = process.communicate(timeout=900)
    finally:
        end(process)
    return process.returncode, out, err


def table(path):
    """{file: {exercise: (status, message)}} of a CSV file."""
    found = {}
    with open(path, encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["file"], {})[row["exercise"]] = (row["status"], row["message"])
    return found
