"""The arrows of the house: which file may know which, and how long a file may be."""

import ast
from pathlib import Path

import pytest

import prunekit as pk

ROOT = Path(pk.__file__).parent
FILES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))
PURE = {  # arrays in, arrays out
    *("moments", "least_squares", "elimination", "site_statistics"),
    *("biorthogonal", "unification", "reap", "poem", "baselines"),
}
ALGORITHMS = PURE | {"methods", "repair", "front_to_back", "pipeline"}
NETWORKS = {"network", "surgery", "verify", "inputs", "cost", "graph"}


def imported(path):
    """The modules of prunekit that a file imports, as ``classroom.data`` or ``reap``."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("prunekit"):
            inner = node.module.removeprefix("prunekit").lstrip(".")
            found |= {inner} if inner else {alias.name for alias in node.names}
            if inner == "classroom":
                found |= {f"classroom.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names = (alias.name for alias in node.names)
            found |= {n.removeprefix("prunekit.") for n in names if n.startswith("prunekit")}
    return found


def module(path):
    return ".".join(path.with_suffix("").parts)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_point_one_way(path):
    name, knows = module(path), imported(path)
    if name in PURE:
        assert knows <= PURE, f"{name} is pure and must not know {knows - PURE}"
    if name in NETWORKS:
        assert not knows & ALGORITHMS, f"{name} knows no algorithm, but imports {knows}"
    if not name.startswith("classroom") and name != "__main__":
        assert not any(k.startswith("classroom") for k in knows), f"{name} imports the classroom"


def test_the_files_that_have_a_place_are_there():
    assert {f"{name}.py" for name in ALGORITHMS | NETWORKS} <= {str(path) for path in FILES}


@pytest.mark.parametrize("name", sorted(PURE))
def test_pure_files_use_no_layers(name):
    tree = ast.walk(ast.parse((ROOT / f"{name}.py").read_text("utf-8")))
    used = {alias.name for node in tree if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert not used & {"nn", "tqdm", "functional"}, f"{name} knows networks or prints: {used}"


def test_the_reader_of_imports_sees_them():
    assert imported(Path("pipeline.py")) >= {"front_to_back", "surgery", "methods", "network"}
    assert imported(Path("methods.py")) >= {"reap", "unification", "baselines"}
    assert "classroom.data" in imported(Path("classroom/tour.py"))


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_is_read_in_one_sitting(path):
    assert len((ROOT / path).read_text("utf-8").splitlines()) <= 250


def test_public_names_are_documented():
    for name in pk.__all__:
        assert getattr(pk, name).__doc__, name
