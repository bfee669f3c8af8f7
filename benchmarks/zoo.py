"""Other people's architectures, pruned: which are offered, whether what is cut is exact, how fast.

    pip install --no-deps timm transformers torchvision  # and what these ask for
    python -m benchmarks.zoo                  # every one, a process each: zoo.md and zoo.json
    python -m benchmarks.zoo resnet50 bert    # some of them, printed

Random weights. Half of the channels of every site go (smallest filters, no repair). "Exact" means:
on random images the cut network says what the intact one says whose layers take zeros in place of
those channels, put there by hooks that know nothing of prunekit but the plan. One thread.
"""

import argparse
import copy
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

import prunekit as pk
from benchmarks import architectures
from prunekit.network.inputs import call, flat_outputs, map_tensors
from prunekit.results.plans import Plan

HERE = Path(__file__).parent
SECONDS = 240  # for one architecture, all in all
HEAD = "| architecture | input | sites pruned | MACs kept | find_sites, s | verdict |"


@torch.no_grad()
def settle(model: nn.Module) -> nn.Module:
    """Batch norms as after training: scales, shifts and statistics of all kinds."""
    for norm in model.modules():
        if isinstance(norm, _BatchNorm) and norm.running_var is not None:
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 1.5)
            if norm.affine:
                norm.weight.uniform_(0.5, 1.5)
                norm.bias.normal_(0, 0.2)
    return model.eval().requires_grad_(False)


def silenced(model: nn.Module, plan: Plan) -> nn.Module:
    """The intact network, whose layers take zeros in place of the channels that went."""
    model = copy.deepcopy(model)
    for name, sides in plan.cuts.items():
        layer = model.get_submodule(name)
        if "in" in sides and isinstance(layer, (nn.Linear, nn.modules.conv._ConvNd)):
            axis = -1 if isinstance(layer, nn.Linear) else 1

            def zero(
                _: nn.Module, args: tuple, ids: Sequence[int] = sides["in"], axis: int = axis
            ) -> tuple:
                return (args[0].index_fill(axis, torch.tensor(ids), 0.0), *args[1:])

            layer.register_forward_pre_hook(zero)
    return model


@torch.no_grad()
def difference(one: nn.Module, other: nn.Module, inputs: object) -> float:
    """The largest difference of outputs beside the largest output."""
    pairs = zip(*(flat_outputs(call(model, inputs)) for model in (one, other)), strict=True)
    gaps = [((a - b).abs().max() / a.abs().max().clamp(min=1e-30)).item() for a, b in pairs]
    return max(gaps, default=float("inf"))


def tried(name: str) -> dict[str, object]:
    """One architecture: what the table says of it."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, inputs = architectures.make(name)
    settle(model)
    example = map_tensors(lambda value: value[:1], inputs)
    start = time.process_time()
    sites = pk.find_sites(model, example)
    row: dict[str, object] = {"seconds": round(time.process_time() - start, 1)}
    open_sites = [site for site in sites if site.reason is None]
    row |= {"sites": len(sites), "pruned": len(open_sites), "input": shape_of(inputs)}
    if not open_sites:
        return row | {"verdict": f"left alone: {sites[0].reason}" if sites else "no layers"}
    how = {"method": "l1", "repair": "none", "pruning_ratio": 0.5, "progress": False}
    result = pk.prune(model, example, [inputs], **how)
    gap = difference(silenced(model, result.plan), result.model, inputs)
    row["kept"] = round(result.report.macs_after / result.report.macs_before, 3)
    left = next((f"; left alone: {s.name}: {s.reason}" for s in sites if s.reason), "")
    return row | {"verdict": f"pruned, exact{left}" if gap < 1e-3 else f"WRONG by {gap:.1e}"}


def shape_of(inputs: object) -> str:
    tensor = next(iter(inputs.values())) if isinstance(inputs, dict) else inputs
    return "×".join(map(str, tensor.shape[1:])) if isinstance(tensor, Tensor) else "several"


def in_its_own_process(name: str) -> dict[str, object]:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.zoo", "--one", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return {"verdict": f"NO END after {SECONDS} s"}
    if done.returncode:
        return {"verdict": "refused: " + done.stderr.strip().rpartition("\n")[2]}
    return json.loads(done.stdout.strip().rpartition("\n")[2])


def line(name: str, row: dict[str, object]) -> str:
    sites = f"{row['pruned']} of {row['sites']}" if "sites" in row else ""
    verdict = str(row["verdict"]).replace("|", "\\|").replace("\n", " ")[:200]
    cells = (row.get("input", ""), sites, row.get("kept", ""), row.get("seconds", ""), verdict)
    return f"| {name} | " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.zoo", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names; all without any")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(tried(options.one)))
        return
    wanted = [n for n in architectures.NAMES if not options.names or n in options.names]
    rows = {}
    for name in wanted:
        rows[name] = in_its_own_process(name)
        print(line(name, rows[name]), flush=True)
    if not options.names:
        (HERE / "zoo.json").write_text(json.dumps(rows, indent=1) + "\n")
        lines = [HEAD, "|---|---|---|---|---|---|", *(line(n, row) for n, row in rows.items())]
        title = "# Other people's architectures\n\nBy `python -m benchmarks.zoo`, which says how.\n"
        (HERE / "zoo.md").write_text("\n".join([title, *lines]) + "\n")


if __name__ == "__main__":
    main()
