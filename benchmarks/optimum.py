"""How far is greedy elimination from the best set of channels there is?

    python -m benchmarks.optimum

100 random layers and 20 real ones, each of at most 14 channels, so that every set can be tried.
The real ones are layers of the shipped networks on their own images; of wider layers 12 channels
are drawn, and Y is what those add to it. Errors are fractions of ‖Y − mean(Y)‖²; there is no ridge.
Below every set lies the bound of the best rank-r approximation (SVD). The figure goes into
benchmarks/optimum.png.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import mean, median

import matplotlib
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter
from torch import Tensor
from tqdm.auto import tqdm

import prunekit as pk
from prunekit.algebra.least_squares import LeastSquares, columns_of
from prunekit.classroom import data
from prunekit.classroom.figures import style
from prunekit.classroom.pretrained import pretrained
from prunekit.network.calibration import calibration_batches
from prunekit.network.layers import outgoing_weights
from prunekit.network.survey import Survey
from prunekit.results.report import text_table

RANDOM, REAL, CHANNELS, EXCHANGES = 100, 20, 12, 20
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Layer:
    """Moments of X (samples, n·k) and Y, and what the layer's own weights are."""

    name: str
    moments: pk.Moments
    weights: Tensor
    k: int

    @property
    def n(self) -> int:
        return len(self.weights) // self.k


def random_layers() -> Iterator[Layer]:
    """ReLU behaviours of correlated neurons, and a consumer of random weights."""
    for seed in range(RANDOM):
        g = torch.Generator().manual_seed(seed)
        n = int(torch.randint(6, 15, (1,), generator=g))
        sources = torch.randn(400, max(2, n // 2), generator=g, dtype=torch.float64)
        mix = torch.randn(sources.shape[1], n, generator=g, dtype=torch.float64)
        own = 0.3 * torch.randn(400, n, generator=g, dtype=torch.float64)
        X = (sources @ mix + own).relu()
        W = torch.randn(n, 8, generator=g, dtype=torch.float64)
        yield Layer(f"random {seed}", pk.Moments().update(X, X @ W), W, 1)


def real_layers() -> Iterator[Layer]:
    """Cut-outs of the shipped networks' layers."""
    count, draw = 0, 0
    nets = {
        "mlp-digits": "digits",
        "small_cnn-shapes32": "shapes32",
        "resnet20-shapes32": "shapes32",
    }
    while count < REAL:
        for name, images in nets.items():
            model = pretrained(name)
            train = data.load(images, "train").sample(200).inputs
            for site in pk.find_sites(model, train[:1]):
                if site.reason is not None or count == REAL:
                    continue
                yield _cut_out(model, site, train, f"{name} {site.name}", seed=draw)
                count += 1
        draw += 1


def _cut_out(model: torch.nn.Module, site: pk.Site, images: Tensor, name: str, seed: int) -> Layer:
    """The consumer of ``site``, as if it took only some of its channels."""
    (taken,) = site.consumer_inputs
    full = Survey(model, [taken], calibration_batches(images)).moments(taken)
    W, _ = outgoing_weights(model.get_submodule(site.consumers[0]))
    k = len(W) // site.channels
    if k > 9:  # behind a flatten a channel owns many columns; its first nine will do
        raise ValueError(f"{name} has {k} columns per channel")
    alive = (full.scatter_xx.diagonal().view(-1, k).sum(1) > 0).nonzero()[:, 0]
    g = torch.Generator().manual_seed(seed)
    drawn = alive[torch.randperm(len(alive), generator=g)[:CHANNELS]].sort().values
    columns = columns_of(drawn, k)
    part, V = pk.Moments(), W[columns]
    part.count = full.count
    part.mean_x, part.mean_y = full.mean_x[columns], full.mean_x[columns] @ V
    part.scatter_xx = full.scatter_xx[columns][:, columns]
    part.scatter_xy = part.scatter_xx @ V  # Y = XW of the drawn channels
    part.scatter_yy = (V * part.scatter_xy).sum(0)
    return Layer(name, part, V, k)


def best_errors(problem: LeastSquares, n: int, k: int) -> list[float]:
    """The least error of any set of 1 … n channels, by trying all of them."""
    best = []
    for keep in range(1, n + 1):
        sets = torch.tensor(list(combinations(range(n), keep)))  # (sets, keep)
        least = torch.inf
        for part in sets.split(256):
            columns = (part[:, :, None] * k + torch.arange(k)).flatten(1)  # (sets, keep·k)
            G = problem.gram[columns[:, :, None], columns[:, None, :]]
            B = problem.cross[columns]  # (sets, keep·k, outputs)
            eye = 1e-12 * problem.gram.diagonal().mean() * torch.eye(G.shape[1], dtype=G.dtype)
            fall = (B * torch.linalg.solve(G + eye, B)).sum((1, 2))
            least = min(least, problem.energy.sum().item() - fall.max().item())
        best.append(max(least, 0.0))
    return best


def bounds(problem: LeastSquares, n: int, k: int) -> list[float]:
    """Error of the best approximation of Y of rank r·k, which no r channels can beat."""
    # XW for the best W: its singular values squared are the eigenvalues of BᵀG⁺B
    explained = problem.cross.T @ torch.linalg.lstsq(problem.gram, problem.cross, driver="gelsd")[0]
    values = torch.linalg.eigvalsh((explained + explained.T) / 2).flip(0).clamp(min=0)
    rest = max((problem.energy.sum() - values.sum()).item(), 0.0)
    return [rest + values[keep * k :].sum().item() for keep in range(1, n + 1)]


def curves(layer: Layer) -> dict[str, list[float]]:
    """Relative error with 1 … n channels left: the bound, the optimum, greedy, exchanges, L1."""
    n, k = layer.n, layer.k
    problem = LeastSquares.from_moments(layer.moments, layer.weights, ridge=0.0)

    def path(elimination: pk.Elimination) -> list[float]:
        kept = [elimination.kept_at(keep) for keep in range(1, n + 1)]
        return [problem.error(problem.solve(columns_of(ids, k))) for ids in kept]

    options = {"weights": layer.weights, "ridge": 0.0}
    loudness = layer.weights.view(n, -1).abs().sum(1)
    found = {
        "SVD bound": bounds(problem, n, k),
        "best set": best_errors(problem, n, k),
        "greedy": path(pk.eliminate(layer.moments, k, **options)),
        "greedy + exchanges": path(pk.eliminate(layer.moments, k, exchanges=EXCHANGES, **options)),
        "least weights first": path(pk.Elimination(loudness.argsort())),
    }
    whole = problem.energy.sum().item()
    return {name: [error / whole for error in errors] for name, errors in found.items()}


def at(errors: list[float], removed: float) -> float:
    """The error when this fraction of the channels is removed."""
    return errors[max(1, round(len(errors) * (1 - removed))) - 1]


def table(found: dict[str, list[dict[str, list[float]]]]) -> str:
    """How often greedy is optimal, and by how much it misses otherwise."""
    rows = [("layers", "removed", "way", "optimal", "median ratio", "mean", "worst", "SVD bound")]
    for kind, layers in found.items():
        for removed in (0.25, 0.5, 0.75):
            for way in ("greedy", "greedy + exchanges", "least weights first"):
                pairs = [(at(c[way], removed), at(c["best set"], removed)) for c in layers]
                ratios = [got / best for got, best in pairs if best > 1e-9]
                equal = sum(got <= best * (1 + 1e-6) + 1e-12 for got, best in pairs)
                bound = [
                    at(c["SVD bound"], removed) / max(b, 1e-12)
                    for c, (_, b) in zip(layers, pairs, strict=True)
                ]
                cells = (
                    f"{equal} of {len(pairs)}",
                    *(f"{f(ratios):.3f}" for f in (median, mean, max)),
                )
                rows.append((kind, f"{removed:.0%}", way, *cells, f"{median(bound):.2f}"))
    return text_table(rows, "<><>>>>>")


def draw(found: dict[str, list[dict[str, list[float]]]], names: list[str]) -> Figure:
    """On the left each layer's greedy set beside the best; on the right greedy's worst case."""
    with matplotlib.rc_context(style.STYLE):
        figure = Figure(figsize=(10, 4), layout="constrained")
        left, right = figure.subplots(1, 2)
        ends: list[float] = []
        for (kind, layers), marker, size in zip(found.items(), "o^", (14, 34), strict=True):
            points = [(at(c["best set"], 0.5), at(c["greedy"], 0.5)) for c in layers]
            left.scatter(*zip(*points, strict=True), size, marker=marker, label=kind, alpha=0.7)
            ends += [value for point in points for value in point if value > 1e-3]
        ends = [min(ends), max(ends)]
        left.plot(ends, ends, color=style.GREY, marker="", zorder=0, linewidth=1)
        left.set(xscale="log", yscale="log", xlabel="error of the best set")
        left.set_ylabel("error of REAP's set")
        for axis in (left.xaxis, left.yaxis):
            axis.set_major_locator(FixedLocator([0.02, 0.05, 0.1, 0.2]))
            axis.set_major_formatter(ScalarFormatter())
            axis.set_minor_locator(NullLocator())
        left.legend()
        style.headline(left, "Half of the channels removed")
        misses = [max(_ratios(layer)) for layer in found["real"]]
        worst = misses.index(max(misses))
        for way, errors in found["real"][worst].items():
            line = {"SVD bound": "--", "best set": ":"}.get(way, "-")
            wide = {"best set": 4}.get(way, 1.5)
            right.plot(range(1, len(errors) + 1), errors, line, linewidth=wide, label=way)
        right.set(xlabel="channels left", ylabel="relative error of Y")
        right.legend()
        style.headline(right, f"Where greedy misses most:\n{names[worst]}")
    return figure


def _ratios(layer: dict[str, list[float]]) -> list[float]:
    """Error of greedy over error of the best set, wherever that is not zero."""
    pairs = zip(layer["greedy"], layer["best set"], strict=True)
    return [got / best for got, best in pairs if best > 1e-6]


def main() -> None:
    layers = {"random": list(random_layers()), "real": list(real_layers())}
    total = [(kind, layer) for kind, found in layers.items() for layer in found]
    found: dict[str, list[dict[str, list[float]]]] = {kind: [] for kind in layers}
    for kind, layer in tqdm(total, desc="layers"):
        found[kind].append(curves(layer))
    print(f"\nerror of a set / error of the best set, {RANDOM} random and {REAL} real layers\n")
    print(table(found))
    draw(found, [layer.name for layer in layers["real"]]).savefig(FOLDER / "optimum.png", dpi=110)


if __name__ == "__main__":
    main()
