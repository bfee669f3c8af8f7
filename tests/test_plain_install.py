"""``pip install prunekit`` alone: quick to import, and all of the library but the Lasso works."""

import json
import subprocess
import sys

import pytest

from .test_dependencies import CORE, EXTRAS, modules_of

NOT_THERE = sorted(modules_of(EXTRAS["course"]) | {"IPython", "jupyter_client", "scipy"})
BLOCK = f"""
import sys
from importlib.machinery import PathFinder

find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *more: (
    None if name.split(".")[0] in {NOT_THERE} else find(name, *more)
)
"""
NETWORK = """
import torch, prunekit as pk
from torch import nn
torch.manual_seed(0)
model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4))
x = torch.randn(40, 3, 8, 8)
"""
WHOLE = """
for method in METHODS:
    if method != "lasso":
        pk.prune(model, x[:1], x, method=method, pruning_ratio=0.5)
ratios = pk.optimize_ratios(model, x[:1], x, target_macs=0.6)
result = pk.prune(model, x[:1], x, pruning_ratio=ratios)
print(result.report, result.report._repr_html_(), ratios)
print(len(result.report.to_dataframe()), len(ratios.to_dataframe()))
pk.save(result, sys.argv[1])
pk.load(model, sys.argv[1])
"""
METHODS = "from prunekit.pipeline.methods import METHODS\n"


def run(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def test_importing_it_brings_only_what_it_needs():
    done = run(
        "import json, sys, torch\nbefore = set(sys.modules)\nimport prunekit\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    new = {name.split(".")[0] for name in json.loads(done.stdout)}
    allowed = modules_of(CORE) - {"pandas"} | {"prunekit"} | sys.stdlib_module_names
    assert "prunekit" in new and new <= allowed, f"too much to import: {new - allowed}"


def test_without_the_course_the_library_works(tmp_path):
    done = run(BLOCK + NETWORK + METHODS + WHOLE, tmp_path / "smaller.pt")
    assert done.returncode == 0, done.stderr
    assert "relative error" in done.stdout and (tmp_path / "smaller.pt").exists()


def test_the_lasso_says_what_it_needs():
    done = run(BLOCK + NETWORK + 'pk.prune(model, x[:1], x, method="lasso", pruning_ratio=0.5)')
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and last.startswith(
        "ImportError: method 'lasso' needs scikit-learn"
    )
    assert "No module named 'sklearn'" in last and "pip install scikit-learn" in last


@pytest.mark.parametrize("words", [["grade", "."], ["tour", "--data", "cifar10"]])
def test_the_course_says_what_it_needs(words, monkeypatch):
    monkeypatch.delenv("PRUNEKIT_DATA", raising=False)
    done = run(f"{BLOCK}\nfrom prunekit.__main__ import main\nsys.exit(main({words}))")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "No module named" in done.stderr and 'pip install "prunekit[course]"' in done.stderr


def test_the_doctor_says_what_the_course_needs():
    done = run(f"{BLOCK}\nfrom prunekit.classroom import doctor\nsys.exit(doctor.main())")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    failed = [line for line in done.stdout.splitlines() if line.startswith("✗")]
    assert any("packaging" in line for line in failed) and any("widgets" in line for line in failed)
    assert done.stdout.count("→") >= len(failed)
    assert 'pip install "prunekit[course]"' in done.stdout
