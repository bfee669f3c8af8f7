"""Heads go as blocks: query, key and value of a head together with what the projection takes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import prunekit as pk

TOKENS = torch.randn(64, 7, 8, generator=torch.Generator().manual_seed(0))


class Attention(nn.Module):
    """Self-attention that asks its own attributes for its size, with one layer or three for QKV."""

    def __init__(self, dim, heads, fused):
        super().__init__()
        self.num_heads, self.head_dim = heads, dim // heads
        if fused:
            self.qkv = nn.Linear(dim, 3 * dim)
        else:
            self.query, self.key, self.value = (nn.Linear(dim, dim) for _ in range(3))
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        batch, count, _ = x.shape
        shape = (batch, count, -1, self.num_heads, self.head_dim)
        if hasattr(self, "qkv"):
            parts = self.qkv(x).view(shape)
        else:
            parts = torch.cat([f(x).view(shape) for f in (self.query, self.key, self.value)], 2)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return self.proj(y.reshape(batch, count, -1))


class Network(nn.Module):
    def __init__(self, fused):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.norm = nn.Linear(8, 16), nn.LayerNorm(16)
        self.attn, self.head = Attention(16, 4, fused), nn.Linear(16, 5)

    def forward(self, x):
        x = self.embed(x)
        return self.head((x + self.attn(self.norm(x))).mean(1))


@pytest.fixture(params=[True, False], ids=["fused", "separate"])
def model(request):
    return Network(request.param).eval()


def heads_of(model):
    return next(s for s in pk.find_sites(model, TOKENS) if s.name in ("attn.qkv", "attn.query"))


def test_a_channel_of_the_site_is_a_head(model):
    site = heads_of(model)
    assert (site.channels, site.reason, site.consumers) == (4, None, ("attn.proj",))
    assert len(site.producers) == (1 if hasattr(model.attn, "qkv") else 3)


def test_without_repair_the_heads_that_stay_say_what_they_said(model):
    name = heads_of(model).name
    pruned = pk.prune(
        model,
        TOKENS[:1],
        TOKENS,
        channels={name: [1, 2]},
        repair="none",
        progress=False,
        method="l1",
    )
    small = pruned.model
    assert small.attn.num_heads == 2 and model.attn.num_heads == 4
    by_hand = Network(hasattr(model.attn, "qkv")).eval()
    with torch.no_grad():  # heads of four features: the projection no longer takes 1 and 2
        by_hand.attn.proj.weight[:, 4:12] = 0
        torch.testing.assert_close(small(TOKENS), by_hand(TOKENS))


def test_a_copied_head_costs_nothing(model):
    attn, name = model.attn, heads_of(model).name
    makers = [attn.qkv] if hasattr(attn, "qkv") else [attn.query, attn.key, attn.value]
    with torch.no_grad():
        for layer in makers:
            weight, bias = layer.weight.view(-1, 4, 4, 16), layer.bias.view(-1, 4, 4)
            weight[:, 3], bias[:, 3] = weight[:, 0], bias[:, 0]  # head 3 says what head 0 says
    small = pk.prune(
        model, TOKENS[:1], TOKENS, pruning_ratio={name: 0.25}, ridge=1e-9, progress=False
    ).model
    torch.testing.assert_close(small(TOKENS), model(TOKENS), rtol=0, atol=1e-5)


def test_saved_and_loaded_with_fewer_heads(model, tmp_path):
    result = pk.prune(
        model, TOKENS[:1], TOKENS, pruning_ratio={heads_of(model).name: 0.5}, progress=False
    )
    pk.save(result, tmp_path / "small.pt")
    again = pk.load(model, tmp_path / "small.pt")
    assert again.attn.num_heads == 2 and torch.equal(again(TOKENS), result.model(TOKENS))
