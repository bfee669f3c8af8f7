"""Run notebooks again, and store what they print and draw now: nothing of widgets, no clock times.

python -m tests.stored notebooks/05_reap.ipynb
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def run_again(path: Path) -> None:
    """Execute a notebook where it lies, from a fresh kernel, and write it back."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=None,
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [
                out
                for out in cell.outputs
                if not any("widget" in kind for kind in out.get("data", ()))
            ]
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        run_again(Path(name))
