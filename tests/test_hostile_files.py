"""Files that are damaged, or made to do harm: each ends in a ValueError that names it and a cure.

Whatever is changed in a file, either the very network that was saved comes back, or that error.
"""

import dataclasses
import json
import os
import pickle
import random
import tracemalloc
import zipfile

import pytest
import torch

import prunekit as pk
from prunekit.results import files, plans

from .networks import chain
from .test_plans import path, pruned, result, same  # noqa: F401, F811

CURES = (
    "save it again",
    "save the network again",
    "give the file of",
    "give a network built",
    "upg",
)
CURES += ("convert it first", "was the network changed", "one has to stay", "which the network has")
CURES += ("which the plan cuts", "cannot be carried out", "give the original")
MOST = 20e6  # bytes that may be allocated on the way to a refusal


def refused(path):  # noqa: F811
    """The message, if a file is refused as it should be; or the network that came back."""
    tracemalloc.start()
    try:
        loaded = pk.load(chain(), path)
    except ValueError as error:
        assert str(path) in str(error) or "plan" in str(error), error
        assert any(cure in str(error) for cure in CURES), error
        return str(error)
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < MOST
    return loaded


def test_flipped_bits(path, result):  # noqa: F811
    """One anywhere: it is noticed, or it was in what says nothing, such as a date."""
    whole, dice = path.read_bytes(), random.Random(0)
    for place in dice.sample(range(len(whole)), 250):
        content = bytearray(whole)
        content[place] ^= 1 << dice.randrange(8)
        path.write_bytes(content)
        loaded = refused(path)
        assert isinstance(loaded, str) or same(loaded, result.model), place


def test_bytes_in_the_pickle_that_the_checksum_was_made_for(path, result):  # noqa: F811
    """Somebody who changes the pickle can change its checksum, too."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    dice, name = random.Random(1), next(name for name in entries if name.endswith("data.pkl"))
    for _ in range(150):
        content = bytearray(entries[name])
        content[dice.randrange(len(content))] = dice.randrange(256)
        repacked(path, entries | {name: bytes(content)})
        refused(path)  # or it holds other numbers, which nobody can know


def repacked(path, entries, compression=zipfile.ZIP_STORED):  # noqa: F811
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    "packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=str
)
def test_packed_entries_are_not_unpacked(path, packing):  # noqa: F811
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    repacked(path, entries, packing)
    assert isinstance(refused(path), str)
    repacked(path, {"archive/data.pkl": bytes(2**26)}, packing)
    assert isinstance(refused(path), str)


def test_entries_that_claim_more_than_there_is(path):  # noqa: F811
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02")  # the last entry of the central directory
    for field in (20, 24):  # its packed size, and its size
        changed = content.copy()
        changed[at + field : at + field + 4] = (2**31).to_bytes(4, "little")
        path.write_bytes(changed)
        assert isinstance(refused(path), str)


class Calls:
    """A pickle that calls a function."""

    def __init__(self, function, *arguments):
        self.answer = function, arguments

    def __reduce__(self):
        return self.answer


STORAGE = torch.UntypedStorage(16)
BOMBS = {
    "bytes": lambda: Calls(bytearray, 10**13),
    "a tensor of 40 TB": lambda: Calls(torch.zeros, 10**13),
    "a storage": lambda: Calls(torch.UntypedStorage, 10**8),
    "a typed storage": lambda: Calls(torch.FloatStorage, 10**8),
    "a set": lambda: Calls(set, [1]),
    "a folder": lambda: Calls(os.mkdir, "exploded"),
    "a class": lambda: chain(),
    "sparse": lambda: torch.ones(3).to_sparse(),
    "meta": lambda: torch.empty(10**13, device="meta"),
    "nested lists": lambda: nested(5000),
}


TRICKS = {  # kinds of storage that are called all the same
    "at once": b"ctorch\nFloatStorage\nJ\x00\x00\x00\x10\x85R",
    "kept, and called later": b"ctorch\nFloatStorage\nq\x00X\x01\x00\x00\x00ah\x00M\xff\x00\x85R",
    "kept twice": b"ctorch\nFloatStorage\nq\x00q\x01X\x01\x00\x00\x00ah\x01M\xff\x00\x85R",
    "behind a name that goes": b"ctorch\nFloatStorage\nX\x01\x00\x00\x00a0M\xff\x00\x85R",
    "kept arguments": b"M\xff\x00\x85q\x05ctorch\nFloatStorage\nh\x05R",
    "doubled": b"ctorch\nFloatStorage\n2M\xff\x00\x85R",
}


@pytest.mark.parametrize("trick", TRICKS)
def test_kinds_of_storage_are_never_called(path, trick):  # noqa: F811
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in entries if name.endswith("data.pkl"))
    repacked(path, entries | {name: b"\x80\x02" + TRICKS[trick] + b"."})
    assert "it asks for " in refused(path)


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("place", ["plan", "state", "beside", "within"])
def test_pickles_call_for_nothing(path, result, tmp_path, bomb, place, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    content = {"plan": result.plan.to_json(), "state": result.model.state_dict()}
    if place == "within":
        content["state"]["0.weight"] = BOMBS[bomb]()
    else:
        content[place] = BOMBS[bomb]()
    try:
        torch.save(content, path)
    except RecursionError:
        pytest.skip("this pickle cannot be made")
    said = refused(path)
    assert isinstance(said, str) and not os.path.exists("exploded")
    assert "it asks for " in said


def test_a_storage_that_is_smaller_than_its_tensor(path):  # noqa: F811
    """Numbers of the pickle that belong to the archive's entries."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in entries if name.endswith("data.pkl"))
    size = b"K" + bytes([108])  # of 0.weight, (4, 3, 3, 3)
    for huge in (
        b"J" + (2**31 - 1).to_bytes(4, "little"),
        b"\x8a\x06" + (10**13).to_bytes(6, "little"),
    ):
        assert size in entries[name]
        repacked(path, entries | {name: entries[name].replace(size, huge, 1)})
        assert isinstance(refused(path), str)


HOSTILE = [  # values that no plan holds, wherever they stand
    *(None, True, -1, 1.5, 10**13, 10**400, "text", "", [], {}, [[]], [None], [True], [-1], [0, 0]),
    *([10**13], [1.0], ["0"], {"in": [0]}, {"__class__": [0]}, {"forward": [0]}, {"training": [0]}),
    *({"weight:0": [0]}, {"weight:9": [0]}, {"weight:x": [0]}, {"bias:0": [0, 1, 2, 3]}),
    *({"out": [0, 1, 2, 3, 4, 5, 6, 7]}, {"out": [99]}, {"out": [1, 0]}, {"nothing": [0]}),
]


def entries_of(value, at=()):
    """Every place in a plan."""
    yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from entries_of(inner, (*at, key))
    elif isinstance(value, list) and value:
        yield (*at, 0)


def changed(content, at, value):
    copy = json.loads(json.dumps(content))
    if not at:
        return value
    *above, last = at
    inner = copy
    for key in above:
        inner = inner[key]
    inner[last] = value
    return copy


def test_hostile_plans(path, result):  # noqa: F811
    """Every entry, replaced by every hostile value; and every name."""
    content = json.loads(result.plan.to_json())
    assert plans.Plan.from_json(json.dumps(content)) == result.plan
    for at in entries_of(content):
        for value in HOSTILE:
            tried(changed(content, at, value), at, value)
    for key in ("sites", "cuts", "added", "shapes"):
        for name in ("nowhere", "", "0.", "..", "0.weight", "0.__class__", "forward", "9.bias"):
            for value in (*content[key].values(), {"out": [0]}, {"in": [0]}, [4]):
                tried(changed(content, (key,), content[key] | {name: value}), key, name)


def tried(content, *what):
    """A plan is refused, or cuts no more than a network has."""
    try:
        small = plans.replay(chain(), plans.Plan.from_json(json.dumps(content)))
    except ValueError as error:
        assert "plan" in str(error), what
    else:
        assert all(p.numel() <= 1000 for p in small.parameters()), what


@pytest.mark.parametrize(
    ("name", "sides"),
    [
        ("nowhere", {"out": [0]}),
        ("0", {"out": [99]}),
        ("0", {"out": [*range(8)]}),
        ("0", {"out": []}),
        ("0", {"weight:9": [0]}),
        ("0", {"weight:x": [0]}),
        ("0", {"forward": [0]}),
        ("0", {"training": [0]}),
        ("2", {"out": [0]}),
        ("2", {"_hooks": [0]}),
    ],
)
def test_cuts_of_what_is_not_there(result, name, sides):  # noqa: F811
    plan = dataclasses.replace(result.plan, cuts=result.plan.cuts | {name: sides})
    with pytest.raises(ValueError, match="which the plan cuts|one has to stay"):
        plans.replay(chain(), plan)


@pytest.mark.parametrize(
    "text", ["[" * 10**6, '{"a":' * 10**6, "NaN", "1" * 10**5, '{"format": 1}', '{"format": 1e999}']
)
def test_text_that_is_no_plan(path, text):  # noqa: F811
    with pytest.raises(ValueError, match="plan cannot be read"):
        plans.Plan.from_json(text)
    torch.save({"plan": text, "state": {}}, path)
    assert isinstance(refused(path), str)
    with pytest.raises(ValueError, match="plan cannot be read"):
        files.read(path)


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_every_protocol(tmp_path, protocol):
    content = {"plan": "{}", "state": {}, "more": Calls(os.getcwd)}
    bad = tmp_path / "bad.pt"
    repacked(bad, {"archive/data.pkl": pickle.dumps(content, protocol), "archive/version": b"3"})
    assert isinstance(refused(bad), str)


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")
def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", "/dev/zero", "/dev/null"):
        with pytest.raises(ValueError, match="path.*device or a pipe"):
            pk.load(chain(), place)


@pytest.mark.filterwarnings("ignore:Casting complex")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.complex64], ids=str)
def test_what_is_saved_is_let_through(tmp_path, dtype):
    def fresh():
        net = chain()
        net.register_buffer("odd", torch.ones(3).to(torch.float8_e4m3fn))
        net.register_buffer("counts", torch.ones(3).to(torch.uint16))
        net.register_buffer("more", torch.ones(3).to(dtype))
        net.register_parameter("tied", net[9].bias)
        return net

    small = pruned(fresh())
    pk.save(small, tmp_path / "small.pt")
    loaded, want = (m.state_dict() for m in (pk.load(fresh(), tmp_path / "small.pt"), small.model))
    assert loaded.keys() == want.keys()
    assert all(torch.equal(loaded[name].double(), want[name].double()) for name in want)


@pytest.mark.parametrize("odd", [torch.ones(3).to_sparse(), torch.empty(3, device="meta")], ids=str)
def test_what_could_not_be_loaded_is_not_saved(result, tmp_path, odd):  # noqa: F811
    net = chain()
    net.register_buffer("odd", odd)
    with pytest.raises(ValueError, match="result.model keeps odd in its state dict"):
        pk.save(pk.PruningResult(net, result.report, result.plan), tmp_path / "small.pt")
