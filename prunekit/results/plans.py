"""Plans: what was cut out of a network, as data, to be read as text and replayed on any copy."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from prunekit.network import surgery
from prunekit.network.given import copied, unwrapped
from prunekit.results import schema
from prunekit.results.report import Row

__all__ = ["FORMAT", "Plan", "plan_of", "replay"]

FORMAT = 1  # raise it with every field that an older prunekit must not overlook

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Plan(Mapping[str, tuple[int, ...]]):
    """What was pruned: {site name: ids of the channels that stay}, with all that a replay needs.

    Only sites that lost channels are in it; two plans are equal when they keep the same channels.
    Whatever else a cut has to change in a network is one more field here, filled in by `plan_of`
    and carried out by `replay`.

    Attributes
    ----------
    kept : {site name: ids of the channels that stay, in the original numbering}
    channels : {site name: how many channels there were}
    cuts : {module: {"in" or "out": indices that go, in the original numbering}}; a count that the
        module keeps of them (`surgery.Cut`) shrinks by as many
    added : {parameter: its shape}: biases that the original did not have
    shapes : {name: shape} of everything in the original's state dict: what a plan fits
    """

    kept: dict[str, tuple[int, ...]]
    channels: dict[str, int]
    cuts: surgery.Indices
    added: dict[str, Shape]
    shapes: dict[str, Shape]

    def __getitem__(self, site: str) -> tuple[int, ...]:
        return self.kept[site]

    def __iter__(self) -> Iterator[str]:
        return iter(self.kept)

    def __len__(self) -> int:
        return len(self.kept)

    def __repr__(self) -> str:
        widths = (f"{n} {self.channels[n]} → {len(ids)}" for n, ids in self.kept.items())
        return f"Plan({', '.join(widths)})"

    def to_json(self) -> str:
        """The plan as text, one line per site, module and shape."""
        from prunekit import __version__

        content = {
            "format": FORMAT,
            "prunekit": __version__,
            "sites": {n: {"channels": self.channels[n], "kept": k} for n, k in self.kept.items()},
            "cuts": self.cuts,
            "added": self.added,
            "shapes": self.shapes,
        }
        parts = [f"{json.dumps(key)}: {_lines(value)}" for key, value in content.items()]
        return "{\n" + ",\n".join(parts) + "\n}"

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Read back what `to_json` wrote; anything else is a ValueError."""
        try:
            content = schema.read_json(text)
            version, writer = content.get("format"), content.get("prunekit")
            if type(version) is not int:
                raise ValueError(f"format must be a whole number, got {version!r:.40}")
            if version <= FORMAT:
                schema.check_plan(content)
        except (ValueError, TypeError) as error:
            raise ValueError(f"the plan cannot be read ({error}): save the network again") from None
        if version > FORMAT:
            raise ValueError(
                f"the plan has format {version}, written by prunekit {writer!s:.20}; this prunekit "
                f"reads up to format {FORMAT}: upgrade prunekit"
            )
        sites = content["sites"].items()
        return cls(
            {name: tuple(site["kept"]) for name, site in sites},
            {name: site["channels"] for name, site in sites},
            content["cuts"],
            {name: tuple(shape) for name, shape in content["added"].items()},
            {name: tuple(shape) for name, shape in content["shapes"].items()},
        )


def _lines(value: Any) -> str:
    """JSON with one line per entry of the outer dict."""
    if not isinstance(value, dict):
        return json.dumps(value)
    entries = (f"  {json.dumps(key)}: {json.dumps(entry)}" for key, entry in value.items())
    return "{\n" + ",\n".join(entries) + "\n}" if value else "{}"


def plan_of(
    before: nn.Module, after: nn.Module, rows: Iterable[Row], cuts: surgery.Indices
) -> Plan:
    """The plan that led from ``before`` to ``after``, with the rows of the report about it."""
    pruned = [row for row in rows if row.channels_after < row.channels_before]
    shapes, own = _shapes(before), {name for name, _ in before.named_parameters()}
    added = {n: tuple(p.shape) for n, p in after.named_parameters() if n not in own}
    kept = {row.name: row.kept for row in pruned}
    return Plan(kept, {row.name: row.channels_before for row in pruned}, cuts, added, shapes)


def replay(model: nn.Module, plan: Plan) -> nn.Module:
    """Cut what a plan says out of a copy of ``model``; kept weights stay, added biases are zero.

    Parameters
    ----------
    model : an original network, with the architecture that the plan was made for; not touched
    plan : of a `prunekit.PruningResult`, or what `prunekit.results.files.read` found in a file

    Returns
    -------
    a new network, in the mode of ``model``; neither tracing nor data is needed for it

    Raises
    ------
    TypeError, ValueError
        No network, no plan, or another architecture; the message names what does not fit.
    """
    if not isinstance(plan, Plan):
        raise TypeError(f"plan must be a prunekit.results.plans.Plan, got {type(plan).__name__}")
    model = unwrapped(model)
    _check_fit(model, plan)
    schema.check_cuts(model, plan.cuts)
    pruned = copied(model)
    try:
        surgery.cut_out(pruned, plan.cuts)
    except Exception as error:  # of foreign code, or of a plan that says what was never done
        what = f"{type(error).__name__}: {str(error):.200}"
        raise ValueError(f"the plan cannot be carried out on this network ({what})") from error
    schema.check_added(pruned, plan.added)
    for name, shape in plan.added.items():
        owner, _, leaf = name.rpartition(".")
        layer = pruned.get_submodule(owner)
        value = nn.Parameter(layer.weight.new_zeros(shape), layer.weight.requires_grad)
        layer.register_parameter(leaf, value)
    return pruned


def _shapes(model: nn.Module) -> dict[str, Shape]:
    return {n: tuple(v.shape) for n, v in model.state_dict().items() if isinstance(v, Tensor)}


def _check_fit(model: nn.Module, plan: Plan) -> None:
    """Refuse a network that is not the original of a plan, naming what does not fit."""
    own, want = _shapes(model), plan.shapes
    wrong = [f"{n} is missing" for n in want if n not in own]
    wrong += [
        f"{n} is {own[n]}, expected {want[n]}" for n in want if own.get(n, want[n]) != want[n]
    ]
    wrong += [f"{n} is not expected" for n in own if n not in want]
    if not wrong:
        return
    cure = "give a network built like the one that was pruned"
    narrower = [n for n in want if n in own and own[n] != want[n]]
    if narrower and all(n in own and _within(own[n], want[n]) for n in want):
        cure = "it looks pruned already: give the original network"
    more = f" and {len(wrong) - 4} more" if len(wrong) > 4 else ""
    raise ValueError(f"the network does not fit the plan: {'; '.join(wrong[:4])}{more}; {cure}")


def _within(shape: Shape, other: Shape) -> bool:
    return len(shape) == len(other) and all(a <= b for a, b in zip(shape, other, strict=True))
