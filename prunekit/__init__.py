"""prunekit: structured pruning of neural networks, step by step.

The public names, in course order.
"""

from prunekit.biorthogonal import LeaveOneOut, dual_vectors, leave_one_out
from prunekit.coding import behaviors, similarity
from prunekit.cost import Latency, count_macs, count_params, measure_latency
from prunekit.elimination import Elimination
from prunekit.files import load, save
from prunekit.least_squares import LeastSquares
from prunekit.moments import Moments
from prunekit.network import find_sites
from prunekit.optimizer import optimize_ratios
from prunekit.pipeline import PruningResult, prune
from prunekit.ratios import Ratios
from prunekit.reap import eliminate
from prunekit.recalibration import recalibrate_batchnorm
from prunekit.report import Report
from prunekit.site_statistics import Statistics
from prunekit.sites import Site
from prunekit.unification import Unification, unify

__version__ = "0.1.0"

__all__ = [
    "Elimination",
    "Latency",
    "LeastSquares",
    "LeaveOneOut",
    "Moments",
    "PruningResult",
    "Ratios",
    "Report",
    "Site",
    "Statistics",
    "Unification",
    "behaviors",
    "count_macs",
    "count_params",
    "dual_vectors",
    "eliminate",
    "find_sites",
    "leave_one_out",
    "load",
    "measure_latency",
    "optimize_ratios",
    "prune",
    "recalibrate_batchnorm",
    "save",
    "similarity",
    "unify",
]
