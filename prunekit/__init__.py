"""prunekit: structured pruning of neural networks, step by step.

The public names, in course order.
"""

from prunekit.algebra.elimination import Elimination
from prunekit.algebra.least_squares import LeastSquares
from prunekit.algebra.moments import Moments
from prunekit.algebra.statistics import Statistics
from prunekit.biorthogonal import LeaveOneOut, dual_vectors, leave_one_out
from prunekit.coding import behaviors, similarity
from prunekit.network.cost import Latency, count_macs, count_params, measure_latency
from prunekit.network.finding import find_sites
from prunekit.network.recalibration import recalibrate_batchnorm
from prunekit.network.sites import Site
from prunekit.pipeline.optimizer import optimize_ratios
from prunekit.pipeline.pruning import PruningResult, prune
from prunekit.pipeline.ratios import Ratios
from prunekit.pipeline.refining import refine
from prunekit.reap import eliminate
from prunekit.results.files import load, save
from prunekit.results.report import Report
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
    "refine",
    "save",
    "similarity",
    "unify",
]
