"""save, load and replay: the same network bit for bit, and no file that is not one gets through."""

import copy
import json
import os
import pickle
import subprocess
import sys
import zipfile

import pytest
import torch
from torch import nn

import prunekit as pk
from prunekit.results import files, plans

from .networks import TwoInputs, chain

IMAGES = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def pruned(model=None, **kwargs):
    model = chain() if model is None else model
    return pk.prune(model, IMAGES[:1], IMAGES, progress=False, **{"pruning_ratio": 0.5, **kwargs})


@pytest.fixture(scope="module")
def result():
    return pruned()


@pytest.fixture
def path(result, tmp_path):
    pk.save(result, tmp_path / "small.pt")
    return tmp_path / "small.pt"


def same(a, b):
    states = a.state_dict(), b.state_dict()
    return states[0].keys() == states[1].keys() and all(
        torch.equal(value, states[1][name]) for name, value in states[0].items()
    )


@pytest.mark.parametrize("method", ["reap", "l1"])
@pytest.mark.parametrize("bias", [True, False])
def test_a_loaded_network_is_the_saved_one(tmp_path, method, bias):
    result = pruned(chain(bias=bias), method=method)
    pk.save(result, str(tmp_path / "small.pt"))
    fresh = chain(seed=7, bias=bias)
    before = copy.deepcopy(fresh)
    loaded = pk.load(fresh, str(tmp_path / "small.pt"))
    assert same(loaded, result.model) and same(fresh, before)
    assert torch.equal(loaded.eval()(IMAGES), result.model.eval()(IMAGES))
    assert loaded[3].in_channels == 4 and loaded[7].in_features == 12
    assert not os.path.exists(tmp_path / ".small.pt.part") and len(os.listdir(tmp_path)) == 1


IN_A_NEW_PROCESS = """
import sys
import torch
import prunekit as pk
from tests.networks import chain
images = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
loaded = pk.load(chain(seed=9), sys.argv[1])
again = pk.prune(loaded, images[:1], images, pruning_ratio=0.5, progress=False).model.eval()
torch.save([loaded.eval()(images), again(images)], sys.argv[2])
"""


def test_a_new_process_loads_it_and_prunes_on_bit_for_bit(result, path, tmp_path):
    answers = tmp_path / "answers.pt"
    command = [sys.executable, "-c", IN_A_NEW_PROCESS, str(path), str(answers)]
    subprocess.run(command, check=True, timeout=300)
    loaded, again = torch.load(answers)
    here = copy.deepcopy(result.model)
    assert torch.equal(loaded, here.eval()(IMAGES))
    assert torch.equal(again, pruned(result.model).model.eval()(IMAGES))


def test_twice_pruned_networks_load_through_both_files(result, path, tmp_path):
    twice = pruned(result.model)
    pk.save(twice, tmp_path / "twice.pt")
    once = pk.load(chain(seed=3), path)
    assert same(pk.load(once, tmp_path / "twice.pt"), twice.model)
    with pytest.raises(ValueError, match=r"0\.weight is \(8, 3, 3, 3\), expected \(4, 3, 3, 3\)"):
        pk.load(chain(), tmp_path / "twice.pt")


def test_the_file_is_json_and_tensors(result, path):
    content = torch.load(path, weights_only=True)
    plan = json.loads(content["plan"])
    assert plan["format"] == plans.FORMAT and plan["prunekit"] == pk.__version__
    assert plan["sites"]["0"] == {"channels": 8, "kept": list(result.plan["0"])}
    gone = sorted(set(range(8)) - set(result.plan["0"]))
    assert plan["cuts"]["0"] == {"out": gone} and plan["cuts"]["3"]["in"] == gone
    flat = plan["cuts"]["7"]["in"]  # four positions for each channel of the convolution
    assert flat == [4 * c + i for c in plan["cuts"]["3"]["out"] for i in range(4)]
    assert plan["added"] == {"3.bias": [3]} and plan["shapes"]["0.weight"] == [8, 3, 3, 3]
    assert same(content_network(content), result.model)
    assert '"0": {"channels": 8, "kept": [' in content["plan"]  # one line per site


def content_network(content):
    class Holder:
        def state_dict(self):
            return content["state"]

    return Holder()


def test_read_gives_the_plan_back(result, path):
    plan = files.read(path)
    assert plan.to_json() == result.plan.to_json()
    assert plan == result.plan == dict(result.plan) and len(plan) == 3
    assert repr(plan) == "Plan(0 8 → 4, 3 6 → 3, 7 10 → 5)"


def test_a_plan_lists_the_sites_that_lost_channels():
    assert list(pruned(pruning_ratio={"3": 0.5}).plan) == ["3"]
    nothing = pruned(target_macs=1.0, pruning_ratio=None, repair="none")
    assert not nothing.plan and same(plans.replay(chain(), nothing.plan), chain())


@pytest.mark.parametrize("flags", ["train", "frozen", "double"])
def test_replay_gives_the_kept_weights_in_the_state_of_the_network_given(result, flags):
    other = chain(seed=5).train(flags == "train")
    other.requires_grad_(flags != "frozen")
    other = other.double() if flags == "double" else other
    small = plans.replay(other, result.plan)
    kept, before = list(result.plan["0"]), list(result.plan["3"])
    assert torch.equal(small[0].weight, other[0].weight[kept])
    assert torch.equal(small[3].weight, other[3].weight[before][:, kept])
    assert not small[3].bias.any() and small[3].bias.dtype == other[3].weight.dtype
    assert small.training == other.training
    assert {p.requires_grad for p in small.parameters()} == {flags != "frozen"}
    assert [p.shape for p in small.parameters()] == [p.shape for p in result.model.parameters()]


def test_several_inputs_and_depthwise_layers(tmp_path):
    a, b = torch.randn(30, 4), torch.randn(30, 3)
    two = pk.prune(TwoInputs(), (a[:1], b[:1]), [(a, b)], pruning_ratio=0.5, progress=False)
    pk.save(two, tmp_path / "two.pt")
    assert torch.equal(pk.load(TwoInputs(), tmp_path / "two.pt")(a, b), two.model(a, b))
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Conv2d(8, 4, 1))
    deep = pruned(model)
    pk.save(deep, tmp_path / "deep.pt")
    assert deep.model[1].groups == 4
    assert same(pk.load(model, tmp_path / "deep.pt"), deep.model)


def test_training_after_pruning_is_saved_too(tmp_path):
    result = pruned()
    with torch.no_grad():
        result.model[9].bias += 1
    pk.save(result, tmp_path / "small.pt")
    assert same(pk.load(chain(), tmp_path / "small.pt"), result.model)


def test_half_precision_needs_a_half_precision_network(tmp_path):
    result = pruned()
    result.model.bfloat16()
    pk.save(result, tmp_path / "half.pt")
    with pytest.raises(ValueError, match=r"convert it first with fresh_model\.to\(torch\.bfloat16"):
        pk.load(chain(), tmp_path / "half.pt")
    assert same(pk.load(chain().bfloat16(), tmp_path / "half.pt"), result.model)


class Grown(nn.Sequential):
    """The chain with a layer more."""

    def __init__(self):
        super().__init__(*chain(), nn.Linear(4, 4))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            lambda: chain(bias=True),
            "0.bias is not expected; 3.bias is not expected; give a network",
        ),
        (lambda: nn.Linear(3, 4), r"0\.weight is missing.* and 9 more; give a network built like"),
        (Grown, "10.weight is not expected; 10.bias is not expected"),
        (lambda: pruned().model, r"0\.weight is \(4, 3, 3, 3\).*it looks pruned already"),
    ],
)
def test_another_architecture_is_refused_by_name(path, result, network, message):
    model = network()
    for attempt in (lambda: pk.load(model, path), lambda: plans.replay(model, result.plan)):
        with pytest.raises(ValueError, match=message):
            attempt()


def bad_pickle(path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(path) + ".exploded",)

    return Bomb()


def newer(path, **changes):
    content = torch.load(path, weights_only=True)
    plan = json.loads(content["plan"]) | changes
    torch.save({**content, "plan": json.dumps(plan)}, path)


def flip(path):
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        entry = max(
            archive.infolist(), key=lambda info: info.file_size * ("data/" in info.filename)
        )
    content[entry.header_offset + 400] ^= 1
    path.write_bytes(content)


def zipped(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")


SPOIL = {
    "half of it": (lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]), "truncated"),
    "all but a byte": (lambda p: p.write_bytes(p.read_bytes()[:-1]), "truncated"),
    "a flipped bit": (flip, "truncated or damaged"),
    "nothing": (lambda p: p.write_bytes(b""), "not written by prunekit.save"),
    "text": (lambda p: p.write_text("hello"), "not written by prunekit.save"),
    "a zip": (zipped, "not written by prunekit.save"),
    "a tensor": (lambda p: torch.save(torch.rand(3), p), "not written by prunekit.save"),
    "a state dict": (lambda p: torch.save(chain().state_dict(), p), "load_state_dict"),
    "a whole network": (lambda p: torch.save(chain(), p), "not written by prunekit.save"),
    "a pickle": (lambda p: p.write_bytes(pickle.dumps(bad_pickle(p))), "not written by prunekit"),
    "a bomb": (lambda p: torch.save(bad_pickle(p), p), "not written by prunekit.save"),
    "a newer format": (lambda p: newer(p, format=2, prunekit="9.0"), "prunekit 9.0.*upgrade"),
    "no format": (lambda p: newer(p, format=None), "plan cannot be read"),
    "no sites": (lambda p: newer(p, sites=[1]), "plan cannot be read"),
    "no JSON": (lambda p: torch.save({"plan": "x", "state": {}}, p), "plan cannot be read"),
    "other weights": (
        lambda p: torch.save(torch.load(p) | {"state": {}}, p),
        "do not fit its plan",
    ),
}


@pytest.mark.parametrize("how", SPOIL)
def test_a_spoiled_file_is_refused_and_runs_nothing(path, how):
    spoil, message = SPOIL[how]
    spoil(path)
    with pytest.raises(ValueError, match=message) as caught:
        pk.load(chain(), path)
    assert "small.pt" in str(caught.value)
    assert not os.path.exists(str(path) + ".exploded")


def test_paths_that_hold_no_file(result, tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        pk.load(chain(), tmp_path / "nowhere.pt")
    with pytest.raises(ValueError, match="is a folder"):
        pk.load(chain(), tmp_path)
    with pytest.raises(ValueError, match="is a folder: add"):
        pk.save(result, tmp_path)
    with pytest.raises(FileNotFoundError, match="create it first"):
        pk.save(result, tmp_path / "no" / "small.pt")


def test_what_cannot_be_saved_or_replayed(result, tmp_path):
    class Odd(nn.Linear):
        def get_extra_state(self):
            return object()

    with pytest.raises(TypeError, match="result must be what prunekit.prune returned, got Linear"):
        pk.save(nn.Linear(2, 2), tmp_path / "small.pt")
    odd = pk.PruningResult(Odd(2, 2), result.report, result.plan)
    with pytest.raises(ValueError, match="_extra_state"):
        pk.save(odd, tmp_path / "small.pt")
    with pytest.raises(TypeError, match="plan must be a prunekit.results.plans.Plan, got dict"):
        plans.replay(chain(), {"0": (1,)})
    with pytest.raises(TypeError, match="must be a torch.nn.Module, got str"):
        plans.replay("network", result.plan)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_save_leaves_the_old_file(result, path, monkeypatch, error):
    before = path.read_bytes()

    def interrupted(content, file):
        file.write(b"PK half of it")
        raise error

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(error):
        pk.save(result, path)
    assert path.read_bytes() == before and os.listdir(path.parent) == ["small.pt"]
