"""Other last digits change no choice of channels; a promise without room is noticed."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import prunekit as pk
from prunekit.pipeline.methods import METHODS

from .jitter.jitter import torch_mode
from .zoo import ZOO, sites_of, traced

ROOT = Path(__file__).parents[1]
SEEDS = (0, 1, 2)

pytestmark = pytest.mark.filterwarnings("ignore:.* calibration samples are too few")


def kept(name, **how):
    """Site → kept channels, at 0.4 of the channels removed."""
    entry = ZOO[name]
    inputs = entry.inputs(12)
    how |= {"pruning_ratio": 0.4, "progress": False}
    with traced(name):
        return dict(pk.prune(entry.make(), inputs, [inputs], **how).plan)


@pytest.mark.parametrize(("name", "seed"), [*zip(ZOO, itertools.cycle(SEEDS))])
def test_the_same_channels_on_any_processor(name, seed):
    if all(site.reason for site in sites_of(name)):
        pytest.skip("nothing can be pruned here")
    plain = kept(name)
    with torch_mode(seed)():
        assert kept(name) == plain


@pytest.mark.parametrize("name", ["resnet_basic", "vit_fused"])
@pytest.mark.parametrize(("method", "seed"), [*zip(METHODS, itertools.cycle(SEEDS))])
def test_every_method_keeps_the_same_channels_on_any_processor(method, seed, name):
    plain = kept(name, method=method)
    with torch_mode(seed)():
        assert kept(name, method=method) == plain


def said(source, seed):
    """What the cells of a notebook print, or how they end, with the last digits of a seed."""
    done = subprocess.run(
        [sys.executable, "-c", source],
        env=os.environ | {"JITTER": str(seed)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done.stdout, done.stderr.strip().rpartition("\n")[2]


PROMISES = [  # notebook, what it says with room, and without
    (
        "04_biorthogonal_least_squares",
        "H3.diagonal().numpy().round(2)",
        "H3.diagonal().numpy().round(3)",
    ),
    ("05_reap", "(half.bound <= half.reap + 1e-9).all()", "(half.bound <= half.reap).all()"),
]


@pytest.mark.parametrize(("name", "with_room", "without"), PROMISES, ids=["digit", "claim"])
def test_a_promise_without_room_is_noticed(name, with_room, without):
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    last = next(i for i, cell in enumerate(notebook.cells) if with_room in cell.source)
    cells = [cell.source for cell in notebook.cells[: last + 1] if cell.cell_type == "code"]
    assert said("\n".join(cells), 0)[1] == ""
    cells[-1] = cells[-1].replace(with_room, without)
    plain = said("\n".join(cells), "off")
    assert any(said("\n".join(cells), seed) != plain or plain[1] for seed in range(8))
