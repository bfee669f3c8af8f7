"""Attention written out: what torch's own says, whatever mask; and no process that ends."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import prunekit as pk
from prunekit.network.unfused import Unfused, attention


def drawn(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


LOWER = torch.ones(5, 5).tril().bool()
MASKS = {
    "none": {},
    "causal": {"is_causal": True},
    "booleans": {"attn_mask": LOWER},
    "a row that sees nothing": {"attn_mask": LOWER.roll(1, 0) & (torch.arange(5) > 0)[:, None]},
    "numbers": {"attn_mask": drawn(2, 1, 5, 5)},
    "a scale": {"scale": 0.3},
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("heads", [4, 2, 1])
def test_it_says_what_torch_says(mask, heads):
    """With keys for all, for each pair of, or for one of the heads."""
    query, key, value = drawn(2, 4, 5, 3), drawn(2, heads, 5, 3), drawn(2, heads, 5, 6)
    options = MASKS[mask] | ({"enable_gqa": True} if heads == 2 else {})
    wanted = F.scaled_dot_product_attention(query, key, value, **options)
    torch.testing.assert_close(attention(query, key, value, **options), wanted)
    with Unfused():
        seen = F.scaled_dot_product_attention(query, key, value, **options)
    assert torch.equal(seen, attention(query, key, value, **options))


def test_without_a_head_it_is_an_exception():
    """Torch's own divides by their number in C++, which ends the process."""
    with pytest.raises(ZeroDivisionError):
        attention(drawn(1, 4, 5, 3), drawn(1, 0, 5, 3), drawn(1, 0, 5, 3), enable_gqa=True)


class Decoder(nn.Module):
    """Queries in pairs share keys and values, out of one layer; masks are booleans."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.heads, self.kv_heads, self.d = 4, 2, 3
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(12, 8)
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 5)

    def forward(self, x):
        sizes = [n * self.d for n in (self.heads, self.kv_heads, self.kv_heads)]
        q, k, v = (
            y.unflatten(2, (-1, self.d)).transpose(1, 2) for y in self.qkv(x).split(sizes, 2)
        )
        mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return self.down(self.up(x + self.out(y.transpose(1, 2).flatten(2))).relu())


def test_a_network_with_masks_of_booleans_and_grouped_queries():
    model, tokens = Decoder().eval(), torch.randn(30, 5, 8)
    sites = {s.name: s for s in pk.find_sites(model, tokens[:1])}
    assert sites["up"].reason is None
    how = {"method": "l1", "repair": "none", "pruning_ratio": 0.5, "progress": False}
    result = pk.prune(model, tokens[:1], tokens, **how)
    assert result.report.macs_after < result.report.macs_before
