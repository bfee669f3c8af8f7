"""Archives that nobody vouches for: what `prunekit.save` writes is read, all else refused.

Such a file is a zip archive with a pickle of names and shapes, and the numbers beside it, as they
are. So what is packed, or claims to be more than the file holds, is not of ours; and of all that a
pickle may call, only what puts tensors together is let through, before torch reads it.
"""

import io
import os
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prunekit.results.whole import regular

__all__ = ["content_of"]

STORAGE = "torch.storage UntypedStorage"
CALLS = (
    *("collections OrderedDict", "torch._utils _rebuild_tensor_v2"),
    "torch._utils _rebuild_tensor_v3",
)
STEPS = {  # of a pickle: all that torch.save needs for names, numbers and tensors
    *("PROTO", "STOP", "GLOBAL", "BINPERSID", "REDUCE", "BUILD", "MARK", "NONE", "NEWTRUE"),
    *("NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "EMPTY_DICT", "SETITEM"),
    *("SETITEMS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("BINGET", "LONG_BINGET"),
}


def content_of(path: str | os.PathLike[str]) -> tuple[str, dict[str, Tensor]]:
    """The plan's text and the state dict of a file, or an error with the cure.

    Raises
    ------
    TypeError, ValueError, FileNotFoundError
        No file's path; a file that is damaged, or not one of ours; none.
    """
    place, where = regular(path), f"path {str(path)!r}"
    if not place.exists():
        raise FileNotFoundError(f"{where} does not exist")
    with place.open("rb") as file:
        if file.read(2) != b"PK":  # text, a pickle, or nothing at all
            raise _foreign(where, "it is no archive")
        _check_calls(_pickle_of(file, where, place), where)
        file.seek(0)
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever a foreign file makes torch.load say
            raise _foreign(where, type(error).__name__) from None
    return _checked(content, where)


def _foreign(where: str, what: str) -> ValueError:
    return ValueError(
        f"{where} was not written by prunekit.save ({what}): give the file of a pruned network; a "
        "plain state dict goes through torch.load and load_state_dict"
    )


def _pickle_of(file: io.BufferedReader, where: str, place: Path) -> bytes:
    """The pickle of an archive that is whole, and no larger inside than outside."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            packed = any(e.compress_type != zipfile.ZIP_STORED or e.flag_bits & 1 for e in entries)
            room = sum(max(e.file_size, e.compress_size) for e in entries)
            if packed or room > place.stat().st_size:
                raise _foreign(where, "entries are packed, or overlap")
            broken = archive.testzip()  # torch itself overlooks bits that flipped
            pickles = [e for e in entries if e.filename.endswith("/data.pkl")]
            text = archive.read(pickles[0]) if len(pickles) == 1 and not broken else b""
    except Exception as error:  # a damaged archive makes zipfile say anything
        if isinstance(error, ValueError) and where in str(error):
            raise
        broken = f"{type(error).__name__}: {error}"
    if broken:
        raise ValueError(f"{where} is truncated or damaged ({broken}): copy or save it again")
    if not text:
        raise _foreign(where, "it holds no network")
    return text


def _check_calls(text: bytes, where: str) -> None:
    """Refuse a pickle that does more than put tensors together.

    Kinds of storage are named, but never called: each is followed by the name of an entry.
    """
    try:
        steps = [(code.name, argument) for code, argument, _ in pickletools.genops(text)]
    except Exception as error:  # of a damaged pickle
        raise _foreign(where, type(error).__name__) from None
    last, kept = "", {}  # what was put on the stack, and what the pickle keeps: kinds and words
    for name, argument in steps:
        if name in ("BINPUT", "LONG_BINPUT"):
            kept[argument] = last
            continue
        found = kept.get(argument, "") if name in ("BINGET", "LONG_BINGET") else ""
        found = "word" if name == "BINUNICODE" else found
        if name == "GLOBAL":
            found = _called(argument)
        if name not in STEPS or found == "stranger" or (last == "kind" and found != "word"):
            raise _foreign(where, f"it asks for {str(argument or name):.80}")
        last = found


def _called(name: str) -> str:
    """What a pickle names: a kind of storage, a "stranger", or what may be."""
    module, _, called = name.partition(" ")
    found = getattr(torch, called, None) if module == "torch" else None
    if name == STORAGE or _is_storage(found):
        return "kind"
    return "" if name in CALLS or isinstance(found, torch.dtype) else "stranger"


def _is_storage(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, torch.storage.TypedStorage)


def _checked(content: Any, where: str) -> tuple[str, dict[str, Tensor]]:
    """Plan and state dict, if that is what there is."""
    if not isinstance(content, dict) or {*content} != {"plan", "state"}:
        raise _foreign(where, "it holds something else")
    plan, state = content["plan"], content["state"]
    if not isinstance(plan, str) or not isinstance(state, dict):
        raise _foreign(where, "it holds no plan")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise _foreign(where, "its state dict holds more than tensors")
    return plan, dict(state)
