"""What the README shows runs, and what it points to exists."""

import re
from pathlib import Path

import torch

from .networks import chain

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text("utf-8")


def test_its_python_runs_as_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # one of its lines writes a file
    model, images = chain().eval(), torch.randn(40, 3, 8, 8)
    names = {"model": model, "images": images}
    blocks = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)
    assert len(blocks) == 3
    for block in blocks:
        exec(block, names)
    assert names["smaller"][0].out_channels < model[0].out_channels


def test_its_links_resolve():
    links = re.findall(r"\]\(([^)\s]+)\)", TEXT)
    for link in links:
        assert link.startswith("https://") or (ROOT / link).exists(), link
    assert len(links) > 8


def test_every_notebook_is_in_its_table():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert f"(notebooks/{path.name})" in TEXT


def test_every_dependency_is_in_its_table():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    table = TEXT.split("## What it stands on")[1].split("##")[0]
    for line in project["dependencies"] + project["optional-dependencies"]["test"]:
        assert re.match(r"[\w-]+", line)[0] in table, line
