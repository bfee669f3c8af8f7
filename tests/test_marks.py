"""Structure by marking: who takes which channel, however they come there."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import prunekit as pk

X = torch.randn(24, 3, 6, 6, generator=torch.Generator().manual_seed(0))
ONE = X[:1]


class Between(nn.Module):
    """Two convolutions, b and c, and something between them."""

    def __init__(self, between, n=8, taken=None):
        super().__init__()
        torch.manual_seed(0)
        self.b, self.c = nn.Conv2d(3, n, 3, padding=1), nn.Conv2d(taken or n, 6, 1)
        self.between, self.g = between, nn.Linear(6, 3)

    def forward(self, x):
        return self.g(self.c(self.between(self.b(x)).relu()).relu().mean((2, 3)))


def site(model, name="b", example=ONE, **kwargs):
    return next(s for s in pk.find_sites(model, example, **kwargs) if s.name == name)


def singles(*ids):
    return [[i] for i in ids]


# what happens between → which inputs of c take channel 0, 1, … of b
MOVED = {
    "nothing": (lambda y: y, 8, singles(*range(8))),
    "flip": (lambda y: y.flip(1), 8, singles(*range(7, -1, -1))),
    "y + its flip": (lambda y: y + y.flip(1), 8, [[0, 7], [1, 6], [2, 5], [3, 4]]),
    "pixel shuffle": (lambda y: F.pixel_shuffle(y, 2), 2, singles(0, 1)),
    "detach": (lambda y: y.detach(), 8, singles(*range(8))),
    "behind a constant": (
        lambda y: torch.cat([torch.ones_like(y[:, :2]), y], 1),
        *(10, singles(*range(2, 10))),
    ),
    "a norm of each channel": (nn.GroupNorm(8, 8), 8, singles(*range(8))),
    "a norm over pairs": (nn.GroupNorm(4, 8), 8, [[0, 1], [2, 3], [4, 5], [6, 7]]),
    "channels last and back": (
        lambda y: y.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
        *(8, singles(*range(8))),
    ),
    "clamped in place": (lambda y: y.clamp_(-1, 1), 8, singles(*range(8))),
    "signs": (lambda y: y.sign() * y.abs().sqrt(), 8, singles(*range(8))),
    "one slope for all": (nn.PReLU(), 8, singles(*range(8))),
    "a slope for each": (nn.PReLU(8), 8, singles(*range(8))),
    "signs alone": (lambda y: y.sign(), 8, singles(*range(8))),
    "a norm and its signs": (
        nn.Sequential(nn.BatchNorm2d(8), nn.Hardtanh(0, 1), nn.Threshold(0.5, 0)),
        *(8, singles(*range(8))),
    ),
}
MIXED = {  # or in places that depend on how many there are
    "roll": lambda y: y.roll(1, 1),
    "chunks change places": lambda y: torch.cat(y.chunk(2, 1)[::-1], 1),
    "pairs change places": lambda y: y.unflatten(1, (-1, 2)).flip(1).flatten(1, 2),
    "a norm over channels": nn.GroupNorm(1, 8),
    "softmax": lambda y: y.softmax(1),
    "L2 norm": lambda y: y / (y.square().sum(1, keepdim=True) + 1e-9).sqrt(),
    "L2 norm, hardly seen": lambda y: y / (y.square().sum(1, keepdim=True) + 1e-9).sqrt() * 1e-6,
    "neighbours": nn.LocalResponseNorm(3),
    "a mean over channels": lambda y: y * y.mean(1, keepdim=True).sigmoid(),
}


@pytest.mark.parametrize("what", MOVED)
def test_who_takes_which_channel(what):
    between, taken, ids = MOVED[what]
    model = Between(between, taken=taken).eval()
    found = site(model)
    assert found.reason is None
    assert [sorted(c) for c in found.consumer_inputs[0].channels.tolist()] == ids
    if found.channels > 2 and "shuffle" not in what:
        gone = [0, 2]
        small = pk.prune(model, ONE, X, channels={"b": gone}, repair="none", progress=False).model
        with torch.no_grad():  # the same by hand: c takes nothing of what channels 0 and 2 became
            model.c.weight[:, [i for c in gone for i in ids[c]]] = 0
            torch.testing.assert_close(small(X), model(X))


@pytest.mark.parametrize("what", MIXED)
def test_mixed_channels_are_left_alone_whatever_the_scale(what):
    for factor in (1.0, 255.0, 1e-4):
        reason = site(Between(MIXED[what]).eval(), example=ONE * factor).reason
        assert "does not act as silencing" in reason


def test_a_silent_batch_norm_is_no_reason_to_refuse():
    norm = nn.BatchNorm2d(8)
    nn.init.zeros_(norm.weight)
    assert site(Between(norm).eval()).reason is None


class Scaled(nn.Module):
    """Bare parameters and buffers as wide as the channels."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 10, 1), nn.Conv2d(10, 4, 1)
        self.shift = nn.Parameter(torch.randn(1, 8, 1, 1))
        self.register_buffer("gain", torch.rand(10) + 0.5)

    def forward(self, x):
        x = (self.a(x) + self.shift).relu()
        return self.c(self.b(x).relu() * self.gain[:, None, None])


def test_bare_parameters_and_buffers_go_along():
    model = Scaled().eval()
    small = pk.prune(
        model, ONE, X, channels={"a": [1, 5], "b": [0]}, repair="none", progress=False
    ).model
    assert (small.shift.shape, small.gain.shape) == ((1, 6, 1, 1), (9,))
    with torch.no_grad():
        model.b.weight[:, [1, 5]] = 0
        model.c.weight[:, 0] = 0
        torch.testing.assert_close(small(X), model(X))


class Auxiliary(nn.Module):
    """A head that only training calls, on a flattened map; a head that nobody calls."""

    def __init__(self, other):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.fc = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 3), nn.Linear(6, 4)
        self.aux = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 4))
        self.other = nn.Linear(other, 2)

    def forward(self, x):
        x = self.a(x).relu()
        z = self.fc(self.b(x).relu().mean((2, 3)))
        return (z, self.aux(x)) if self.training else z


def test_a_head_for_training_is_cut_along():
    model = Auxiliary(other=100)
    small = pk.prune(model, ONE, X, channels={"a": [2, 7]}, repair="none", progress=False).model
    assert small.aux[2].in_features == 24
    with torch.no_grad():
        model.b.weight[:, [2, 7]] = 0
        model.aux[2].weight.view(4, 8, 4)[:, [2, 7]] = 0
        for got, want in zip(small.train()(X), model.train()(X), strict=True):
            torch.testing.assert_close(got, want)


def test_a_layer_that_is_never_called_is_listed_and_what_it_may_take_left_alone():
    model = Auxiliary(other=8)
    assert (
        "other is not called, and may have to do with its channels: take it"
        in site(model, "a").reason
    )
    assert site(model, "b").reason is None
    report = pk.prune(model, ONE, X, pruning_ratio=0.5, progress=False).report
    assert any(r.name == "other" and "is not called" in r.reason for r in report.rows)


class Heads(nn.Module):
    """Attention with fewer keys than queries, and two names for one number."""

    def __init__(self, heads=4, pairs=2, size=3):
        super().__init__()
        torch.manual_seed(0)
        self.num_heads = self.heads = heads
        self.pairs, self.size = pairs, size
        self.q, self.kv = nn.Linear(6, heads * size), nn.Linear(6, 2 * pairs * size)
        self.out = nn.Linear(heads * size, 5)

    def forward(self, x):
        b, n, _ = x.shape
        q = self.q(x).view(b, n, self.num_heads, self.size).transpose(1, 2)
        k, v = self.kv(x).view(b, n, 2, self.pairs, self.size).permute(2, 0, 3, 1, 4)
        k, v = (t.repeat_interleave(self.num_heads // self.pairs, 1) for t in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(b, n, -1))


def test_heads_that_share_keys_go_together_and_names_are_unique():
    model, x = Heads().eval(), torch.randn(9, 7, 6)
    sites = pk.find_sites(model, x)
    assert len({s.name for s in sites}) == len(sites)
    assert (sites[0].name, sites[0].channels, sites[0].reason) == ("q", 2, None)
    small = pk.prune(model, x, x, channels={"q": [0]}, repair="none", progress=False).model
    assert (small.num_heads, small.heads, small.pairs, small.size) == (2, 2, 1, 3)
    with torch.no_grad():
        model.out.weight[:, :6] = 0
        torch.testing.assert_close(small(x), model(x))


class Difficult(nn.Module):
    """A network that does what others do not."""

    def __init__(self, how):
        super().__init__()
        torch.manual_seed(0)
        self.how, self.count = how, 0
        self.a, self.b, self.c = nn.Linear(5, 12), nn.Linear(12, 8), nn.Linear(8, 3)

    def forward(self, x):
        if self.how == "works in place":
            x -= 0.5
        h = self.a(x).relu()
        if self.how == "refuses NaN" and not h.isfinite().all():
            raise ValueError("not finite")
        self.count += 1
        if self.how == "keeps count" and self.count > 1:
            h = h[:, :3]
        h = self.b(h)
        return self.c(h + torch.randn_like(h[:, :1]) if self.how == "draws" else h.relu())


@pytest.mark.parametrize("how", ["works in place", "refuses NaN", "draws", "positive"])
def test_difficult_networks(how):
    x = torch.rand(20, 5)
    before = x.clone()
    sites = {s.name: s.reason for s in pk.find_sites(Difficult(how).eval(), x)}
    assert (sites["a"], sites["b"]) == (None, None) and torch.equal(x, before)


class Reading(nn.Module):
    """A network that reads a weight of its own, beside calling the layer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.p, self.q, self.a, self.h = (nn.Linear(*s) for s in ((6, 9), (9, 7), (7, 5), (5, 2)))

    def forward(self, x):
        y = self.a(self.q(self.p(x).relu()).relu())
        return self.h(y.relu()), y @ self.a.weight


def test_a_weight_that_is_read_elsewhere_is_neither_cut_nor_rewritten():
    model, x = Reading().eval(), torch.randn(40, 6)
    reasons = {s.name: s.reason for s in pk.find_sites(model, x)}
    assert reasons["p"] is None and "reads the weight of a itself" in reasons["q"]
    small = pk.prune(model, x, x, pruning_ratio={"p": 0.5}, repair="network", progress=False).model
    assert torch.equal(small.a.weight, model.a.weight)


class Branching(nn.Module):
    """Bright images go one way, dark ones another."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 6, 1), nn.Conv2d(6, 2, 1)

    def forward(self, x):
        y = self.a(x).relu()
        return self.c(self.b(y if x.mean() < 0.5 else y / y.sum(1, keepdim=True)).relu())


def test_calibration_that_goes_another_way_is_an_error():
    dark, bright = X * 0.1, X * 0.1 + 3
    options = {"method": "l1", "pruning_ratio": 0.5, "progress": False}
    assert pk.prune(Branching(), dark[:1], dark, **options).model.a.out_channels == 4
    with pytest.raises(ValueError, match="differs from .* on calibration batch 1: forward"):
        pk.prune(Branching(), dark[:1], [dark, bright], **options)


def test_channels_last_stays():
    model = Between(nn.ReLU()).to(memory_format=torch.channels_last)
    small = pk.prune(model, ONE, X, pruning_ratio=0.5, progress=False).model
    assert small.b.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_chain_of_layers_takes_two_passes_a_layer_and_few_more():
    passes = []

    class Counted(nn.Sequential):
        def forward(self, x):
            passes.append(1)
            return super().forward(x)

    layers = [nn.Linear(16, 16) for _ in range(40)]
    model = Counted(*(part for layer in layers for part in (layer, nn.ReLU())))
    sites = pk.find_sites(model, torch.randn(2, 16))
    assert len([s for s in sites if s.reason is None]) == 39
    assert len(passes) <= 2 * 40 + 30


def test_the_network_is_not_touched_by_marks():
    model = Scaled()
    before = copy.deepcopy(model.state_dict())
    pk.find_sites(model, ONE)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


class Masked(nn.Module):
    """Logits, some of them masked."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(5, 12), nn.Linear(12, 4)

    def forward(self, x):
        z = self.b(self.a(x).relu())
        return torch.cat([z[:, :3], torch.full_like(z[:, 3:], float("-inf"))], 1)


def test_a_mask_of_infinity_is_the_same_before_and_after():
    x = torch.randn(30, 5)
    ratios = pk.optimize_ratios(Masked(), x[:1], x, target_macs=0.6, step=0.25, progress=False)
    assert ratios.widths["a"] < 12 and all(d < float("inf") for d in ratios.curves["a"].values())


class Transposed(nn.Module):
    """A linear layer with its weight the other way round."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 7))

    def forward(self, x):
        return x @ self.weight


def test_a_layer_that_is_not_known_is_named_with_the_cure():
    model = nn.Sequential(Transposed(), nn.ReLU(), nn.Linear(7, 2))
    with pytest.raises(ValueError, match="0: it is a Transposed, which .* put a torch.nn.Linear"):
        pk.prune(model, torch.randn(1, 5), torch.randn(9, 5), pruning_ratio=0.5, progress=False)


def test_weights_that_are_shared_are_whole_after_marking():
    model = nn.Sequential(*(nn.Linear(6, 6) for _ in range(6)))
    model[2].weight = model[1].weight
    before, x = model[1].weight.clone(), torch.randn(30, 6)
    small = pk.prune(model, x[:1], x, pruning_ratio={"4": 0.5}, progress=False).model
    assert torch.equal(small[1].weight, before) and torch.equal(small[2].weight, before)
