"""Prune with many processes, each on its own share of the calibration images.

One machine, two processes (on GPUs: as many as there are):

    torchrun --nproc-per-node 2 examples/distributed.py

Several machines, the same on each, with --node-rank 0, 1, …:

    torchrun --nnodes 2 --node-rank 0 --nproc-per-node 8 \\
        --master-addr 10.0.0.1 --master-port 29500 examples/distributed.py

Without torchrun it is one process, with the same result. See docs/distributed.md.
"""

import argparse
import os
from datetime import timedelta

import torch
import torch.distributed as dist

import prunekit as pk
from prunekit.classroom.data import shapes32
from prunekit.classroom.pretrained import pretrained


def main() -> None:
    """Prune a network of the course, and save what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--network", default="resnet20-shapes32", help="a shipped one")
    parser.add_argument("--images", type=int, default=600, help="for calibration")
    parser.add_argument("--macs", type=float, default=0.5, help="share that stays")
    parser.add_argument("--file", help="where PRO keeps its measurements, to go on from there")
    parser.add_argument("--out", default="pruned.pt", help="where the pruned network goes")
    parser.add_argument("--timeout", type=float, default=600, help="seconds to wait for a process")
    asked = parser.parse_args()

    device = torch.device("cpu")
    if "RANK" in os.environ:  # started by torchrun
        dist.init_process_group(timeout=timedelta(seconds=asked.timeout))
        if torch.cuda.is_available():
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(device)
    # every process: the same network, the same images; prunekit deals them out
    model = pretrained(asked.network).to(device)
    images = shapes32("train", asked.images).inputs.to(device)
    ratios = pk.optimize_ratios(model, images[:1], images, target_macs=asked.macs, file=asked.file)
    result = pk.prune(model, images[:1], images, pruning_ratio=ratios)
    pk.save(result, asked.out)  # the first process writes
    if not dist.is_initialized() or dist.get_rank() == 0:
        print(result.report)
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
