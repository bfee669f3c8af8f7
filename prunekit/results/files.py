"""Pruned networks in files: the plan and the weights, loaded into a fresh original network.

A file is one dict written by ``torch.save``: ``plan`` is JSON text for anybody to read, ``state``
the state dict. Nothing in it is code, so it is read with ``weights_only=True``.
"""

import os
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prunekit.results.plans import Plan, replay
from prunekit.results.whole import whole

__all__ = ["load", "read", "save"]


def save(result: Any, path: str | os.PathLike[str]) -> None:
    """Write a pruned network to one file: the plan as JSON text, and the state dict.

    Parameters
    ----------
    result : what `prunekit.prune` gave back; its network may have been trained since
    path : of the file, by custom ending in ``.pt``; a file that is there already is replaced, but
        only when the new one is complete

    Raises
    ------
    TypeError, ValueError
        Not such a result, a state dict of more than tensors, a path that is no file's.
    OSError
        No such folder, a place that must not be written to, a disk that is full.
    """
    plan, model = getattr(result, "plan", None), getattr(result, "model", None)
    if not isinstance(plan, Plan) or not isinstance(model, nn.Module):
        raise TypeError(f"result must be what prunekit.prune returned, got {type(result).__name__}")
    state = model.state_dict()
    odd = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if odd:
        raise ValueError(
            f"result.model keeps {odd[0]} in its state dict, which is no tensor: register it as a "
            "buffer, or leave it out"
        )
    with whole(path) as file:
        torch.save({"plan": plan.to_json(), "state": state}, file)


def load(fresh_model: nn.Module, path: str | os.PathLike[str]) -> nn.Module:
    """The pruned network of a file, made from a fresh original one: bit for bit the one saved.

    Parameters
    ----------
    fresh_model : a network as it was before pruning, with any weights; it is not touched. After
        pruning twice this is the once-pruned network, loaded from a file of its own
    path : of a file that `save` wrote

    Returns
    -------
    a new network in the mode of ``fresh_model``, on its device and as frozen as it is; neither
    tracing nor data is needed for it

    Raises
    ------
    TypeError, ValueError, FileNotFoundError
        No network; a file that is truncated, damaged, foreign or of a newer format; an
        architecture or dtype that does not fit (the message names what), or one already pruned.
    """
    plan, state = _read(path)
    pruned = replay(fresh_model, plan)
    for name, value in pruned.state_dict().items():
        if name in state and value.dtype != state[name].dtype:
            raise ValueError(
                f"fresh_model has {name} in {value.dtype}, the file in {state[name].dtype}: "
                f"convert it first with fresh_model.to({state[name].dtype})"
            )
    try:
        pruned.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(
            f"path {str(path)!r} holds weights that do not fit its plan; was the network changed "
            f"after pruning? ({error})"
        ) from None
    return pruned


def read(path: str | os.PathLike[str]) -> Plan:
    """The plan in a file that `save` wrote; refuses the files that `load` refuses."""
    return _read(path)[0]


def _read(path: str | os.PathLike[str]) -> tuple[Plan, dict[str, Tensor]]:
    """Plan and state dict of a file; whatever can be wrong with it is named."""
    path = Path(path)
    where = f"path {str(path)!r}"
    if not path.exists():
        raise FileNotFoundError(f"{where} does not exist")
    if path.is_dir():
        raise ValueError(f"{where} is a folder, expected a file that prunekit.save wrote")
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    foreign = f"{where} was not written by prunekit.save"
    if not zipped:  # text, a pickle, or nothing at all
        raise ValueError(f"{foreign}: give the file of a pruned network")
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()  # torch itself overlooks bits that flipped
    except (zipfile.BadZipFile, EOFError, OSError):
        broken = "its end"
    if broken is not None:
        raise ValueError(f"{where} is truncated or damaged ({broken}): copy or save it again")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        text, state = content["plan"], dict(content["state"])
    except Exception as error:  # whatever a foreign file makes torch.load say
        raise ValueError(
            f"{foreign} ({type(error).__name__}): give the file of a pruned network; a plain state "
            "dict goes through torch.load and load_state_dict"
        ) from None
    try:
        return Plan.from_json(text), state
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
