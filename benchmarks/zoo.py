"""Other people's architectures, pruned: which are offered, whether what is cut is exact, how fast.

    pip install --no-deps timm transformers torchvision  # and what these ask for
    python -m benchmarks.zoo                  # every one, a process each: zoo.md and zoo.json
    python -m benchmarks.zoo resnet50 bert    # some of them, printed

Random weights, and nothing at a neutral value: norms, layer scales and biases as after training.
Half of the channels of every site go (smallest filters, no repair). "Exact" means: on random inputs
the cut network says what the intact one says whose layers take zeros in place of those channels,
put there by hooks that know nothing of prunekit but the plan; in float64 where it runs in that.
Seconds are those of `pk.find_sites` on one core, with one thread.
"""

import argparse
import copy
import json
import multiprocessing
import re
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from multiprocessing.connection import Connection
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
TITLE = "# Other people's architectures\n\nBy `python -m benchmarks.zoo`, which says how."
HEAD = "| architecture | input | sites pruned | MACs kept | find_sites, s | verdict |"


@torch.no_grad()
def settle(model: nn.Module) -> nn.Module:
    """Scales, shifts and statistics of all kinds, as after training."""
    for norm in model.modules():
        if isinstance(norm, _BatchNorm) and norm.running_var is not None:
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 1.5)
    for values in model.parameters():
        if values.ndim < 2 or not values.any():
            values += 0.2 * torch.randn_like(values)
    return model.train().eval().requires_grad_(False)


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

    def said(model: nn.Module, dtype: torch.dtype) -> list[Tensor]:
        wide = map_tensors(lambda v: v.to(dtype) if v.is_floating_point() else v, inputs)
        return flat_outputs(call(copy.deepcopy(model).to(dtype), wide))

    try:
        both = [said(model, torch.float64) for model in (one, other)]
    except (RuntimeError, TypeError):  # it insists on its own dtype
        both = [said(model, torch.float32) for model in (one, other)]
    pairs = zip(*both, strict=True)
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
        why = Counter(str(site.reason) for site in sites).most_common(1)
        return row | {"verdict": f"left alone: {why[0][0]}" if why else "no layers"}
    how = {"method": "l1", "repair": "none", "pruning_ratio": 0.5, "progress": False}
    result = pk.prune(model, example, [inputs], **how)
    gap = difference(silenced(model, result.plan), result.model, inputs)
    row["kept"] = round(result.report.macs_after / result.report.macs_before, 3)
    left = next((f"; left alone: {s.name}: {s.reason}" for s in sites if s.reason), "")
    return row | {"verdict": f"pruned, exact{left}" if gap < 1e-4 else f"WRONG by {gap:.1e}"}


def shape_of(inputs: object) -> str:
    tensor = next(iter(inputs.values())) if isinstance(inputs, dict) else inputs
    return "×".join(map(str, tensor.shape[1:])) if isinstance(tensor, Tensor) else "several"


def sent(name: str, pipe: Connection) -> None:
    """What a process does: try one architecture, and hand over what came of it."""
    warnings.simplefilter("ignore")
    try:
        row = tried(name)
    except Exception as error:  # of foreign code, or prunekit's refusal
        row = {"verdict": f"refused: {type(error).__name__}: {error}"}
    pipe.send(row)


def in_its_own_process(name: str) -> dict[str, object]:
    """One architecture in a copy of this process, which has imported what it needs."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=sent, args=(name, theirs))
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(SECONDS) else {"verdict": f"NO END after {SECONDS} s"}
    except EOFError:
        return {"verdict": f"DIED: exit code {process.exitcode}"}
    finally:
        process.kill()
        process.join()


def line(name: str, row: dict[str, object]) -> str:
    sites = f"{row['pruned']} of {row['sites']}" if "sites" in row else ""
    verdict = str(row["verdict"]).replace("|", "\\|").replace("\n", " ")[:200]
    cells = (row.get("input", ""), sites, row.get("kept", ""), row.get("seconds", ""), verdict)
    return f"| {name} | " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.zoo", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names; all without any")
    options = parser.parse_args()
    architectures.load_libraries()
    wanted = [n for n in architectures.NAMES if not options.names or n in options.names]
    rows = {}
    for name in wanted:
        rows[name] = in_its_own_process(name)
        print(line(name, rows[name]), flush=True)
    if not options.names:
        (HERE / "zoo.json").write_text(json.dumps(rows, indent=1) + "\n")
        lines = [HEAD, "|---|---|---|---|---|---|", *(line(n, row) for n, row in rows.items())]
        (HERE / "zoo.md").write_text("\n".join([TITLE, "", summary(rows), "", *lines]) + "\n")


def summary(rows: dict[str, dict[str, object]]) -> str:
    """What the table comes to."""
    kinds = Counter(re.split("[,;:]| by", str(row["verdict"]))[0] for row in rows.values())
    slow = max(rows, key=lambda name: rows[name].get("seconds", 0.0))
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    return f"{len(rows)} architectures: {counts}. The slowest: {slow}, {rows[slow]['seconds']} s."


if __name__ == "__main__":
    main()
