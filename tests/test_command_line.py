"""``python -m prunekit`` in a process of its own."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from prunekit import __main__ as command_line
from prunekit.classroom import data, tour


def run(*arguments, **kwargs):
    command = [sys.executable, "-m", "prunekit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, **kwargs)


def test_the_tour_prints_one_table_of_four_networks():
    done = run()
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if " % " in line or line.endswith("images")]
    names = ("intact", "L1", "L1 + batch-norm recalibration", "REAP")
    rows = {name: [li for li in lines if li.startswith(name + "  ")] for name in names}
    assert all(len(found) == 1 for found in rows.values()), done.stdout
    percent = {name: float(found[0].split(" %")[0].split()[-1]) for name, found in rows.items()}
    assert percent["intact"] > percent["REAP"] > percent["L1 + batch-norm recalibration"]
    assert percent["intact"] - percent["L1"] > 30
    assert all("ms" in found[0] for found in rows.values())
    assert "networks" in done.stderr  # progress


def test_cifar10_without_the_data_says_how_to_get_it(tmp_path):
    home = {"HOME": str(tmp_path), "PRUNEKIT_DATA": str(tmp_path), "PATH": ""}
    for arguments in (["--data", "cifar10"], ["tour", "--data", "cifar10"]):
        done = run(*arguments, env=home)
        assert done.returncode == 1 and not done.stdout.strip().startswith("Traceback")
        assert "CIFAR-10 was not found" in done.stderr and "--download" in done.stderr


@pytest.mark.parametrize("macs", ["50", "0", "-1"])
def test_a_budget_out_of_range(macs):
    done = run("--macs", macs)
    assert done.returncode == 1 and "target_macs" in done.stderr


def test_unknown_words_are_refused_with_the_usage():
    done = run("--data", "imagenet")
    assert done.returncode == 2 and "usage:" in done.stderr


def test_the_table_compares_with_the_first_line():
    torch.manual_seed(0)
    part = data.digits("test")
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10)).eval()
    lines = tour.compare(model, part.inputs[:100], part, 0.5, progress=False)
    assert [line.macs for line in lines] == [592, 296, 296, 296]
    text = tour.table(lines)
    assert text.count("(0.50)") >= 3 and text.count("\n") == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["missing"], "there is no folder 'missing'"),
        (["."], "holds no notebooks"),
        ([".", "--seconds", "0"], "seconds is 0.0: give a number above 0"),
    ],
)
def test_grading_what_cannot_be_graded_names_the_cure(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    assert command_line.main(["grade", *words]) == 1
    assert capsys.readouterr().err.startswith("prunekit: ")
    assert command_line.main(["grade", *words]) == 1 and said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
