"""The walk and its passes, against plain passes: the same numbers, and nothing left behind."""

import copy
import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import prunekit as pk
from prunekit.network import memory, walk
from prunekit.network.behind import Behind
from prunekit.network.finding import find_sites
from prunekit.network.inputs import call
from prunekit.network.layers import consumer_inputs
from prunekit.network.marking import layers_to_refit
from prunekit.network.passes import Pass
from prunekit.network.recording import record
from prunekit.network.survey import Survey
from prunekit.network.turn import Turn
from prunekit.network.walk import Walk

from .networks import chain
from .zoo import ZOO

IMAGES = torch.randn(24, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class KeepsThings(nn.Module):
    """Stores on ``self`` what a later line of forward() reads, adds in place, catches errors."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.c = nn.Linear(8, 4)

    def forward(self, x):
        self.kept = F.relu(self.a(x), inplace=True)
        try:
            y = F.relu_(self.b(self.kept))
        except Exception:
            y = torch.zeros_like(self.kept)
        y += self.kept
        return self.c(y.mean((2, 3)))


class Dice(nn.Module):
    """Draws random numbers between its layers."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 2)

    def forward(self, x):
        x = torch.relu(self.a(x)) + torch.randn(len(x), 5)
        return self.c(F.dropout(torch.relu(self.b(x)), 0.3, training=True))


def seeded(model, batch, seed):
    """A plain pass under given dice."""
    with torch.random.fork_rng([]), torch.no_grad():
        torch.manual_seed(seed)
        return call(model, batch)


NETWORKS = {
    "chain": (lambda: chain(seed=3), IMAGES, ["0", "3", "7", "9"]),
    "keeps": (KeepsThings, IMAGES, ["a", "b", "c"]),
    "dice": (Dice, torch.randn(24, 6), ["a", "b", "c"]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_passes_side_by_side_give_what_plain_passes_give(name):
    make, inputs, names = NETWORKS[name]
    model = make().eval()
    batches = inputs.split(7)
    layers = dict.fromkeys(names, Behind())
    passes = [Pass(model, layers, b, seed, behind=True) for seed, b in enumerate(batches)]
    try:
        for layer in names:
            for one in passes:
                one.go_to(layer)
        for seed, (one, batch) in enumerate(zip(passes, batches, strict=True)):
            assert torch.equal(one.given, seeded(model, batch, seed))  # the last layer's output
    finally:
        for one in passes:
            one.close()


@pytest.mark.parametrize("memory", [None, 0, 100_000])
@pytest.mark.parametrize("name", NETWORKS)
def test_new_weights_reach_the_passes_that_wait(name, memory):
    """Layer by layer, what each takes and should answer is that of passes from the start."""
    make, inputs, names = NETWORKS[name]
    original, pruned = make().eval(), make().eval()
    pruned.load_state_dict(original.state_dict())
    batches, layers = inputs.split(7), dict.fromkeys(names, 1)
    with Walk(original, pruned, layers, batches, memory=memory) as side_by_side:
        for layer in names:
            pairs = list(side_by_side.pairs(layer))
            for seed, (batch, found) in enumerate(zip(batches, pairs, strict=True)):
                with torch.no_grad():
                    ((taken, _),) = record(pruned, {layer: 1}, batch, seed)[layer]
                    ((before, given),) = record(original, {layer: 1}, batch, seed)[layer]
                for got, want in zip(found, (taken, before, given), strict=True):
                    assert torch.equal(got, want)
            with torch.no_grad():  # in place, while all passes wait in front of it
                pruned.get_submodule(layer).weight.mul_(0.7)
    assert not [thread for thread in threading.enumerate() if "_run" in thread.name]


def test_a_stop_passes_through_a_network_that_catches_exceptions():
    model, reached = KeepsThings().eval(), []
    model.c.register_forward_pre_hook(lambda *_: reached.append("c"))
    with torch.no_grad():
        record(model, {"b": 1}, IMAGES[:2])
    one = Pass(model, {"b": Behind()}, IMAGES[:2], 0, behind=False)
    one.go_to("b")
    one.close()
    assert not reached


def test_each_group_of_a_layer_has_moments_of_its_own():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 4, 1, groups=2)).eval()
    with Walk(model, copy.deepcopy(model), {"0": 1, "1": 1}, [IMAGES]) as side_by_side:
        found = Turn(side_by_side, "1", None, False).layer_moments
    with torch.no_grad():
        taken = model[0](IMAGES)
        both = taken.chunk(2, 1), model[1](taken).chunk(2, 1)
    for moments, *maps in zip(found, *both, strict=True):
        X, Y = (v.double().movedim(1, -1).flatten(0, 2) for v in maps)
        torch.testing.assert_close(moments.gram, X.T @ X, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(moments.cross, X.T @ Y, rtol=1e-5, atol=1e-5)


def passes_made(monkeypatch):
    """Counts the calls of the first layer, over all copies of a network."""
    made = []
    usual = nn.Conv2d.forward

    def forward(self, x):
        if self.in_channels == 3:
            made.append(len(x))
        return usual(self, x)

    monkeypatch.setattr(nn.Conv2d, "forward", forward)
    return made


class Deep(nn.Module):
    """A chain of ``depth`` convolutions."""

    def __init__(self, depth):
        super().__init__()
        widths = [3, *[6] * depth]
        self.layers = nn.ModuleList(
            nn.Conv2d(i, o, 3, padding=1) for i, o in zip(widths, widths[1:], strict=False)
        )
        self.last = nn.Linear(6, 4)

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.last(x.mean((2, 3)))


@pytest.mark.parametrize("depth", [3, 9])
def test_two_passes_for_a_whole_network_whatever_its_depth(monkeypatch, depth):
    torch.manual_seed(0)
    model, images = Deep(depth).eval(), torch.randn(300, 3, 6, 6)
    sites = find_sites(model, images[:1])
    monkeypatch.setattr("prunekit.pipeline.pruning.find_sites", lambda *_, **__: sites)
    made = passes_made(monkeypatch)
    pk.prune(model, images[:1], images, pruning_ratio=0.5, progress=False)
    # what goes through 300 images in hundreds: two passes, and one batch to see what waiting takes;
    # then the last check: the cut network, whose layers all take three channels; and one pass that
    # of the first 200 that tells how much the outputs feel
    assert sum(n for n in made if n == 100) == 2 * 300 + 100 + depth * 300 + 200


def test_an_error_or_an_interrupt_unwinds_every_pass():
    model = KeepsThings().eval()
    before = threading.active_count()
    for error in (RuntimeError, KeyboardInterrupt):
        with (
            pytest.raises(error),
            Walk(model, copy.deepcopy(model), {"a": 1, "b": 1}, IMAGES.split(5)) as waiting,
        ):
            for _ in waiting.pairs("b"):
                assert threading.active_count() > before
                raise error
        assert threading.active_count() == before


def test_an_error_of_the_network_comes_out_as_it_is():
    class Breaks(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x):
            if len(x) == 4:
                raise OSError("the network's own")
            return self.b(self.a(x))

    model, before = Breaks(), threading.active_count()
    batches = [torch.ones(5, 3), torch.ones(4, 3)]
    with (
        pytest.raises(OSError, match="the network's own"),
        Walk(model, copy.deepcopy(model), {"b": 1}, batches, memory=10**9) as waiting,
    ):
        list(waiting.pairs("b"))
    assert threading.active_count() == before


def test_a_layer_that_not_every_batch_calls_is_named():
    class Depends(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x):
            return self.b(self.a(x)) if x.sum() > 0 else self.a(x)

    model = Depends()
    with (
        pytest.raises(ValueError, match="b is called for example_inputs, but not for every"),
        Walk(model, copy.deepcopy(model), {"b": 1}, [torch.ones(1, 3), -torch.ones(1, 3)]) as w,
    ):
        list(w.pairs("b"))


@pytest.fixture
def no_shortcuts():
    """Fused attention runs or not depending on where hooks are, and rounds in another way."""
    usual = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    yield
    torch.backends.mha.set_fastpath_enabled(usual)


@pytest.mark.usefixtures("no_shortcuts")
@pytest.mark.parametrize("name", list(ZOO))
def test_a_walk_through_the_zoo_takes_what_plain_passes_take(name):
    """With unchanged weights every layer takes and answers what a recording shows."""
    entry = ZOO[name]
    model, inputs = entry.make(), entry.inputs(4)
    layers = layers_to_refit(model, inputs, set())
    batches = [inputs, entry.inputs(3)]
    with Walk(model, copy.deepcopy(model), layers, batches, memory=10**9) as side_by_side:
        for layer, calls in layers.items():
            pairs = list(side_by_side.pairs(layer))
            with torch.no_grad():
                plain = [
                    pair
                    for seed, batch in enumerate(batches)
                    for pair in record(model, {layer: calls}, batch, seed)[layer]
                ]
            for (taken, before, given), (x, y) in zip(pairs, plain, strict=True):
                assert torch.equal(taken, x) and torch.equal(before, x) and torch.equal(given, y)


def test_waiting_bytes_of_a_chain_by_hand():
    """In front of each layer wait its input, and the copy that the network was given."""
    model = nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 3))
    batch = torch.ones(8, 4)
    assert memory.waiting_bytes(model, ["0"], batch) == 8 * 4 * 4
    # Sequential keeps one tensor at a time: 8 × 10 numbers of 4 bytes
    assert memory.waiting_bytes(model, ["0", "2"], batch) == 8 * 4 * 4 + 8 * 10 * 4
    assert memory.free_bytes(torch.device("cpu")) > 2**20


def test_a_memory_bound_makes_batches_start_again(monkeypatch):
    """The result is the same, whatever waits."""
    torch.manual_seed(1)
    model, images = Deep(3).double().eval(), torch.randn(250, 3, 6, 6, dtype=torch.float64)
    found = []
    for free in (2**40, 0, 4 * 500_000):
        monkeypatch.setattr(walk, "free_bytes", lambda _, free=free: free)
        found.append(pk.prune(model, images[:1], images, pruning_ratio=0.5, progress=False))
    for other in found[1:]:
        assert other.plan == found[0].plan
        for a, b in zip(found[0].model.parameters(), other.model.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_one_survey_for_all_consumers():
    """One pass of the original gives every consumer's moments, as one-shot products do."""
    entry = ZOO[next(iter(ZOO))]
    model, inputs = entry.make().double(), entry.inputs(5)
    inputs = inputs.double() if isinstance(inputs, torch.Tensor) else inputs
    sites = [s for s in find_sites(model, inputs) if s.reason is None]
    wanted = [taken for site in sites for taken in site.consumer_inputs]
    survey, calls = Survey(model, wanted, [inputs]), []
    hook = model.register_forward_pre_hook(lambda *_: calls.append(1))
    found = [survey.moments(taken) for taken in wanted]
    hook.remove()
    assert wanted and len(calls) == 1
    for taken, moments in zip(wanted, found, strict=True):
        layer = model.get_submodule(taken.name)
        with torch.no_grad():
            said = record(model, {taken.name: taken.calls}, inputs)[taken.name]
            X = torch.cat([consumer_inputs(layer, x, taken.channels.flatten()) for x, _ in said])
        torch.testing.assert_close(moments.gram, X.T @ X)
