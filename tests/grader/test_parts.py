"""Parts of the grader: finding and reading submissions, options, tables."""

import csv
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from prunekit.classroom import checks
from prunekit.classroom.grading import grader, sandbox, submissions
from prunekit.classroom.grading import table as tables
from prunekit.classroom.grading.submissions import (
    Unreadable,
    answered,
    defined_in,
    fetch,
    find,
    read,
)
from prunekit.classroom.grading.table import Row

from .crafted import table


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


def test_an_old_format_is_read():
    old = nbformat.v3.new_notebook(
        worksheets=[nbformat.v3.new_worksheet(cells=[nbformat.v3.new_code_cell("a = 1")])]
    )
    assert read(nbformat.v3.nbjson.writes(old).encode()) == ["a = 1"]


def test_no_code_and_too_large(tmp_path, monkeypatch):
    content = nbformat.writes(new_notebook(cells=[new_code_cell("  ")])).encode()
    with pytest.raises(Unreadable, match="no code"):
        read(content)
    (tmp_path / "a.ipynb").write_bytes(content)
    assert fetch(tmp_path / "a.ipynb") == content
    monkeypatch.setattr(submissions, "MAX_MB", 0)
    with pytest.raises(Unreadable, match="clear its outputs"):
        fetch(tmp_path / "a.ipynb")


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
    monkeypatch.setattr(grader, "why_not", lambda folder: "the reason")
    with pytest.raises(ValueError, match="cannot be shut in: the reason"):
        grader.grade(tmp_path, isolation="always")


def test_without_bubblewrap_the_cure_is_named(monkeypatch):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    assert "not installed" in sandbox.why_not(Path("x"))


def test_an_older_file_is_put_aside(tmp_path, capsys):
    (tmp_path / "a.ipynb").mkdir()
    for name, text in (("grades.csv", "mine"), ("grades.csv.bak", "older")):
        (tmp_path / name).write_text(text)
    grades = grader.grade(tmp_path, isolation="never", progress=False)
    assert (tmp_path / "grades.csv.bak").read_text() == "mine"
    assert f"seed {grades.seed}" in capsys.readouterr().out
    assert list(table(grades.path)) == ["a.ipynb"] and grades.complete
    (row,) = grades.to_dataframe().itertuples(index=False)
    assert Row(*row) == grades.rows[0] and row.seed == grades.seed
    assert {path.name for path in tmp_path.iterdir()} == {"a.ipynb", "grades.csv", "grades.csv.bak"}


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\n -2", "\r@x", "＝1", "＋1", "－1", "＠x", "−1"],
)
def test_no_cell_is_a_formula(tmp_path, text):
    row = Row(text, text, text, text, "failed", 0, text, 0.5, 1)
    tables.write([row], tmp_path / "g.csv")
    with open(tmp_path / "g.csv", encoding="utf-8-sig", newline="") as file:
        _, cells = csv.reader(file)
    assert all(cell.startswith("'") for cell in (*cells[:4], cells[6]))
    assert cells[7:] == ["0.5", "1"]


@pytest.mark.parametrize("text", ["a;=1", "a; =1", 'a;"=1', "a|-1", "a,=1", "a;＝1", "a;b;@c"])
def test_no_part_of_a_cell_is_a_formula(text):
    start = max(map(text.rfind, "=-@＝"))
    assert tables.harmless(text) == f"{text[:start]}'{text[start:]}"


@pytest.mark.parametrize("text", ["returned (-0.5, -1); expected 2", "x = 1", "mine; a = -2"])
def test_what_is_no_formula_stays(text):
    assert tables.harmless(text) == text


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
