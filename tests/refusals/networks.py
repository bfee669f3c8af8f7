"""Functions of networks: what is refused, and what the message says."""

import numpy as np
import torch
from torch import nn

import prunekit as pk

IMAGES = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ONE = IMAGES[:1]
LABELS = torch.zeros(40, dtype=torch.long)


def breaks(site):
    raise RuntimeError("no")


PRUNE = [  # options, error, message
    ({"pruning_ratio": 50}, ValueError, r"did you mean 0\.50"),
    ({"pruning_ratio": -0.1}, ValueError, "0 ≤ r < 1"),
    ({"pruning_ratio": 1.0}, ValueError, "0 ≤ r < 1"),
    ({"pruning_ratio": "half"}, TypeError, "must be a number"),
    ({"pruning_ratio": True}, TypeError, "must be a number"),
    ({"pruning_ratio": 0.01}, ValueError, "removes no channel"),
    ({"pruning_ratio": float("nan")}, ValueError, "0 ≤ r < 1"),
    ({"pruning_ratio": {"nowhere.*": 0.5}}, ValueError, "matches no site"),
    ({"pruning_ratio": {"0": 50}}, ValueError, r"pruning_ratio\['0'\]"),
    ({"pruning_ratio": 0.5, "target_macs": 0.5}, ValueError, "give one of"),
    ({"pruning_ratio": None, "max_error": 1.5}, ValueError, "0 < e < 1, got 1.5"),
    ({"pruning_ratio": None, "max_error": 0.0}, ValueError, "0 < e < 1, got 0.0"),
    ({"pruning_ratio": None}, ValueError, "give one of"),
    ({"target_macs": 50.0}, ValueError, r"did you mean 0\.50"),
    ({"target_macs": 0.001}, ValueError, "cannot be reached.*between"),
    ({"target_macs": "small"}, TypeError, "target_macs"),
    ({"method": "magic"}, ValueError, "method must be one of 'reap'"),
    ({"repair": "glue"}, ValueError, "repair must be one of"),
    ({"ridge": -1.0}, ValueError, "ridge must be 0 or more"),
    ({"method": lambda site: "no"}, ValueError, "method must return an Elimination"),
    ({"calibration": []}, ValueError, "calibration is empty"),
    ({"calibration": IMAGES[:0]}, ValueError, "calibration is empty"),
    ({"calibration": torch.full_like(IMAGES, torch.nan)}, ValueError, "NaN or infinite"),
    ({"calibration": IMAGES[:, :2]}, ValueError, r"shape \(40, 2, 8, 8\), expected"),
    ({"calibration": IMAGES.byte()}, TypeError, "dtype torch.uint8, expected torch.float32"),
    ({"calibration": 3}, TypeError, "calibration must be"),
    ({"calibration": ["text"]}, TypeError, "must be a tensor, got a str"),
    ({"ridge": float("nan")}, ValueError, "ridge must be 0 or more"),
    ({"pruning_ratio": {0: 0.5}}, TypeError, "must map site names"),
    ({"target_macs": 50}, ValueError, "an int is a count"),
    ({"example": IMAGES[:0]}, ValueError, "at least one sample"),
    ({"example": ONE * torch.nan}, ValueError, "finite numbers"),
    ({"example": "text"}, TypeError, "example_inputs must be"),
    ({"ignored_layers": ["0", "3", "7"]}, ValueError, "no channels that can be pruned"),
    ({"method": "magic"}, ValueError, "method must be one of 'reap'"),
    ({"method": 3}, ValueError, "method must be one of"),
    ({"repair": 3}, ValueError, "repair must be one of"),
    ({"coefficients": "pixel"}, ValueError, "coefficients must be 'kernel' or 'channel'"),
    ({"method": ["l1"]}, ValueError, r"method must be one of.*got \['l1'\]"),
    ({"method": None}, ValueError, "method must be one of.*got None"),
    ({"repair": [1]}, ValueError, r"repair must be one of.*got \[1\]"),
    ({"ignored_layers": [3]}, TypeError, "ignored_layers must hold names.*got 3"),
    ({"ignored_layers": 3}, TypeError, "ignored_layers must hold names.*got 3"),
    ({"ignored_layers": [nn.Linear(2, 2)]}, ValueError, "is not a layer of this"),
    (
        {"pruning_ratio": 0.5, "target_macs": 0.5},
        ValueError,
        "give one of.*got pruning_ratio=0.5 and target_macs=0.5",
    ),
    ({"pruning_ratio": None}, ValueError, "give one of.*got none"),
    ({"target_macs": 2.0}, ValueError, "fraction kept, 0 < t ≤ 1, got 2.0"),
    ({"target_macs": 10**9}, ValueError, "target_macs=1000000000.*MACs"),
    ({"target_macs": 0}, ValueError, "target_macs=0 cannot be reached"),
    ({"pruning_ratio": np.ones(3)}, TypeError, "pruning_ratio must be a number"),
]
OPTIMIZE = [  # options, error, message
    ({}, ValueError, "give one of target_macs, target_params, target_latency and max_error"),
    ({"target_macs": 0.5, "max_error": 1.0}, ValueError, "give one of"),
    ({"target_macs": 0.5, "target_params": 0.5}, ValueError, "give one of"),
    ({"target_macs": 50.0}, ValueError, r"target_macs.*did you mean 0\.50"),
    ({"target_params": 50.0}, ValueError, r"target_params.*did you mean 0\.50"),
    ({"target_latency": 50.0}, ValueError, r"target_latency.*did you mean 0\.50"),
    ({"target_params": -0.1}, ValueError, "0 < t ≤ 1"),
    ({"target_macs": float("nan")}, ValueError, "0 < t ≤ 1"),
    ({"target_macs": "half"}, TypeError, "target_macs must be a number .a float in .*or an int"),
    ({"target_macs": True}, TypeError, "target_macs must be a number .a float in .*or an int"),
    ({"target_macs": 50}, ValueError, "between 1,880 and 21,016 MACs"),
    ({"target_macs": 1879}, ValueError, "target_macs=1879 cannot be reached"),
    ({"target_macs": -5}, ValueError, "cannot be reached"),
    ({"target_params": 40}, ValueError, r"between 52 and 958 parameters \(0\.054 to 1"),
    ({"max_error": 0}, ValueError, "max_error must be above 0 and below inf, got 0"),
    ({"max_error": -1.0}, ValueError, "above 0 and below inf, got -1"),
    ({"max_error": float("nan")}, ValueError, "above 0 and below inf, got nan"),
    ({"max_error": float("inf")}, ValueError, "above 0 and below inf, got inf"),
    ({"max_error": 1e-30}, ValueError, "max_error=1e-30 is met by no step"),
    ({"target_macs": 0.5, "step": 0}, ValueError, "step must be above 0 and below 1, got 0"),
    ({"target_macs": 0.5, "step": 1.0}, ValueError, r"step must be .* below 1, got 1\.0"),
    ({"target_macs": 0.5, "step": 6}, ValueError, "step must be .* below 1, got 6"),
    ({"target_macs": 0.5, "probes": 0}, ValueError, "probes must be 1 or more, got 0"),
    (
        {"target_macs": 0.5, "form": "magic"},
        ValueError,
        "form must be 'curves' or 'greedy'",
    ),
    (
        {"target_macs": 0.5, "criterion": "mae"},
        ValueError,
        "criterion must be 'mse' or 'kl'",
    ),
    ({"target_macs": 0.5, "method": "magic"}, ValueError, "method must be one of 'reap'"),
    ({"target_macs": 0.5, "repair": "glue"}, ValueError, "repair must be one of"),
    ({"target_macs": 0.5, "coefficients": "all"}, ValueError, "coefficients must be 'kernel'"),
    ({"target_macs": 0.5, "ridge": -1.0}, ValueError, "ridge must be 0 or more"),
    ({"target_macs": 0.5, "method": lambda site: "no"}, ValueError, "return an Elimination"),
    ({"target_macs": 0.5, "method": breaks}, RuntimeError, "no"),
    ({"target_macs": 0.5, "inputs": IMAGES * torch.nan}, ValueError, "finite numbers"),
    ({"target_macs": 0.5, "ignored_layers": ["0", "3", "7"]}, ValueError, "no channels that"),
    ({"target_macs": 0.5, "ignored_layers": ["12"]}, ValueError, "is not a layer"),
]
EXAMPLES = [  # example_inputs, message
    (IMAGES[0], r"a tensor \([31], 8, 8\) of torch.float32.*x\[None\] adds a batch"),
    (ONE.double(), r"float64.*parameters are torch.float32: convert.*\.to\(torch.float32\)"),
    (ONE[:, :2], r"\(1, 2, 8, 8\).*expected input.* to have 3 channels"),
    ((ONE, ONE), r"a tuple \(a tensor .*, a tensor .*\)"),
    ({"x": ONE}, r"a dict \{'x': a tensor .*its forward\(\) takes \(input\), by name"),
    (ONE.numpy(), r"got a ndarray of shape \(1, 3, 8, 8\).*torch.from_numpy"),
    ([ONE.numpy()], "got a tuple .*ndarray"),
    (((ONE, ONE), LABELS), "must be a tensor, a tuple of tensors"),
]
BEHAVIORS = [  # layer, inputs, options, error, message
    ("nowhere", IMAGES, {}, ValueError, "layer must be one of the network's, got 'nowhere'; "),
    ("", IMAGES, {}, ValueError, "layer must be one of"),
    ("0", IMAGES, {"positions": 0}, ValueError, r"positions must lie in 1\.\.64, got 0"),
    ("0", IMAGES, {"positions": 65}, ValueError, r"positions must lie in 1\.\.64"),
    ("0", [], {}, ValueError, "empty"),
    ("0", IMAGES[:0], {}, ValueError, "empty"),
    ("0", IMAGES * torch.nan, {}, ValueError, "NaN or infinite"),
    ("0", 3, {}, TypeError, "inputs must be"),
]
MEASURES = [  # function, arguments behind the model, options, error, message
    (pk.measure_latency, (ONE,), {"repeats": 0}, ValueError, "repeats must be 1 or more.*got 0"),
    (
        pk.measure_latency,
        (ONE,),
        {"repeats": 3, "warmup": -1},
        ValueError,
        "warmup must be 0 or more.*got -1",
    ),
    (pk.measure_latency, ("image",), {}, TypeError, "example_inputs must be"),
    (pk.recalibrate_batchnorm, ([],), {}, ValueError, "calibration is empty"),
    (pk.recalibrate_batchnorm, (3,), {}, TypeError, "calibration must be"),
    (pk.recalibrate_batchnorm, (IMAGES, "x"), {}, TypeError, "example_inputs must"),
    (pk.recalibrate_batchnorm, (IMAGES[:, :2],), {}, ValueError, r"cannot take.*\(40, 2, 8, 8\)"),
]


def pruned(options):
    """Arguments of `prune` behind the model, and options, at half the channels unless told."""
    options = {"progress": False, "calibration": IMAGES, "example": ONE} | options
    if "target_macs" not in options:
        options.setdefault("pruning_ratio", 0.5)
    return (options.pop("example"), options.pop("calibration")), options


def optimized(options):
    """The same of `optimize_ratios`."""
    options = {"progress": False, "inputs": IMAGES, "step": 1 / 4} | options
    inputs = options.pop("inputs")
    return (inputs[:1], inputs), options


NETWORKS = [  # function, arguments behind the model, options, error, message
    *((pk.prune, *pruned(options), *rest) for options, *rest in PRUNE),
    *((pk.optimize_ratios, *optimized(options), *rest) for options, *rest in OPTIMIZE),
    *(
        (door, (example,), {}, (TypeError, ValueError), f"example_inputs.*{message}")
        for example, message in EXAMPLES
        for door in (pk.find_sites, pk.count_macs)
    ),
    *((pk.behaviors, (layer, inputs), *rest) for layer, inputs, *rest in BEHAVIORS),
    *MEASURES,
]
