"""The arrows of the house: which room may know which, and how long a file may be."""

import ast
from pathlib import Path

import pytest

import prunekit as pk

ROOT = Path(pk.__file__).parent
FILES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))
STORY = "story"  # the files at the root: one chapter each
# a room knows itself and these; the story's chapters know each other only as CHAPTERS says
ROOMS = {
    "algebra": set(),
    STORY: {"algebra"},
    "network": {"algebra"},
    "results": {"network"},
    "pipeline": {STORY, "algebra", "network", "results"},
}
CHAPTERS = {
    "reap": {"biorthogonal"},
    "coding": {"network"},  # its door: how a network comes to speak
    "pro": set(),
}
# what the classroom knows beside the public names: how things look from inside, for the course
CLASSROOM = {
    "algebra.least_squares",
    "algebra.moments",
    "algebra.statistics",
    "coding",
    "network.augmenting",
    "network.finding",
    "network.given",
    "network.calibration",
    "network.inputs",
    "network.recording",
    "network.widths",
    "pipeline.budget",
    "pipeline.methods",
    "pipeline.pruning",
    "pipeline.ratios",
    "pro",
    "reap",
    "results.frames",
    "results.report",
    "results.whole",
    "unification",
}
PURE = ("algebra", STORY)  # arrays in, arrays out


def imported(path):
    """The modules of prunekit that a file imports, as ``network.cost`` or ``reap``."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "prunekit":
            inner = node.module.removeprefix("prunekit").lstrip(".")
            is_file = (ROOT / f"{inner.replace('.', '/')}.py").exists()
            names = {f"{inner}.{alias.name}".lstrip(".") for alias in node.names}
            found |= {inner} if is_file else names - {"__version__"}
        elif isinstance(node, ast.Import):
            names = (alias.name for alias in node.names)
            found |= {n.removeprefix("prunekit.") for n in names if n.startswith("prunekit.")}
    return found


def room(module):
    """The folder of a module, ``story`` for what lies at the root."""
    first = module.split(".")[0]
    return first if (ROOT / first).is_dir() else STORY


def name_of(path):
    return ".".join(path.with_suffix("").parts)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_point_one_way(path):
    name, knows = name_of(path), imported(path)
    if name in ("__init__", "__main__"):
        return
    if room(name) == "classroom":
        inside = {k for k in knows if room(k) != "classroom"}
        assert inside <= CLASSROOM, f"{name} reaches behind the public names: {inside - CLASSROOM}"
        return
    if room(name) == STORY:
        allowed = CHAPTERS.get(name, set()) | (ROOMS[STORY] if name != "pro" else set())
        strangers = {k for k in knows if k not in allowed and room(k) not in allowed}
    else:
        strangers = {k for k in knows if room(k) not in ROOMS[room(name)] | {room(name)}}
    assert not strangers, f"{name} must not know {strangers}"


def test_what_the_classroom_may_know_is_what_it_knows():
    known = set().union(*(imported(p) for p in FILES if p.parts[0] == "classroom"))
    assert {k for k in known if room(k) != "classroom"} == CLASSROOM


@pytest.mark.parametrize("path", [p for p in FILES if room(name_of(p)) in PURE], ids=str)
def test_pure_files_use_no_layers(path):
    if name_of(path) in ("__init__", "__main__", "coding"):
        return
    tree = ast.walk(ast.parse((ROOT / path).read_text("utf-8")))
    used = {alias.name for node in tree if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert not used & {"nn", "tqdm", "functional"}, f"{path} knows networks or prints: {used}"


def test_the_reader_of_imports_sees_them():
    assert imported(Path("pipeline/pruning.py")) >= {"pipeline.methods", "network.finding"}
    assert imported(Path("pipeline/methods.py")) >= {"reap", "unification", "baselines"}
    assert "classroom.data" in imported(Path("classroom/tour.py"))


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_is_read_in_one_sitting(path):
    assert len((ROOT / path).read_text("utf-8").splitlines()) <= 250


@pytest.mark.parametrize("path", FILES, ids=str)
def test_nothing_that_is_read_is_run(path):
    for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            assert not names & {"pickle", "dill", "joblib", "marshal", "shelve"}
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            assert "weights_only=True" in map(ast.unparse, node.keywords)


def test_public_names_are_documented():
    for name in pk.__all__:
        assert getattr(pk, name).__doc__, name
