"""Functions of arrays and numbers: what is refused, and what the message says."""

import torch

import prunekit as pk
from prunekit.biorthogonal import leave_one_out_naive

from ..problems import problem

X, _, W, B = problem(30, 4)
MOMENTS = pk.Moments().update(*problem()[:2])

UPDATE = [  # X, Y, message
    (torch.zeros(3, 2), torch.zeros(4, 1), "equally many samples"),
    (torch.zeros(3), torch.zeros(3, 1), r"\(samples, n\)"),
    (torch.full((3, 2), torch.nan), torch.zeros(3, 1), "finite"),
    (torch.zeros(3, 2), torch.full((3, 1), torch.inf), "finite"),
]
MATRIX = [  # what is no matrix of finite numbers, message
    (torch.zeros(3), r"must be a tensor \(rows, columns\), got \(3,\)"),
    (torch.zeros(0, 0), "must be a tensor"),
    ("text", "must be a tensor, got 'text'"),
    (torch.full((2, 2), torch.nan), "must be finite"),
    (torch.full((2, 2), torch.inf), "must be finite"),
]
ELIMINATE = [  # options, message
    ({"block_size": 4}, "block_size must divide"),
    ({"block_size": 0}, "block_size must be 1 or more, got 0"),
    ({"ridge": -1.0}, "ridge must be 0 or more"),
    ({"ridge": float("nan")}, "ridge must be 0 or more"),
    ({"ridge": float("inf")}, "ridge must be 0 or more"),
    ({"weights": torch.zeros(2, 2)}, "weights must be"),
    ({"output_scale": torch.ones(2)}, "output_scale must have 3 numbers"),
    ({"score": "loudness"}, "score must be 'output' or 'behavior'"),
    ({"exchanges": -1}, "exchanges must be 0 or more, got -1"),
]
UNIFY = [  # arguments, options, message
    ((X, W), {}, "give one of remove, ratio and max_error"),
    ((X, W), {"remove": 1, "ratio": 0.5}, "give one of"),
    ((X, W), {"remove": 4}, "0 ≤ remove < 4, one neuron stays; got 4"),
    ((X, W), {"remove": -1}, "0 ≤ remove < 4"),
    ((X, W), {"remove": 1.0}, "must be a whole number"),
    ((X, W), {"remove": True}, "must be a whole number"),
    ((X, W), {"ratio": 1.0}, "0 ≤ r < 1, got 1.0"),
    ((X, W), {"ratio": -0.1}, "0 ≤ r < 1"),
    ((X, W), {"ratio": float("nan")}, "0 ≤ r < 1"),
    ((X, W), {"max_error": -1.0}, "max_error must be 0 or more"),
    ((X, W), {"max_error": float("nan")}, "max_error must be 0 or more"),
    ((X, W), {"max_error": 1e-9}, "met by no merge"),
    ((X, W), {"remove": 1, "score": "size"}, "score must be 'output' or 'behavior'"),
    ((X, W), {"remove": 1, "scale": 2}, "scale must be 'best' or 'one'"),
    ((X, W[:3]), {"remove": 1}, "a row per column of X, 4, got 3"),
    ((X[:, 0], W), {"remove": 1}, "X must be a tensor"),
    ((X, W[0]), {"remove": 1}, "W must be a tensor"),
    ((X * torch.nan, W), {"remove": 1}, "X must be finite"),
    ((X, W * torch.inf), {"remove": 1}, "W must be finite"),
    ((X, W, B[:2]), {"remove": 1}, "bias must have 3 numbers"),
    ((X, W, B * torch.nan), {"remove": 1}, "bias must be finite"),
]
SIMILARITY = [  # arguments, message
    ((torch.ones(3, 2), "likeness"), "measure must be 'cosine'"),
    ((torch.ones(3),), "behaviors must be a tensor"),
    ((torch.ones(3, 2) * torch.inf,), "behaviors must be finite"),
]

ARRAYS = [  # function, arguments, options, message
    *((pk.Moments().update, (x, y), {}, message) for x, y, message in UPDATE),
    *((pk.dual_vectors, (bad,), {}, message) for bad, message in MATRIX),
    *((pk.leave_one_out, (bad,), {}, message) for bad, message in MATRIX),
    *((leave_one_out_naive, (bad,), {}, message) for bad, message in MATRIX),
    *((pk.eliminate, (MOMENTS,), options, message) for options, message in ELIMINATE),
    *((pk.unify, arguments, options, message) for arguments, options, message in UNIFY),
    *((pk.similarity, arguments, {}, message) for arguments, message in SIMILARITY),
    (pk.eliminate, (pk.Moments(),), {}, "moments are empty"),
]
