"""Pruned networks in files: the plan and the weights, loaded into a fresh original network.

A file is one dict written by ``torch.save``: ``plan`` is JSON text for anybody to read, ``state``
the state dict. Nothing in it is code, so it is read with ``weights_only=True``.
"""

import os
from typing import Any

import torch
from torch import Tensor, nn

from prunekit.network.given import unwrapped
from prunekit.network.ranks import is_first
from prunekit.results.archives import content_of
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
    odd = [name for name, value in state.items() if not _is_plain(value)]
    if odd:
        raise ValueError(
            f"result.model keeps {odd[0]} in its state dict, which is no tensor of plain numbers: "
            "register it as a buffer that is one, or leave it out"
        )
    if not is_first():  # of several processes one writes
        return
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
        No network; a file that is truncated, damaged, foreign, made to do harm or of a newer
        format; an architecture or dtype that does not fit (the message names what), or one
        already pruned.
    """
    plan, state = _read(path)
    fresh_model = unwrapped(fresh_model, "fresh_model")
    try:
        pruned = replay(fresh_model, plan)
    except ValueError as error:
        raise ValueError(f"fresh_model does not go with path {str(path)!r}: {error}") from None
    for name, value in pruned.state_dict().items():
        if name in state and value.dtype != state[name].dtype:
            raise ValueError(
                f"fresh_model has {name} in {value.dtype}, the file in {state[name].dtype}: "
                f"convert it first with fresh_model.to({state[name].dtype})"
            )
    try:
        pruned.load_state_dict(state)
    except Exception as error:  # of torch, or of what modules make of a state dict
        raise ValueError(
            f"path {str(path)!r} holds weights that do not fit its plan; was the network changed "
            f"after pruning? ({error})"
        ) from None
    return pruned


def read(path: str | os.PathLike[str]) -> Plan:
    """The plan in a file that `save` wrote; refuses the files that `load` refuses."""
    return _read(path)[0]


def _is_plain(value: object) -> bool:
    """Whether a value is a tensor of the kind that `load` takes."""
    dense = type(value) is Tensor and value.layout == torch.strided
    return dense and not (value.is_meta or value.is_quantized)


def _read(path: str | os.PathLike[str]) -> tuple[Plan, dict[str, Tensor]]:
    """Plan and state dict of a file; whatever can be wrong with it is named."""
    text, state = content_of(path)
    try:
        return Plan.from_json(text), state
    except ValueError as error:
        raise ValueError(f"path {str(path)!r}: {error}") from None
