"""Is a site what the marks say it is? Channels removed must act exactly as channels silenced.

Two things are looked at, for all sites at once. On the stage, where layers say what they are told,
every layer of the cut network must take what it took before, less the channels that went: that does
not depend on any weight, so channels that are silent today are no exception. And on the user's own
example, the cut network must say what the network says whose layers take nothing of those channels.
Where something is amiss, the sites are halved until it is known which of them it is.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from prunekit.network import surgery
from prunekit.network.inputs import Inputs, call, device_of, flat_outputs
from prunekit.network.numbers import kind_of, with_numbers
from prunekit.network.sites import Site
from prunekit.network.stage import Script, Stage, axis, plain_paths
from prunekit.network.state import undone

__all__ = ["differs", "verified"]

Check = Callable[[Sequence[Site]], str | None]

DIFFERENT = (
    "removing channels does not act as silencing them: a norm, softmax or shuffle sees how many "
    "there are; a batch norm, or an order of its own for each channel, would let them go"
)
OUTPUTS = "its channels are outputs of the network"


def verified(
    stage: Stage, script: Script, model: nn.Module, example: Inputs, sites: Sequence[Site]
) -> list[Site]:
    """The sites, with a reason for those that are not what the marks say.

    Parameters
    ----------
    stage, script : of the network, as the marks saw it
    model, example : a copy in the best precision that there is, and the user's example
    """
    try:
        script = stage.loosened(script)
    except Exception:  # of foreign code, which may go another way then
        pass

    def on_stage(some: Sequence[Site]) -> str | None:
        tried = (_on_stage(stage, script, surgery.merged(gone)) for gone in _some(some))
        return next(filter(None, tried), None)

    def in_earnest(some: Sequence[Site]) -> str | None:
        tried = (_in_earnest(model, example, gone) for gone in _some(some)[1:])
        return next(filter(None, tried), None)

    sites = _counted(stage, sites, on_stage)
    passed = [site for site in sites if site.reason is None]
    reasons = _guilty(in_earnest, passed)
    return [replace(site, reason=reasons.get(site, site.reason)) for site in sites]


def _counted(stage: Stage, sites: Sequence[Site], check: Check) -> list[Site]:
    """The sites, refused where a check fails, and no number that a module keeps sets it right."""
    if not sites or check(sites) is None:
        return list(sites)
    alike: dict[str, list[int]] = {}
    for i, site in enumerate(sites):
        alike.setdefault(kind_of(stage.model, site), []).append(i)
    found = list(sites)
    for ids in alike.values():
        some = [sites[i] for i in ids]
        if check(some) is None:
            continue
        better = with_numbers(stage.model, some, check) or some
        reasons = _guilty(check, better)
        for i, site in zip(ids, better, strict=True):
            found[i] = replace(site, reason=reasons.get(site))
    passed = [site for site in found if site.reason is None]
    reasons = _guilty(check, passed)
    return [replace(site, reason=reasons.get(site, site.reason)) for site in found]


def _guilty(check: Check, sites: Sequence[Site]) -> dict[Site, str]:
    """Which sites fail a check that others pass."""
    reason = check(sites) if sites else None
    if reason is None:
        return {}
    if len(sites) == 1:
        return {sites[0]: reason}
    half = len(sites) // 2
    found = _guilty(check, sites[:half]) | _guilty(check, sites[half:])
    rest = [site for site in sites if site not in found]
    if not found:  # they fail together only: the last one stays out
        return {rest[-1]: reason} | _guilty(check, rest[:-1])
    return found | _guilty(check, rest)


def _some(sites: Sequence[Site]) -> list[dict[Site, list[int]]]:
    """Channels to try: of each site the first half, the last half, and a half in no order.

    In the last of them every other part of a layer loses one fewer: parts may go in step only.
    """
    dice, parts = torch.Generator().manual_seed(0), Counter()
    some: list[dict[Site, list[int]]] = [{}, {}, {}]
    for site in sites:
        n, half = site.channels, site.channels // 2
        order = torch.randperm(n, generator=dice).tolist()
        fewer = half - parts[site.producers[0]] % 2
        some[0][site], some[1][site], some[2][site] = (
            [*range(half)],
            [*range(half, n)],
            order[:fewer],
        )
        parts.update(site.producers)
    return some


def _on_stage(stage: Stage, script: Script, cuts: surgery.Indices) -> str | None:
    """What is wrong with a cut network whose layers say what those of the intact one say."""

    def rest(name: str, side: str, values: Tensor) -> Tensor:
        """What is left of what a layer of the intact network takes or gives."""
        ids = cuts.get(name, {}).get(side if name in stage.layers else "out", ())
        dim = axis(stage.model.get_submodule(name), values)
        kept = sorted({*range(values.shape[dim])} - {*ids})
        return values.index_select(dim, torch.tensor(kept, device=values.device)) if ids else values

    wrong: list[str] = []

    def take(name: str, number: int, values: Tensor) -> None:
        if differs(values, rest(name, "in", script.taken[name][number])):
            wrong.append(name)

    try:
        with _restored(stage.model, cuts):
            surgery.cut_out(stage.model, cuts)
            outputs = stage.play(lambda n, i: rest(n, "out", script.given[n][i]).clone(), take)
    except Exception as error:  # any failure of foreign code means: leave this site alone
        return _failing(error)
    if any(differs(a, b) for a, b in zip(outputs, script.outputs, strict=True)):
        return OUTPUTS
    return DIFFERENT if wrong else None


def _failing(error: Exception) -> str:
    said = f"{type(error).__name__}: {str(error).partition(chr(10))[0]:.90}"
    return f"the network fails without a channel ({said}): let forward() take sizes from its layers"


def _in_earnest(model: nn.Module, example: Inputs, gone: dict[Site, list[int]]) -> str | None:
    """What is wrong with the answers of a cut network on the user's example."""
    cuts = surgery.merged(gone)

    def answers(change: Callable[..., None], *args: object) -> list[Tensor]:
        with _restored(model, cuts), undone(model.modules()), torch.no_grad():
            change(model, *args)
            with plain_paths(device_of(model)):
                return flat_outputs(call(model, example))

    intact = answers(lambda model: None)
    silent = answers(surgery.silence, gone)
    try:
        cut = answers(surgery.cut_out, cuts)
    except Exception as error:
        return _failing(error)
    if [t.shape for t in silent] != [t.shape for t in cut]:
        return OUTPUTS
    different = any(differs(c, s, i) for c, s, i in zip(cut, silent, intact, strict=True))
    return DIFFERENT if different else None


def differs(one: Tensor, other: Tensor, before: Tensor | None = None, slack: float = 1.0) -> bool:
    """Whether two results differ by more than roundings, of what changed from ``before`` too.

    ``slack`` times more is allowed where roundings have gone through many layers.
    """
    if one.shape != other.shape:
        return True
    if torch.equal(one, other) or not one.is_floating_point():
        return not torch.equal(one, other)
    eps = torch.finfo(one.dtype).eps
    change = _largest(other if before is None else other - before)
    few = slack * (eps**0.5 * change + 1e2 * eps * _largest(other))
    return not torch.allclose(one, other, rtol=eps**0.5, atol=few, equal_nan=True)


def _largest(values: Tensor) -> float:
    values = values[values.isfinite()].abs()
    return values.max().item() if values.numel() else 0.0


@contextmanager
def _restored(model: nn.Module, cuts: surgery.Indices) -> Iterator[None]:
    """What is cut and silenced inside is whole again afterwards."""
    modules = [model.get_submodule(name) for name in cuts]
    weights = {p: p.clone() for m in modules for p in m._parameters.values() if p is not None}
    with undone(modules):
        yield
    for weight, value in weights.items():
        weight.copy_(value)
