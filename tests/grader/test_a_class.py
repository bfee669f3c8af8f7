"""A class is graded whatever its notebooks do; nothing they do reaches beyond their own grades."""

import os
import shutil
import signal
import stat
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from prunekit.classroom.grading import cleaning, sandbox
from prunekit.classroom.grading import table as tables

from . import tricks
from .crafted import LARGEST, SCALED, SQUARE, end, run, save, start, table

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
    "-dash/-a.ipynb": (
        (SQUARE, tricks.FLOOD, "def largest(x):\n    os._exit(3)"),
        "✓!!",
    ),
    "good/second try.ipynb": ((SQUARE,), "✓○○"),
    "lost twice.ipynb": (
        (SQUARE, "hold = bytearray(10**11)", tricks.FAKED, tricks.DEAF) + (tricks.LIMITED, LARGEST),
        "✓✓✓",
    ),
    "exception.ipynb": (
        ("import missing", "def mean_square(x):\n    return x * * x", "1 / 0\n" + SCALED, LARGEST),
        "!!✓",
    ),
    "forged.ipynb": ((tricks.FORGED,), "!✗!"),
    "loud.ipynb": (
        (tricks.KNOTTED, SQUARE, tricks.LOUD, "raise ValueError('x' * 10**8)", tricks.LISTED),
        "✓✗!",
    ),
    "nosy.ipynb": ((tricks.LONG, tricks.NESTED, tricks.NOSY), "✗!✗"),
    "memory.ipynb": (
        (f"{tricks.SHARED}\n{SQUARE}", f"{tricks.NAMELESS}\n{SCALED}")
        + (f"{tricks.CHILDREN}\n{LARGEST}",),
        "!!!",
    ),
}
BROKEN = {
    "empty.ipynb": b"",
    "zip.ipynb": b"PK\x03\xff",
    "list.ipynb": b"[1, 2]",
    "format 9.ipynb": b'{"nbformat": 9, "nbformat_minor": 0, "metadata": {}, "cells": []}',
    "deep.ipynb": b"[" * 100_000,
    "huge.ipynb": b" " * (51 * 2**20),
    "slow.ipynb": b'{"nbformat": 4, "metadata": {"a": [' + b"{}," * 12_000_000 + b"{}]}}",
    "no lesson.ipynb": nbformat.writes(new_notebook(cells=[new_code_cell("1")])).encode(),
}


# neither files nor folders of a student's own
STRANGE = ("link.ipynb", "pipe.ipynb", "folder.ipynb", "linked/is a link.ipynb", "device.ipynb")


def strange(folder):
    """Put what is no notebook among the submissions, under a notebook's name."""
    (folder / "link.ipynb").symlink_to("good.ipynb")
    (folder / "linked").symlink_to("good")
    os.mkfifo(folder / "pipe.ipynb")
    (folder / "folder.ipynb").mkdir()
    try:
        os.mknod(folder / "device.ipynb", 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # zeros
    except OSError:  # only root may make devices
        os.mkfifo(folder / "device.ipynb")
    (folder / "deep").mkdir()
    at = os.open(folder / "deep", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    (folder / ".ipynb_checkpoints").mkdir()
    shutil.copy(folder / "good.ipynb", folder / ".ipynb_checkpoints")


def contents(folder):
    """{path: content} of the notebooks in it."""
    paths = (*folder.glob("*.ipynb"), *folder.glob("*/*.ipynb"))
    return {path: path.read_bytes() for path in paths if path.is_file()}


def hand_in(folder, package, names):
    """Write these notebooks of the class; return a file of the teacher's that they know of."""
    mine = folder.parent / "mine"
    mine.write_text("a teacher's")
    mine.chmod(0o400)
    paths = [folder, folder / "good.ipynb", mine, Path.home() / ".bashrc", "/etc/shadow"]
    paths += [package / "solution.txt", package.parent / "beside.txt"]
    marks = {"TEACHERS_FILE": repr(str(mine)), "PATHS": repr([str(path) for path in paths])}
    marks["PACKAGE"] = repr(str(package / "prunekit"))
    for name in names:
        cells = "\0".join(CLASS[name][0])
        for mark, value in marks.items():
            cells = cells.replace(mark, value)
        save(folder / name, *cells.split("\0"))
    return mine


@pytest.fixture(scope="module")
def graded(package, tmp_path_factory):
    """The class above: exit status, what was printed, the table; with walls, if they work here."""
    folder = tmp_path_factory.mktemp("class") / "handed in"
    folder.mkdir()
    mine = hand_in(folder, package, CLASS)
    for name, content in BROKEN.items():
        (folder / name).write_bytes(content)
    strange(folder)
    before = contents(folder)
    words = ["--seconds", 4, "--seed", 5, "--memory", 1]
    try:
        code, out, err = run(package, folder, *words, path=[package.parent, folder])
    finally:
        cleaning.remove(folder / "deep")  # too deep for pytest
    assert contents(folder) == before, "changed"
    assert stat.S_IMODE(mine.stat().st_mode) == 0o400
    return code, out, err, table(folder / "grades.csv")


@pytest.mark.parametrize("name", CLASS)
def test_each_costs_only_what_it_spoils(graded, name):
    found = graded[3]["'" + name if name.startswith("-") else name]
    wanted = dict(zip(("mean_square", "scaled", "largest"), CLASS[name][1], strict=True))
    assert {n: status for n, (status, _) in found.items()} == {
        n: SIGNS[sign] for n, sign in wanted.items()
    }, found


@pytest.mark.parametrize("name", [*BROKEN, *STRANGE])
def test_what_cannot_be_graded_is_named_with_a_cure(graded, name):
    ((status, message),) = graded[3][name].values()
    assert status == "failed" and "ask for" in message.lower()
    assert f"! {name}: {message}" in graded[1]


def test_messages_say_why(graded):
    found = graded[3]
    assert found["Zoë Ng/ab gabe.ipynb"]["mean_square"][1].startswith("That is the sum.")
    assert len(found["loud.ipynb"]["scaled"][1]) == tables.MAX_MESSAGE
    assert "more than 4 MB" in found["nosy.ipynb"]["mean_square"][1]
    assert "RecursionError" in found["nosy.ipynb"]["scaled"][1]
    assert all("took more than 1 GiB" in words for _, words in found["memory.ipynb"].values())
    assert "no verdict" in found["loud.ipynb"]["largest"][1]
    assert "got no answer" in found["forged.ipynb"]["mean_square"][1]
    assert "ended the kernel" in found["'-dash/-a.ipynb"]["largest"][1]
    assert "took more than 4 s" in found["'-dash/-a.ipynb"]["scaled"][1]
    assert "SyntaxError" in found["exception.ipynb"]["mean_square"][1]
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
    assert "Most often wrong: scaled, in " in out and " × scaled: " in out
    assert "submissions: 100%" in err and "Traceback" not in err
    assert ".ipynb_checkpoints" not in out


def test_walls(graded):
    reason = sandbox.why_not(Path("/nowhere"))
    if reason:
        pytest.skip(f"notebooks cannot be shut in on this machine: {reason}")
    assert "isolation: on" in graded[1]
    message = graded[3]["nosy.ipynb"]["largest"][1]
    assert "ValueError: [[], [], True, None]" in message


def test_without_walls_an_interrupt_keeps_the_same_grades_and_leaves_nothing(
    graded, package, tmp_path
):
    names = ("Zoë Ng/ab gabe.ipynb", "loud.ipynb")
    mine = hand_in(tmp_path / "in", package, names)
    save(tmp_path / "in" / "zz.ipynb", SQUARE, "while True: pass", SCALED)
    (tmp_path / "places").mkdir()
    words = ["--out", tmp_path / "grades.csv", "--seed", 5, "--isolation", "never", "--jobs", 1]
    # a job in the background of a script ignores SIGINT, and hands that on: it listens here
    options = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    options["environment"] = {"TMPDIR": str(tmp_path / "places")}
    process = start(package, tmp_path / "in", *words, "--seconds", 300, "--minutes", 10, **options)
    try:
        bar = ""
        while "2/3" not in bar:  # two are graded, the last will not end by itself
            letter = process.stderr.read(1)
            assert letter, bar
            bar += letter
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        end(process)
    assert process.returncode == 130 and "Interrupted" in err and "Traceback" not in err
    assert table(tmp_path / "grades.csv") == {name: graded[3][name] for name in names}
    assert "isolation: OFF" in out and "your files" in out and "network" in out and "33" in out
    assert not list((tmp_path / "places").iterdir()), "scratch folders stay"
    assert stat.S_IMODE(mine.stat().st_mode) == 0o400
