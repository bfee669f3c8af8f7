"""Notebook 08 without its photographs: pytest skips it with a reason, a reader gets a kind word."""

import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "08_real_cifar10.ipynb"


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A machine without CIFAR-10: PRUNEKIT_DATA and the user's cache are empty folders."""
    for name in ("PRUNEKIT_DATA", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


def test_pytest_skips_every_cell_and_says_why(nowhere):
    # HOME leads to the cache on a Mac; the kernel does not start here, so it is not needed
    options = ["--nbval", "--nbval-current-env", "-rs", "-p", "no:cacheprovider", "-o", "addopts="]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(NOTEBOOK)],
        env={**os.environ, "HOME": str(nowhere)},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    cells = sum(cell.cell_type == "code" for cell in nbformat.read(NOTEBOOK, 4).cells)
    assert run.returncode == 0 and f"{cells} skipped in" in run.stdout, run.stdout + run.stderr
    assert f"SKIPPED [{cells}]" in run.stdout
    for word in ("CIFAR-10 is not on this machine", "PRUNEKIT_DATA", "--download"):
        assert run.stdout.count(word) >= 2, word  # as the reason, and as a line at the end


@pytest.mark.parametrize("there", [True, False])
def test_only_this_notebook_is_skipped_and_only_where_the_images_are_missing(
    there, tmp_path, monkeypatch
):
    hooks = runpy.run_path(str(ROOT / "notebooks" / "conftest.py"))
    monkeypatch.setattr(hooks["data"], "find_cifar10", lambda: tmp_path if there else None)
    marked = []
    names = ["07_compare.ipynb", NOTEBOOK.name, "test_notebooks.py"]
    hooks["pytest_collection_modifyitems"](
        [
            SimpleNamespace(
                path=Path(name), add_marker=lambda mark, n=name: marked.append((n, mark))
            )
            for name in names
        ]
    )
    assert [name for name, _ in marked] == ([] if there else [NOTEBOOK.name])
    assert all(mark.name == "skip" and mark.kwargs["reason"] for _, mark in marked)


def test_a_reader_gets_a_word_instead_of_a_stack_trace(nowhere, monkeypatch):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    first = next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    monkeypatch.setenv("IPYTHONDIR", str(nowhere / "ipython"))
    client = NotebookClient(notebook, resources={"metadata": {"path": str(ROOT)}})
    with client.setup_kernel(), pytest.raises(CellExecutionError):
        client.execute_cell(notebook.cells[first], first)
    (said,) = notebook.cells[first].outputs
    text = "\n".join(said.traceback)
    assert "Traceback" not in text and "line " not in text and str(nowhere) not in text
    for word in ("python -m prunekit tour --data cifar10 --download", "PRUNEKIT_DATA", "read on"):
        assert word in text
