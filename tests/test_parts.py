"""Layers whose channels are divided, branches that are added, and numbers that count them."""

import copy

import pytest
import torch
from torch import nn

import prunekit as pk
from prunekit.network.inputs import flat_outputs

X = torch.randn(24, 3, 6, 6, generator=torch.Generator().manual_seed(0))
ONE = X[:1]


def silenced(model, cuts):
    """A copy whose layers take nothing of the channels that went."""
    model = copy.deepcopy(model)
    for name, sides in cuts.items():
        layer = model.get_submodule(name)
        if "in" in sides:
            layer.register_forward_pre_hook(
                lambda layer, args, ids=sides["in"]: args[0].index_fill(
                    -1 if isinstance(layer, nn.Linear) else 1, torch.tensor(ids), 0
                )
            )
    return model


def offered(model, example=ONE, **options):
    return {s.name: s for s in pk.find_sites(model, example, **options) if s.reason is None}


def assert_exact(model, channels, example=ONE, data=X, **options):
    small = pk.prune(
        *(model, example, data),
        **{"channels": channels, "repair": "none", "progress": False, **options},
    )
    with torch.no_grad():
        wanted = flat_outputs(silenced(model, small.plan.cuts)(data))
        torch.testing.assert_close(flat_outputs(small.model(data)), wanted)
        assert not torch.equal(wanted[0], flat_outputs(model(data))[0])
    return small.model


class Divided(nn.Module):
    """What one convolution says goes different ways, part by part."""

    def __init__(self, how, sizes):
        super().__init__()
        torch.manual_seed(0)
        self.how, self.width, self.sizes = how, sizes[0], sizes
        self.a = nn.Conv2d(3, sum(sizes), 3)
        self.ways = nn.ModuleList(nn.Conv2d(n, 4, 1) for n in sizes)
        self.g = nn.Linear(4 * len(sizes), 3)

    def forward(self, x):
        x = self.a(x).relu()
        if self.how == "chunk":
            parts = x.chunk(len(self.ways), 1)
        else:
            parts = x.split(self.width if self.how == "width" else self.sizes, 1)
        said = [way(part).relu() for way, part in zip(self.ways, parts, strict=True)]
        return self.g(torch.cat(said, 1).mean((2, 3)))


@pytest.mark.parametrize("how", ["chunk", "width"])
@pytest.mark.parametrize("count", [2, 3])
def test_equal_parts_go_in_step(how, count):
    model = Divided(how, [6] * count).eval()
    sites = offered(model)
    assert "a:2" not in sites and sites["a"].channels == 6
    assert sites["a"].consumers == tuple(f"ways.{i}" for i in range(count))
    small = assert_exact(model, {"a": [0, 3, 4]})
    assert [way.in_channels for way in small.ways] == [3] * count
    assert small.width == (3 if how == "width" else 6) and model.width == 6


@pytest.mark.parametrize("sizes", [[4, 6, 5], (4, 4, 8)])
def test_numbers_in_a_list_go_one_by_one(sizes):
    model = Divided("list", sizes).eval()
    assert [offered(model)[name].channels for name in ("a", "a:2", "a:3")] == [*sizes]
    small = assert_exact(model, {"a": [1], "a:3": [0, 2, 4]})
    assert small.sizes == type(sizes)((sizes[0] - 1, sizes[1], sizes[2] - 3))
    assert model.sizes == sizes


class HalfAround(Divided):
    """One half is what a residual connection adds to; the other cannot go without it."""

    def __init__(self):
        super().__init__("chunk", [6, 6])
        self.f, self.ways[1] = nn.Conv2d(6, 6, 1), nn.Conv2d(6, 4, 1)

    def forward(self, x):
        p, q = self.a(x).relu().chunk(2, 1)
        q = q + self.f(q)
        said = [self.ways[0](p).relu(), self.ways[1](q).relu()]
        return self.g(torch.cat(said, 1).mean((2, 3)))


def test_a_part_tells_why_the_other_stays():
    model = HalfAround().eval()
    reasons = {s.name: s.reason for s in pk.find_sites(model, ONE)}
    assert "residual connection" in reasons["a"] == reasons["a:2"]
    assert offered(model, prune_residual=True)["a"].channels == 6
    assert_exact(model, {"a": [0, 5]}, prune_residual=True)


class Branches(nn.Module):
    """Two convolutions side by side, in a residual block; their weights depend on their sum."""

    def __init__(self, gated):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 6, 1), nn.Conv2d(8, 6, 3, 1, 1)
        self.back, self.g, self.gated = nn.Conv2d(6, 8, 1), nn.Linear(8, 3), gated
        if gated:
            self.squeeze, self.select = nn.Linear(6, 4), nn.Linear(4, 12)

    def forward(self, x):
        x = self.stem(x).relu()
        y = torch.stack([self.a(x), self.b(x)], 1)  # (images, 2, 6, …)
        if self.gated:
            s = self.select(self.squeeze(y.sum(1).mean((2, 3))).relu())
            y = y * s.unflatten(1, (2, -1)).softmax(1)[..., None, None]
        x = x + self.back(y.sum(1).relu())
        return self.g(x.mean((2, 3)))


@pytest.mark.parametrize("gated", [False, True])
def test_parallel_branches_are_no_residual_connection(gated):
    model = Branches(gated).eval()
    site = offered(model)["a"]
    assert site.producers == (("a", "b", "select") if gated else ("a", "b"))
    assert "stem" not in offered(model)
    assert_exact(model, {"a": [0, 2, 5]})


class Positions(nn.Module):
    """A bias for each head, made by a module two floors below the count of heads."""

    def __init__(self, heads):
        super().__init__()
        self.num_heads = heads
        self.mlp = nn.Sequential(nn.Linear(1, 5), nn.ReLU(), nn.Linear(5, heads))

    def forward(self, n):
        steps = torch.arange(2.0 * n - 1)[:, None] - n
        table = self.mlp(steps).view(-1, self.num_heads)
        return table[torch.arange(n) - torch.arange(n)[:, None] + n - 1].permute(2, 0, 1)


class Attention(nn.Module):
    """Attention with such biases, shared by two layers."""

    def __init__(self, heads=4, d=3):
        super().__init__()
        self.num_heads, self.d = heads, d
        self.qkv, self.proj = nn.Linear(8, 3 * heads * d), nn.Linear(heads * d, 8)

    def forward(self, x, bias):
        q, k, v = self.qkv(x).unflatten(2, (3, self.num_heads, self.d)).permute(2, 0, 3, 1, 4)
        y = (q @ k.transpose(2, 3) + bias).softmax(3) @ v
        return x + self.proj(y.transpose(1, 2).flatten(2))


class Related(nn.Module):
    """Two layers of attention that take the same biases."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.positions, self.layers = Positions(4), nn.ModuleList([Attention(), Attention()])

    def forward(self, x):
        bias = self.positions(x.shape[1])
        for layer in self.layers:
            x = layer(x, bias)
        return x


def test_heads_that_share_position_biases():
    model, tokens = Related().eval(), torch.randn(5, 7, 8)
    (site,) = (s for s in offered(model, tokens[:1]).values() if s.channels == 4)
    small = assert_exact(model, {site.name: [1, 2]}, tokens[:1], tokens)
    assert small.positions.num_heads == 2 == small.layers[0].num_heads == small.layers[1].num_heads


class Cache:
    """What a decoder keeps for its next call."""

    def __init__(self):
        self.seen = []

    def __iter__(self):
        raise RuntimeError("this is not for you")


class Decoder(nn.Module):
    """Gives what it kept beside what it says, and learns positions."""

    class Places(nn.Embedding):
        pass

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.places = self.Places(9, 8)
        self.q, self.out = nn.Linear(8, 12), nn.Linear(12, 8)

    def forward(self, x):
        x, cache = x + self.places.weight[: x.shape[1]], Cache()
        cache.seen.append(self.q(x))
        return {"said": self.out(cache.seen[-1].relu()), "cache": cache}


def test_a_cache_is_no_output():
    model, tokens = Decoder().eval(), torch.randn(5, 7, 8)
    sites = pk.find_sites(model, tokens[:1])
    assert {s.name for s in sites if s.reason is None} == {"q"}
    assert "places" not in {s.name for s in sites}
    assert_exact(model, {"q": [0, 1, 7]}, tokens[:1], tokens)


class Remembering(nn.Module):
    """Attention that looks its biases up once, until it is trained; it lists what it has seen."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.kept, self.seen = Attention(), {}, []
        self.table = nn.Parameter(torch.randn(4, 13))

    def train(self, mode=True):
        self.kept = {} if mode else self.kept
        return super().train(mode)

    def forward(self, x):
        n = x.shape[1]
        if n not in self.kept:
            self.kept[n] = self.table[:, torch.arange(n) - torch.arange(n)[:, None] + 6]
        self.seen.append(self.a(x, self.kept[n]))
        return self.seen[-1]


@pytest.mark.parametrize("called_before", [False, True])
def test_what_was_computed_of_parameters_for_eval_is_computed_again(called_before):
    model, tokens = Remembering().eval(), torch.randn(5, 7, 8)
    if called_before:
        model(tokens)
        assert model.kept[7].grad_fn and model.seen[0].grad_fn
    sites = offered(model, tokens[:1])
    assert sites["a.qkv"].channels == 4
    assert len(model.seen) == called_before
    model.train().eval().seen.clear()
    small = assert_exact(model, {"a.qkv": [3]}, tokens[:1], tokens)
    assert small.table.shape == (3, 13) and small.a.num_heads == 3


class Around(nn.Module):
    """A residual connection, and nothing else."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.a, self.g = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1), nn.Linear(8, 3)

    def forward(self, x):
        x = self.stem(x).relu()
        return self.g((x + self.a(x)).relu().mean((2, 3)))


def test_where_only_a_residual_connection_is_left_the_error_says_how_it_goes():
    model = Around().eval()
    with pytest.raises(ValueError, match="can go with prune_residual=True:\n  stem: its channels"):
        pk.prune(model, ONE, X, pruning_ratio=0.5, progress=False)
    assert_exact(model, {"stem": [1, 2]}, prune_residual=True)
