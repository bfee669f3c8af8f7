"""A leaderboard: methods side by side, with the same images, at the same budgets, in one run.

`compare` is for whoever wrote ten lines and wants to know what they are worth. All that could make
a difference but the method is the same for every row: network, calibration images, test images,
widths, repair.
"""

import inspect
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

import prunekit as pk
from prunekit.classroom.data import ImageSet
from prunekit.classroom.ranking import Leaderboard, Row, ranked
from prunekit.network.calibration import calibration_batches
from prunekit.network.given import frozen_copy
from prunekit.network.inputs import check_example, described, device_of
from prunekit.pipeline.methods import Method, resolve

__all__ = ["compare"]

Entry = str | Method | tuple[str | Method, str] | Mapping[str, Any]
Test = ImageSet | tuple[Tensor, Tensor] | Iterable[tuple[Tensor, Tensor]]
SAME_FOR_ALL = ("pruning_ratio", "target_macs", "max_error", "channels", "progress")
BATCH = 250  # test images that go through a network at once


def compare(
    methods: Iterable[Entry] | Mapping[str, Entry],
    model: nn.Module,
    data: tuple[Any, Test],
    budgets: Sequence[float] = (0.75, 0.5, 0.3),
    *,
    repair: str | None = "network",
    seed: int = 0,
    progress: bool = True,
) -> Leaderboard:
    """Prune ``model`` by every method to every budget, and test each result on the same images.

    Parameters
    ----------
    methods : a list, or a dict {label: entry}. An entry is a name of
        `prunekit.pipeline.methods.METHODS`, a callable from a site's `Statistics` to an
        `Elimination`, a pair (either of them, repair), or a dict of options of `prunekit.prune`
    model : the network; it is not touched
    data : (calibration, test): images without labels as `prunekit.prune` takes them, or an
        `ImageSet`; and an `ImageSet`, a pair (inputs, labels), or batches of them. They should not
        share images
    budgets : fractions of MACs that may stay, each met with one uniform ratio
    repair : of the entries that name none, for otherwise a good repair looks like a good choice;
        None gives each the repair that it comes with
    seed : where torch's random numbers start for every run, for methods that draw some
    progress : show a progress bar

    Returns
    -------
    Leaderboard : print it; ``.rows``, ``.figure()``, ``.to_dataframe()``

    Raises
    ------
    TypeError, ValueError
        Methods, data or budgets that are not as above, before anything is pruned. A method that
        fails later has its error in its row, and the others go on.

    Notes
    -----
    The best of many rows on one test set is a little lucky: confirm a winner on other images.

    Examples
    --------
    >>> from prunekit.classroom import data, leaderboard, models
    >>> def quietest_first(site):
    ...     loudness = site.moments.gram.diagonal().view(site.channels, -1).sum(1)
    ...     return pk.Elimination(loudness.argsort())
    >>> images = data.digits("train").sample(200), data.digits("test")
    >>> board = leaderboard.compare(
    ...     [quietest_first, "l1"], models.mlp(), images, [0.5], progress=False
    ... )
    >>> sorted(board.methods)
    ['l1', 'quietest_first']
    """
    entries, budgets = _entries(methods, repair), _checked_budgets(budgets)
    calibration, test = _checked_data(data)
    example = check_example(test[0][0][:1], model)
    calibration = calibration_batches(calibration, example, model)  # read once, the same for all
    intact = _right(frozen_copy(model), test)
    rows, right = [], {}
    bar = tqdm([(name, at) for at in budgets for name in entries], disable=not progress)
    for name, budget in bar:
        bar.set_description(f"{name} at {budget:g}")
        options = entries[name]
        row = Row(name, resolve(options["method"], options["repair"])[2].name, budget)
        try:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                start = time.perf_counter()
                same = {"target_macs": budget, "distribution": "uniform", "progress": False}
                result = pk.prune(model, example, calibration, **same | options)
            seconds = time.perf_counter() - start
            right[name, budget] = _right(result.model.eval(), test)
        except Exception as error:  # of somebody's ten lines: the others go on
            rows.append(replace(row, error=f"{type(error).__name__}: {error}"))
            continue
        macs, accuracy = result.report.macs_after, _percent(right[name, budget])
        numbers = dict(kept=macs / result.report.macs_before, macs=macs, accuracy=accuracy)
        rows.append(replace(row, seconds=seconds, **numbers))
    macs = pk.count_macs(model, example)
    return Leaderboard(ranked(rows, right), _percent(intact), macs, len(intact), right)


def _entries(methods: Any, repair: str | None) -> dict[str, dict[str, Any]]:
    """{label: options of prune}, all checked as far as they can be without pruning."""
    if isinstance(methods, str) or not isinstance(methods, Iterable):
        raise TypeError(f"methods must be a list or a dict of methods, got {methods!r:.80}")
    if not isinstance(methods, Mapping):
        pairs = [(_label(entry), entry) for entry in methods]
        methods = dict(pairs)
        if len(methods) < len(pairs):
            names = ", ".join(name for name, _ in pairs)
            raise ValueError(f"methods must have labels of their own, got {names}: give a dict")
    if not methods:
        raise ValueError("methods is empty: give one at least, such as 'l1'")
    return {str(name): _options(name, entry, repair) for name, entry in methods.items()}


def _label(entry: Entry) -> str:
    """What an entry of a list is called."""
    if isinstance(entry, Mapping):
        raise TypeError(f"a dict of options needs a label: methods={{'a label': {entry!r}}}")
    method, *repair = entry if isinstance(entry, tuple) else (entry,)
    return " + ".join([method if isinstance(method, str) else resolve(method, None)[0], *repair])


def _options(name: str, entry: Entry, repair: str | None) -> dict[str, Any]:
    """One entry as options of prune."""
    if isinstance(entry, tuple) and len(entry) == 2:
        entry = dict(zip(("method", "repair"), entry, strict=True))
    options = dict(entry) if isinstance(entry, Mapping) else {"method": entry}
    options = {"method": "reap", "repair": repair} | options
    known = set(inspect.signature(pk.prune).parameters) - {"model", "example_inputs", "calibration"}
    if wrong := [key for key in options if key not in known - set(SAME_FOR_ALL)]:
        raise ValueError(
            f"methods[{name!r}] has the options {wrong}: give options of prunekit.prune, but not "
            f"{', '.join(SAME_FOR_ALL)}, which are the same for all"
        )
    try:
        resolve(options["method"], options["repair"])
    except ValueError as error:
        raise ValueError(f"methods[{name!r}]: {error}") from None
    return options


def _checked_budgets(budgets: Any) -> list[float]:
    budgets = list(budgets) if isinstance(budgets, Iterable) else [budgets]
    for at in budgets:
        if isinstance(at, bool) or not isinstance(at, Real) or not 0 < at <= 1:
            raise ValueError(f"budgets are fractions of MACs kept, 0 < b ≤ 1, got {at!r}")
    if not budgets or len(set(budgets)) < len(budgets):
        raise ValueError(f"budgets must be one or more different fractions, got {budgets}")
    return [float(at) for at in budgets]


def _checked_data(data: Any) -> tuple[Any, list[tuple[Tensor, Tensor]]]:
    """Calibration inputs, and the test set as batches of (inputs, labels)."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise TypeError(
            "data must be a pair (calibration, test): images without labels to prune with, and "
            f"images with labels to test on, got {described(data):.200}"
        )
    calibration, test = data
    if isinstance(calibration, ImageSet):
        calibration = calibration.inputs
    if isinstance(test, ImageSet):
        test = test.batches(BATCH)
    elif isinstance(test, tuple | list) and len(test) == 2 and isinstance(test[0], Tensor):
        test = zip(*(part.split(BATCH) for part in test), strict=True)
    batches = list(test) if isinstance(test, Iterable) and not isinstance(test, Tensor) else []
    if not batches or not all(isinstance(b, tuple | list) and len(b) == 2 for b in batches):
        raise TypeError(
            "test must give batches of (inputs, labels): an ImageSet, a pair of tensors or a "
            f"DataLoader, got {described(data[1]):.200}"
        )
    return calibration, batches


@torch.no_grad()
def _right(model: nn.Module, batches: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Which images get their label as the largest output: bool (images,)."""
    device = device_of(model)
    return torch.cat([model(x.to(device)).argmax(1).cpu() == y.cpu() for x, y in batches])


def _percent(right: Tensor) -> float:
    return 100 * right.double().mean().item()
