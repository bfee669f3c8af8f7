"""prunekit: structured pruning of neural networks, step by step.

The public names, in course order.
"""

from prunekit.baselines import recalibrate_batchnorm
from prunekit.cost import Latency, count_macs, count_params, measure_latency
from prunekit.least_squares import LeastSquares, Statistics
from prunekit.moments import Moments
from prunekit.network import Site, find_sites
from prunekit.pipeline import PruningResult, prune
from prunekit.reap import Elimination, eliminate
from prunekit.report import Report

__version__ = "0.1.0"

__all__ = [
    "Elimination",
    "Latency",
    "LeastSquares",
    "Moments",
    "PruningResult",
    "Report",
    "Site",
    "Statistics",
    "count_macs",
    "count_params",
    "eliminate",
    "find_sites",
    "measure_latency",
    "prune",
    "recalibrate_batchnorm",
]
