"""Several processes end with the network that one ends with, and one that goes away stops all."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

import prunekit as pk
from prunekit.classroom.data import shapes32
from prunekit.classroom.pretrained import pretrained
from prunekit.network.ranks import agreed, from_first, is_first
from prunekit.reap import reap

IMAGES = 130  # two batches, so that of four processes two have none


class Small(nn.Module):
    """Convolutions, a sum, a norm: all that is summed over images comes in."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.inner = nn.Conv2d(8, 12, 3, padding=1)
        self.outer = nn.Conv2d(12, 8, 3, padding=1)
        self.last = nn.Linear(8, 5)

    def forward(self, x):
        x = self.norm(self.first(x)).relu()
        x = (x + self.outer(self.inner(x).relu())).relu()
        return self.last(x.mean((2, 3)))


def task(dtype):
    torch.manual_seed(0)
    return Small().eval().to(dtype), torch.randn(IMAGES, 3, 8, 8).to(dtype)


KINDS = {
    "ratios": "float32",
    "pro": "float64",
    "refined": "float32",
    "channel": "float64",
    "other": "float64",
}


def pruned(kind, folder):
    """What every process does."""
    model, images = task(getattr(torch, KINDS[kind]))
    options = {"pruning_ratio": 0.5}
    if kind == "channel":
        options["coefficients"] = "channel"
    elif kind == "refined":
        options |= {"refine": 2, "prune_residual": True}
    elif kind == "other":
        options = {"method": "taylor", "repair": "batchnorm", "max_error": 0.2}
    elif kind == "pro":
        options = {"target_macs": 0.6}
    elif kind == "ratios":
        file = folder / "measured.json"
        found = pk.optimize_ratios(model, images[:1], images, target_macs=0.6, file=file)
        options = {"pruning_ratio": found}
    result = pk.prune(model, images[:1], images, **options)
    pk.save(result, folder / f"{kind}.pt")
    return result.model.state_dict(), {row.name: row.kept for row in result.report.rows}


def dies(site):
    """A method that ends every process but the first."""
    if not is_first():
        os._exit(3)
    return reap(site)


def main(kinds, folder, rank, processes):
    folder = Path(folder)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=int(rank),
        world_size=int(processes),
        timeout=timedelta(seconds=60),
    )
    if kinds == "dying":
        model, images = task(torch.float32)
        pk.prune(model, images[:1], images, method=dies, pruning_ratio=0.5)
    found = {kind: pruned(kind, folder) for kind in kinds.split()}
    # where processes differ, the first one's word counts
    found["said"] = from_first(torch.full((2,), float(rank)))[0].tolist(), agreed(lambda: rank)
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


def started(kinds, folder, processes):
    return [
        subprocess.Popen(
            [sys.executable, __file__, kinds, folder, str(rank), str(processes)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]


def ended(processes):
    """What they printed, once all have ended; none stays behind."""
    try:
        return [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()


@pytest.mark.parametrize(("processes", "kinds"), [(2, [*KINDS]), (4, ["ratios", "pro"])])
def test_many_processes_end_with_the_network_of_one(processes, kinds, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    wanted = {kind: pruned(kind, alone) for kind in kinds}
    printed = ended(started(" ".join(kinds), tmp_path, processes))
    assert all(not out for out, _ in printed)
    assert ["pruning" in shown for _, shown in printed] == [True] + [False] * (processes - 1)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(processes)]
    assert all(found["said"] == ([0.0, 0.0], "0") for found in ranks)
    for kind, (state, kept) in wanted.items():
        loaded = pk.load(task(getattr(torch, KINDS[kind]))[0], tmp_path / f"{kind}.pt")
        few = {"float32": 1e-5, "float64": 1e-10}[KINDS[kind]] * (100 if kind == "refined" else 1)
        for its_state, its_kept in (found[kind] for found in ranks):
            assert its_kept == kept
            for name, value in loaded.state_dict().items():
                assert torch.equal(its_state[name], value)  # to the last bit
                off = (value - state[name]).double().norm()
                assert off <= few * state[name].double().norm()


def test_one_process_goes_on_from_what_many_have_measured(tmp_path):
    ended(started("ratios", tmp_path, 2))
    before = (tmp_path / "measured.json").read_bytes()
    pruned("ratios", tmp_path)
    assert (tmp_path / "measured.json").read_bytes() == before


def test_the_example_runs_as_its_first_lines_say(tmp_path):
    example = Path(__file__).parents[1] / "examples" / "distributed.py"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    asked = ["--network", "small_cnn-shapes32", "--images", "120", "--macs", "0.6"]
    done = subprocess.run(
        [*torchrun, example, *asked, "--out", tmp_path / "small.pt"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("method reap, repair network: MACs") == 1  # one of them prints
    original = pretrained("small_cnn-shapes32")
    images = shapes32("test", 1).inputs
    kept = pk.count_macs(pk.load(original, tmp_path / "small.pt"), images)
    assert kept <= 0.6 * pk.count_macs(original, images)


def test_a_process_that_is_gone_stops_the_others_with_an_error(tmp_path):
    processes = started("dying", tmp_path, 2)
    printed = ended(processes)
    assert [process.returncode for process in processes] == [1, 3]
    assert "process 0 of 2 waited for another one in vain" in printed[0][1]


if __name__ == "__main__":
    main(*sys.argv[1:])
