"""A class is graded whatever its notebooks do; nothing they do reaches beyond their own grades.

The grader is run from a copy of the package with three exercises made for these tests.
"""

import contextlib
import csv
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import prunekit
from prunekit.classroom import checks
from prunekit.classroom.grading import grader, sandbox, submissions
from prunekit.classroom.grading import table as tables
from prunekit.classroom.grading.submissions import Unreadable, answered, defined_in, find, read
from prunekit.classroom.grading.table import Row

EXERCISES = '''
"""Three exercises."""

from prunekit.classroom.checks import exercise


@exercise("98-crafted")
def mean_square(answer):
    x = answer.normal(5)
    answer.expect(answer(x), x.square().mean(), "Average.", {"That is the sum.": x @ x})


@exercise("98-crafted")
def scaled(answer):
    x = answer.normal(3)
    answer.expect(answer(x, 2.0), 2 * x, "Multiply.")


@exercise("98-crafted")
def largest(answer):
    x = answer.normal(7)
    answer.expect(answer(x), x.max(), "Look for the largest.")
'''
SETUP = "import os\nimport torch\nfrom prunekit.classroom.checks import check"
SQUARE = "def mean_square(x):\n    return x.square().mean()"
SCALED = "def scaled(x, a):\n    return a * x"
LARGEST = "def largest(x):\n    return x.max()"
CHECKS = ["check(mean_square)", "check(scaled)", "check(largest)"]
FORGED = """import io, sys
import prunekit.classroom.checks as c
class Good:
    name, status, message = "", "correct", ""
c.verdict = lambda *a, **k: Good()
c.Answer.expect = lambda *a, **k: None
c.EXERCISES.clear()
check = lambda f: print("✓ correct")
sys.stdout = io.StringIO()
def mean_square(x): return 1
def scaled(x, a): return 2
def largest(x): return 3"""
DEAF = "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
NOSY = """import os, socket
def largest(x):
    seen = []
    for path in {paths!r}:
        try:
            os.listdir(path) if os.path.isdir(path) else open(path).close()
            seen.append(path)
        except OSError:
            pass
    for folder in ("/", "/usr", os.path.dirname(torch.__file__), "/tmp", os.environ["HOME"]):
        try:
            with open(os.path.join(folder, "left-behind"), "w"):
                seen.append("wrote " + folder)
        except OSError:
            pass
    home, seen = "wrote " + os.environ["HOME"], [s for s in seen if s != "wrote /tmp"]
    seen.remove(home)
    numbers = [name for name in os.listdir("/proc") if name.isdigit()]
    outside = [name for _, name in socket.if_nameindex() if name != "lo"]
    raise ValueError([seen, outside, len(numbers) < 5, os.environ.get("SECRET")])"""


def save(path, *cells, checked=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    sources = [SETUP, *cells, *(CHECKS if checked else [])]
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in sources]), path)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A folder with a copy of prunekit that has exercises of its own."""
    folder = tmp_path_factory.mktemp("package")
    source = Path(prunekit.__file__).parent
    shutil.copytree(source, folder / "prunekit", ignore=shutil.ignore_patterns("*.pt"))
    exercises = folder / "prunekit" / "classroom" / "exercises"
    for path in exercises.glob("[a-z]*.py"):
        path.unlink()
    (exercises / "crafted.py").write_text(EXERCISES, "utf-8")
    return folder


def start(package, *words, **options):
    path = os.pathsep.join([str(package), os.environ["PYTHONPATH"]])  # the guard of conftest.py
    return subprocess.Popen(
        [sys.executable, "-m", "prunekit", "grade", *map(str, words)],
        env=os.environ | {"PYTHONPATH": path, "SECRET": "key"},
        cwd=package,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def end(process):
    """Leave nothing behind, whatever happened: no kernel, no open pipe."""
    family = [process]
    with contextlib.suppress(psutil.NoSuchProcess):
        family = [*psutil.Process(process.pid).children(recursive=True), process]
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            member.kill()
    process.wait()
    for pipe in (process.stdout, process.stderr):
        pipe.close()


def run(package, *words):
    process = start(package, *words)
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


SIGNS = {"✓": "correct", "✗": "not yet", "○": "not started", "!": "failed"}
CLASS = {  # file: (cells, what each exercise gets)
    "good.ipynb": ((SQUARE, SCALED, LARGEST), "✓✓✓"),
    "Zoë Ng/ab gabe.ipynb": (
        (
            "def mean_square(x):\n    return x @ x",
            SCALED,
            "def largest(x):\n    raise NotImplementedError",
        ),
        "✗✓○",
    ),
    "-dash/-a.ipynb": ((SQUARE, SCALED, "def largest(x):\n    os._exit(3)"), "✓✓!"),
    "good/second try.ipynb": ((SQUARE,), "✓○○"),
    "crash in a cell.ipynb": ((SQUARE, "os._exit(1)", SCALED, LARGEST), "✓✓✓"),
    "deaf loop in a cell.ipynb": ((SQUARE, DEAF, SCALED, LARGEST), "✓✓✓"),
    "loop in an answer.ipynb": (
        (SQUARE, "def scaled(x, a):\n    while True: pass", LARGEST),
        "✓!✓",
    ),
    "syntax.ipynb": ((SQUARE, "def scaled(x, a):\n    return a * * x", LARGEST), "✓!✓"),
    "exception.ipynb": (("import missing", SQUARE, "1 / 0\n" + SCALED, LARGEST), "✓!✓"),
    "printer.ipynb": ((SQUARE, SCALED, "while True: print('x' * 10**5)", LARGEST), "✓✓✓"),
    "hog.ipynb": (("hold = bytearray(10**11)", SQUARE, SCALED, LARGEST), "✓✓✓"),
    "forged.ipynb": ((FORGED,), "✗✗✗"),
}
BROKEN = {
    "empty.ipynb": b"",
    "zip.ipynb": b"PK\x03\xff",
    "list.ipynb": b"[1, 2]",
    "format 9.ipynb": b'{"nbformat": 9, "nbformat_minor": 0, "metadata": {}, "cells": []}',
    "deep.ipynb": b"[" * 100_000,
    "no lesson.ipynb": nbformat.writes(new_notebook(cells=[new_code_cell("1")])).encode(),
}


@pytest.fixture(scope="module")
def graded(package, tmp_path_factory):
    """The class above: folder, exit status, what was printed, the table."""
    folder = tmp_path_factory.mktemp("class")
    for name, (cells, _) in CLASS.items():
        save(folder / name, *cells)
    for name, content in BROKEN.items():
        (folder / name).write_bytes(content)
    (folder / "link.ipynb").symlink_to("good.ipynb")
    (folder / ".ipynb_checkpoints").mkdir()
    shutil.copy(folder / "good.ipynb", folder / ".ipynb_checkpoints")
    before = {path: path.read_bytes() for path in folder.rglob("*.ipynb")}
    code, out, err = run(package, folder, "--seconds", 10, "--seed", 5, "--memory", 3)
    assert {path: path.read_bytes() for path in folder.rglob("*.ipynb")} == before, "changed"
    return code, out, err, table(folder / "grades.csv")


@pytest.mark.parametrize("name", CLASS)
def test_each_costs_only_what_it_spoils(graded, name):
    found = graded[3]["'" + name if name.startswith("-") else name]
    wanted = dict(zip(("mean_square", "scaled", "largest"), CLASS[name][1], strict=True))
    assert {n: status for n, (status, _) in found.items()} == {
        n: SIGNS[sign] for n, sign in wanted.items()
    }, found


@pytest.mark.parametrize("name", [*BROKEN, "link.ipynb"])
def test_what_cannot_be_graded_is_named_with_a_cure(graded, name):
    ((status, message),) = graded[3][name].values()
    assert status == "failed" and "ask for" in message.lower()
    assert f"! {name}: {message}" in graded[1]


def test_messages_say_why(graded):
    found = graded[3]
    assert found["Zoë Ng/ab gabe.ipynb"]["mean_square"][1].startswith("That is the sum.")
    assert "ended the kernel" in found["'-dash/-a.ipynb"]["largest"][1]
    assert "took more than 10 s" in found["loop in an answer.ipynb"]["scaled"][1]
    assert "SyntaxError" in found["syntax.ipynb"]["scaled"][1]
    words = found["exception.ipynb"]["scaled"][1]
    assert "ZeroDivisionError" in words and "No module named 'missing'" in words
    assert "no function of this name" in found["good/second try.ipynb"]["largest"][1]


def test_the_summary(graded):
    code, out, err, _ = graded
    assert code == 0, err
    assert "seed 5 (--seed 5 repeats this grading)" in out
    assert f"98-crafted, {len(CLASS)} submissions" in out
    lines = {line[:20].strip(): line.split() for line in out.splitlines()}
    assert lines["Zoë Ng"][2:] == ["✗", "✓", "○", "1/3", "33"]
    right = [sum(signs[i] == "✓" for _, signs in CLASS.values()) for i in range(3)]
    assert lines["correct"][1:4] == [str(n) for n in right]
    assert "good (good.ipynb)" in out and "good (good/second try.ipynb)" in out  # the same student
    assert "1 × mean_square: That is the sum." in out
    assert "submissions: 100%" in err and "Traceback" not in err
    assert ".ipynb_checkpoints" not in out


def test_the_same_seed_gives_the_same_grades_without_walls_too(package, tmp_path):
    save(tmp_path / "in" / "one.ipynb", "def mean_square(x):\n    return 7.0", "x = 1 / 0", LARGEST)
    found = []
    for isolation in ("auto", "never"):
        out = tmp_path / f"{isolation}.csv"
        words = ["--out", out, "--seed", 11, "--isolation", isolation, "--jobs", 1]
        code, said, err = run(package, tmp_path / "in", *words)
        assert code == 0, err
        found.append(table(out))
    assert found[0] == found[1] and "expected" in found[0]["one.ipynb"]["mean_square"][1]
    assert "isolation: OFF" in said and "your files" in said and "network" in said


def test_walls(package, tmp_path):
    reason = sandbox.why_not()
    if reason:
        pytest.skip(f"notebooks cannot be shut in on this machine: {reason}")
    folder = tmp_path / "class"
    save(folder / "other.ipynb", SQUARE)
    paths = [str(folder), str(folder / "other.ipynb"), str(Path.home() / ".bashrc")]
    paths += ["/etc/shadow", str(package / "solution.txt"), str(tmp_path)]
    (package / "solution.txt").write_text("secret")
    save(folder / "nosy.ipynb", NOSY.format(paths=paths))
    code, out, err = run(package, folder, "--isolation", "always")
    assert code == 0 and "isolation: on" in out, err
    message = table(folder / "grades.csv")["nosy.ipynb"]["largest"][1]
    assert "ValueError: [[], [], True, None]" in message


def test_an_interrupt_keeps_what_was_graded(package, tmp_path):
    save(tmp_path / "a.ipynb", SQUARE, SCALED, LARGEST)
    save(tmp_path / "b.ipynb", SQUARE, "while True: pass", SCALED)
    # a job in the background of a script ignores SIGINT, and hands that on: it listens here
    options = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    process = start(package, tmp_path, "--jobs", 1, "--seconds", 300, "--minutes", 10, **options)
    try:
        bar = ""
        while "1/2" not in bar:  # one is graded, the other will not end by itself
            letter = process.stderr.read(1)
            assert letter, bar
            bar += letter
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        end(process)
    assert process.returncode == 130 and "Interrupted" in err and "Traceback" not in err
    found = table(tmp_path / "grades.csv")
    assert set(found) == {"a.ipynb"} and found["a.ipynb"]["largest"][0] == "correct"
    assert "100" in out


# Parts of it -----------------------------------------------------------------------------------


@pytest.fixture
def crafted(monkeypatch):
    known = {name: checks.Exercise(name, "98-crafted", None) for name in ("one", "two")}
    known["three"] = checks.Exercise("three", "99-crafted", None)
    monkeypatch.setattr(submissions, "EXERCISES", known)


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["check(two)"], ["one", "two"]),
        (["checks.check( one )"], ["one", "two"]),
        (["def two(x): pass"], ["one", "two"]),
        (["two = lambda x: x"], ["one", "two"]),
        (["def one(x:", "check(three)"], ["three"]),  # what is checked counts more
        (["check(one)", "check(three)"], ["one", "two", "three"]),
        (["# check(one)", "def three(): pass"], ["three"]),
    ],
)
def test_the_names_in_it_decide_what_a_notebook_answers(crafted, cells, names):
    assert answered(cells) == names


@pytest.mark.parametrize("cells", [["1"], ["check(other)"], ["two == 3"], ["    def one(): pass"]])
def test_a_notebook_that_answers_nothing(crafted, cells):
    with pytest.raises(Unreadable, match="No exercise"):
        answered(cells)


def test_what_a_cell_defines():
    assert defined_in("def f(x):\n    y = 2\ng = 3\nh == 4\ndef broken(") == ["f", "g", "broken"]


def test_an_old_format_is_read(tmp_path):
    old = nbformat.v3.new_notebook(
        worksheets=[nbformat.v3.new_worksheet(cells=[nbformat.v3.new_code_cell("a = 1")])]
    )
    path = tmp_path / "old.ipynb"
    path.write_text(nbformat.v3.nbjson.writes(old), "utf-8")
    assert read(path) == ["a = 1"]


def test_no_code_and_too_large(tmp_path, monkeypatch):
    path = tmp_path / "a.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("  ")]), path)
    with pytest.raises(Unreadable, match="no code"):
        read(path)
    monkeypatch.setattr(submissions, "MAX_MB", 1e-6)
    with pytest.raises(Unreadable, match="clear its outputs"):
        read(path)


def test_whose_notebooks_they_are(tmp_path):
    for name in ("Bo.ipynb", "ann/x.ipynb", "ann/y.ipynb", "ann/deeper/z.ipynb", ".hidden.ipynb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "notes.txt").touch()
    assert [(one.student, one.file) for one in find(tmp_path)] == [
        ("ann", "ann/x.ipynb"),
        ("ann", "ann/y.ipynb"),
        ("Bo", "Bo.ipynb"),
    ]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"folder": "missing"}, FileNotFoundError, "there is no folder"),
        ({"folder": "a.ipynb"}, ValueError, "is a file: name the folder"),
        ({"folder": "empty"}, ValueError, "holds no notebooks"),
        ({"minutes": 0}, ValueError, "minutes is 0: give a number above 0"),
        ({"seconds": float("nan")}, ValueError, "seconds is nan"),
        ({"memory": -1}, ValueError, "memory is -1"),
        ({"jobs": 0}, ValueError, "jobs is 0"),
        ({"isolation": "some"}, ValueError, "isolation is 'some'"),
        ({"out": "missing/grades.csv"}, ValueError, "name another --out"),
    ],
)
def test_what_is_refused(tmp_path, monkeypatch, options, error, words):
    monkeypatch.chdir(tmp_path)
    Path("a.ipynb").touch()
    Path("empty").mkdir()
    with pytest.raises(error, match=words):
        grader.grade(**{"folder": ".", **options})


def test_walls_that_must_stand_and_do_not(tmp_path, monkeypatch):
    (tmp_path / "a.ipynb").touch()
    monkeypatch.setattr(grader, "why_not", lambda: "the reason")
    with pytest.raises(ValueError, match="cannot be shut in: the reason"):
        grader.grade(tmp_path, isolation="always")


def test_without_bubblewrap_the_cure_is_named(monkeypatch):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    assert "not installed" in sandbox.why_not()


def test_an_older_file_is_put_aside(tmp_path, capsys):
    (tmp_path / "a.ipynb").touch()
    for name, text in (("grades.csv", "mine"), ("grades.csv.bak", "older")):
        (tmp_path / name).write_text(text)
    grades = grader.grade(tmp_path, isolation="never", progress=False)
    assert (tmp_path / "grades.csv.bak").read_text() == "mine"
    assert f"seed {grades.seed}" in capsys.readouterr().out
    assert list(table(grades.path)) == ["a.ipynb"] and grades.complete
    (row,) = grades.to_dataframe().itertuples(index=False)
    assert Row(*row) == grades.rows[0] and row.seed == grades.seed
    assert {path.name for path in tmp_path.iterdir()} == {"a.ipynb", "grades.csv", "grades.csv.bak"}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\n -2", "\r@x"])
def test_no_cell_is_a_formula(tmp_path, text):
    row = Row(text, text, text, text, "failed", 0, text, 0.5, 1)
    tables.write([row], tmp_path / "g.csv")
    with open(tmp_path / "g.csv", encoding="utf-8-sig", newline="") as file:
        _, cells = csv.reader(file)
    assert all(cell.startswith("'") for cell in (*cells[:4], cells[6]))
    assert cells[7:] == ["0.5", "1"]


def test_a_message_steers_no_terminal_and_ends():
    shown = tables.clean("a\x1b[2J\x07\n  b\u202e\udcff  c\n" + "x" * 1000)
    assert shown.startswith("a\ufffd[2J\ufffd · b\ufffd\ufffd c · xxx") and shown.isprintable()
    assert len(shown) == tables.MAX_MESSAGE
    shown.encode("utf-8")


def test_what_was_said_most_often_comes_first():
    rows = [
        Row(
            f"s{i}",
            f"s{i}.ipynb",
            "98",
            "one",
            "not yet",
            0,
            words + f"\n    called with {i}",
            0,
            1,
        )
        for i, words in enumerate(["Rare.", "Usual.", "Usual.", "Usual.", "Rare.", "Alone."])
    ] + [Row("s9", "s9.ipynb", "98", "one", "correct", 1, "", 0, 1)]
    text = tables.summary(rows)
    assert "Most often wrong: one, in 6 submissions" in text
    said = [line.split(": ")[-1] for line in text.splitlines() if " × " in line]
    assert said == ["Usual.", "Rare.", "Alone."] and "3 × one: Usual." in text
