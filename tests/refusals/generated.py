"""Every public function × every argument × every kind of value: all that is not listed is refused.

A value may be refused with a TypeError or a ValueError that names the argument; or it is one that
the argument takes, and then it stands here.
"""

import math

import numpy as np
import torch
from torch import nn

import prunekit as pk
from prunekit.results import plans

X = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
W = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
MOMENTS = pk.Moments().update(X, X @ W)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def odd(change):
    """A network with something odd about it."""
    net = network()
    change(net)
    return net


def bare(value):
    """A network with one parameter of a kind."""
    return odd(lambda net: setattr(net[0], "weight", nn.Parameter(value, requires_grad=False)))


def nested():
    return torch.nested.nested_tensor([torch.randn(3, 4), torch.randn(2, 4)], layout=torch.jagged)


VALUES = {  # name → what makes it; broken for most arguments
    "None": lambda: None,
    "text": lambda: "a",
    "no text": lambda: "",
    "bytes": lambda: b"a",
    "True": lambda: True,
    "0": lambda: 0,
    "3": lambda: 3,
    "-1": lambda: -1,
    "0.5": lambda: 0.5,
    "-0.5": lambda: -0.5,
    "1.5": lambda: 1.5,
    "NaN": lambda: math.nan,
    "inf": lambda: math.inf,
    "1e300": lambda: 1e300,
    "10**400": lambda: 10**400,
    "complex": lambda: 1j,
    "list": lambda: [],
    "list of text": lambda: ["a"],
    "list of None": lambda: [None],
    "dict": lambda: {},
    "dict of None": lambda: {None: None},
    "object": object,
    "class": lambda: int,
    "generator": lambda: iter(()),
    "array": lambda: np.ones((3, 4)),
    "number of numpy": lambda: np.array(0.5),
    "tensor number": lambda: torch.tensor(0.5),
    "tensor whole number": lambda: torch.tensor(1),
    "tensor vector": lambda: torch.ones(5),
    "tensor matrix": lambda: torch.ones(7, 3),
    "tensor of 5 dimensions": lambda: torch.ones(1, 2, 1, 2, 1),
    "tensor empty": lambda: torch.ones(0, 4),
    "tensor NaN": lambda: torch.full((30, 4), math.nan),
    "tensor inf": lambda: torch.full((30, 4), math.inf),
    "tensor bytes": lambda: torch.ones(30, 4, dtype=torch.uint8),
    "tensor bool": lambda: torch.ones(30, 4, dtype=torch.bool),
    "tensor sparse": lambda: X.to_sparse(),
    "tensor csr": lambda: X.to_sparse_csr(),
    "tensor mkldnn": lambda: X.to_mkldnn(),
    "tensor meta": lambda: X.to("meta"),
    "tensor nested": nested,
    "tensor complex": lambda: X.to(torch.complex64),
    "tensor quantised": lambda: torch.quantize_per_tensor(X, 0.1, 0, torch.qint8),
    "network": network,
    "module": nn.ReLU,
}
NETWORKS = {  # for the argument ``model``, beside all the values above
    "sparse": lambda: bare(torch.randn(8, 4).to_sparse()),
    "meta": lambda: bare(torch.empty(8, 4, device="meta")),
    "NaN": lambda: bare(torch.full((8, 4), math.nan)),
    "complex": lambda: bare(torch.randn(8, 4, dtype=torch.complex64)),
    "whole numbers": lambda: bare(torch.ones(8, 4, dtype=torch.int64)),
    "float16 in part": lambda: bare(torch.randn(8, 4, dtype=torch.float16)),
    "empty": lambda: bare(torch.randn(0, 4)),
    "wrong shape": lambda: bare(torch.randn(8, 5)),
    "no weight": lambda: odd(lambda net: setattr(net[0], "weight", None)),
    "lazy": lambda: nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.Linear(8, 2)),
    "no layers": nn.Sequential,
    "no forward": nn.Module,
    "no tensor comes out": lambda: odd(lambda net: net.append(Said())),
    "scripted": lambda: torch.jit.freeze(torch.jit.script(network().eval())),
    "nothing to learn, with a hook": lambda: hooked(nn.ReLU()),
}


class Said(nn.Module):
    def forward(self, x):
        return "words"


def hooked(net):
    net.register_forward_hook(lambda *_: None)
    return net


PRUNED = pk.prune(network(), X[:1], X, pruning_ratio=0.5, progress=False)
PATH = EXAMPLE = MODEL = WORD = set()  # what nothing of the above is
FLAG = {"True"}
ODD = {"module", "no layers", "no tensor comes out", "nothing to learn, with a hook"}
OPTIONAL = {"None"}
CALLED = {"class", "network", "module"}  # what these do is theirs
CONVERTED = {"tensor bytes", "tensor bool"}
RIDGE = {"0", "3", "0.5", "1.5"}
LAYERS = {"list", "dict", "class", "generator", "no text"}
HOW = {
    "method": CALLED,
    "repair": OPTIONAL,
    "coefficients": WORD,
    "ridge": RIDGE | OPTIONAL,
    "distribution": OPTIONAL,
    "mirror": set(),
    "refine": {"0", "3"},
    "round_to": {"3"},
}
HOW |= {"asymmetric": FLAG, "centered": FLAG, "weigh_outputs": FLAG, "prune_residual": FLAG}
HOW |= {"model": {"no tensor comes out"}, "ignored_layers": LAYERS, "progress": FLAG}
AMOUNTS = dict.fromkeys(
    ("target_macs", "target_params", "target_latency", "max_error", "channels", "pruning_ratio"),
    OPTIONAL,  # beside the one that stands there
)
QUIET = {"progress": False}
ALSO = {"text": "the plan", "model": "the network"}  # what an argument may be called in messages
SITES = {"model": network(), "example_inputs": X[:1]}
RUN = SITES | {"calibration": X} | QUIET


def by(function, amount, value, takes):
    """A function of networks whose amount is tried."""
    return function, RUN | {amount: value}, {amount: takes}, (amount,)


# function, what it is called with, which of the values above its arguments take, which are tried
TABLE = {
    "Moments.update": (lambda **k: pk.Moments().update(**k), {"X": X, "Y": X @ W})
    + ({"X": CONVERTED, "Y": CONVERTED | OPTIONAL}, ("X", "Y")),
    "Moments.merge": (lambda **k: pk.Moments().merge(**k), {"other": MOMENTS}, {}, ("other",)),
    "LeastSquares.from_moments": (pk.LeastSquares.from_moments, {"moments": MOMENTS})
    + ({"weights": OPTIONAL, "bias": OPTIONAL, "centered": FLAG, "ridge": RIDGE},),
    "dual_vectors": (pk.dual_vectors, {"X": X}, {}),
    "leave_one_out": (pk.leave_one_out, {"gram": X.T @ X}, {}),
    "similarity": (pk.similarity, {"behaviors": X})
    + ({"behaviors": CONVERTED | {"tensor matrix"}},),
    "eliminate": (pk.eliminate, {"moments": MOMENTS})
    + (
        {"weights": OPTIONAL, "bias": OPTIONAL, "centered": FLAG, "ridge": RIDGE, "record": FLAG}
        | {"output_scale": OPTIONAL, "exchanges": {"0", "3", "10**400"}},
    ),
    "kept_at": (pk.eliminate(MOMENTS).kept_at, {"keep": 1}, {"keep": {"3"}}),
    "weights_at": (pk.eliminate(MOMENTS).weights_at, {"keep": 1}, {"keep": {"3"}}),
    "unify": (pk.unify, {"X": X, "W": W, "remove": 1})
    + (
        {"X": CONVERTED, "bias": OPTIONAL, "remove": {"0", "3"}, "affine": FLAG}
        | {"ratio": OPTIONAL, "max_error": OPTIONAL},
    ),
    "unify by ratio": (pk.unify, {"X": X, "W": W, "ratio": 0.5})
    + ({"ratio": {"0", "0.5"}}, ("ratio",)),
    "unify by error": (pk.unify, {"X": X, "W": W, "max_error": 2.0})
    + ({"max_error": {"0.5", "3", "1.5", "inf", "1e300", "10**400"}}, ("max_error",)),
    "behaviors": (pk.behaviors, {"model": network(), "layer": "0", "inputs": X})
    + ({"positions": OPTIONAL, "seed": {"0", "3"}, "model": ODD},),
    "find_sites": (
        pk.find_sites,
        SITES,
        {"model": ODD, "ignored_layers": LAYERS, "prune_residual": FLAG},
    ),
    "count_macs": (pk.count_macs, SITES, {"model": ODD}),
    "count_params": (
        pk.count_params,
        {"model": network()},
        {"model": {"module", *NETWORKS} - {"lazy"}},
    ),
    "measure_latency": (pk.measure_latency, SITES | {"repeats": 1, "warmup": 0})
    + ({"repeats": {"3"}, "warmup": {"0", "3"}, "model": ODD | {"scripted"}},),
    "recalibrate_batchnorm": (pk.recalibrate_batchnorm, {"model": network(), "calibration": X})
    + ({"example_inputs": OPTIONAL, "progress": FLAG, "model": ODD},),
    "prune": (
        pk.prune,
        RUN | {"pruning_ratio": 0.5},
        HOW | AMOUNTS | {"pruning_ratio": {"0.5", "0", "dict"}},
    ),
    "prune by MACs": by(pk.prune, "target_macs", 0.6, {"0.5"}),
    "prune by parameters": by(pk.prune, "target_params", 0.7, {"0.5"}),
    "prune by seconds": by(pk.prune, "target_latency", 1.0, {"0.5"}),
    "prune by error": by(pk.prune, "max_error", 0.9, {"0.5"}),
    "prune by hand": by(pk.prune, "channels", {"0": [1]}, set()),
    "optimize_ratios": (pk.optimize_ratios, RUN | {"target_macs": 0.6, "step": 0.5})
    + (
        HOW
        | AMOUNTS
        | {
            "target_macs": {"0.5"},
            "step": {"0.5"},
            "probes": {"3", "10**400"},
            "file": {"None", "text"},
        },
    ),
    "optimize_ratios by parameters": by(pk.optimize_ratios, "target_params", 0.7, {"0.5"}),
    "optimize_ratios by error": by(
        pk.optimize_ratios, "max_error", 9.0, {"3", "0.5", "1.5", "1e300", "10**400"}
    ),
    "refine": (pk.refine, {"result": PRUNED, "original": network(), "calibration": X, "epochs": 1})
    + ({"original": ODD | {"network"}, "epochs": {"3"}, "seed": {"0", "3"}, "progress": FLAG},),
    "save": (pk.save, {"result": PRUNED, "path": "small.pt"}, {"path": {"text"}}),
    "load": (pk.load, {"fresh_model": network(), "path": "small.pt"}, {"path": {"text"}}),
    "replay": (
        plans.replay,
        {"model": network(), "plan": PRUNED.plan},
        {"model": {"complex", "NaN", "whole numbers", "float16 in part", "no tensor comes out"}},
    ),
    "from_json": (plans.Plan.from_json, {"text": PRUNED.plan.to_json()}, {}),
}
