"""Networks for sequences of tokens: attention in the ways people write it."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo.entry import entry, floats, tokens


class CausalAttention(nn.Module):
    """One layer for queries, keys and values, split by width; a mask kept as a buffer."""

    def __init__(self, width, heads, length):
        super().__init__()
        self.width, self.heads = width, heads
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.register_buffer("mask", torch.ones(length, length).tril().view(1, 1, length, length))

    def forward(self, x):
        B, T, C = x.size()
        q, k, v = self.c_attn(x).split(self.width, dim=2)
        q, k, v = (t.view(B, T, self.heads, C // self.heads).transpose(1, 2) for t in (q, k, v))
        att = q @ k.transpose(-2, -1) * k.size(-1) ** -0.5
        att = F.softmax(att.masked_fill(self.mask[:, :, :T, :T] == 0, float("-inf")), dim=-1)
        return self.c_proj((att @ v).transpose(1, 2).contiguous().view(B, T, C))


class DecoderBlock(nn.Module):
    """Norm, attention, add; norm, GELU neurons, add."""

    def __init__(self, width, heads, length):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(width), CausalAttention(width, heads, length)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict(
            {"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)}
        )

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp["c_proj"](F.gelu(self.mlp["c_fc"](self.ln_2(x)), approximate="tanh"))


class GPT(nn.Module):
    """Token and position embeddings; the last layer shares its weight with the first."""

    def __init__(self, vocabulary=40, width=16, heads=4, depth=2, length=12):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.h = nn.ModuleList(DecoderBlock(width, heads, length) for _ in range(depth))
        self.ln_f = nn.LayerNorm(width)
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, idx):
        x = self.wte(idx) + self.wpe(torch.arange(idx.size(1), device=idx.device))
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))


class RMSNorm(nn.Module):
    """A norm without mean, written by hand."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class GroupedQueries(nn.Module):
    """Four heads of queries over two heads of keys and values, turned by their position."""

    def __init__(self, width=16, heads=4, pairs=2):
        super().__init__()
        self.heads, self.pairs, self.size = heads, pairs, width // heads
        self.q_proj = nn.Linear(width, heads * self.size, bias=False)
        self.k_proj = nn.Linear(width, pairs * self.size, bias=False)
        self.v_proj = nn.Linear(width, pairs * self.size, bias=False)
        self.o_proj = nn.Linear(heads * self.size, width, bias=False)

    def turn(self, x):
        angle = torch.arange(x.shape[2], device=x.device)[:, None] / 10 ** torch.arange(2.0)
        cos, sin = angle.cos().repeat(1, 2), angle.sin().repeat(1, 2)
        a, b = x.chunk(2, dim=-1)
        return x * cos + torch.cat((-b, a), dim=-1) * sin

    def forward(self, x):
        b, t, _ = x.shape
        q = self.q_proj(x).view(b, t, self.heads, self.size).transpose(1, 2)
        k = self.k_proj(x).view(b, t, self.pairs, self.size).transpose(1, 2)
        v = self.v_proj(x).view(b, t, self.pairs, self.size).transpose(1, 2)
        k, v = (s.repeat_interleave(self.heads // self.pairs, dim=1) for s in (self.turn(k), v))
        out = F.scaled_dot_product_attention(self.turn(q), k, v, is_causal=True)
        return self.o_proj(out.transpose(1, 2).reshape(b, t, -1))


class GatedBlock(nn.Module):
    """A gate multiplied by a value before the way back."""

    def __init__(self, width=16, hidden=24):
        super().__init__()
        self.norm1, self.attention, self.norm2 = RMSNorm(width), GroupedQueries(), RMSNorm(width)
        self.gate_proj = nn.Linear(width, hidden, bias=False)
        self.up_proj = nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        y = self.norm2(x)
        return x + self.down_proj(F.silu(self.gate_proj(y)) * self.up_proj(y))


def llama():
    return nn.Sequential(
        nn.Embedding(40, 16), GatedBlock(), GatedBlock(), RMSNorm(16), nn.Linear(16, 40, bias=False)
    )


class EncoderUser(nn.Module):
    """Blocks from torch itself between two linear layers."""

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(6, 16)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(16, 4, 24, batch_first=True, norm_first=first)
            for first in (False, True)
        )
        self.hidden, self.head = nn.Linear(16, 12), nn.Linear(12, 3)

    def forward(self, x):
        x = self.project(x)
        for block in self.blocks:
            x = block(x)
        return self.head(F.relu(self.hidden(x.mean(dim=1))))


class AttentionUser(nn.Module):
    """nn.MultiheadAttention, batch second, with the weights of attention as another output."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(6, 16)
        self.attention, self.norm = nn.MultiheadAttention(16, 4), nn.LayerNorm(16)
        self.fc1, self.fc2, self.out = nn.Linear(16, 20), nn.Linear(20, 16), nn.Linear(16, 3)

    def forward(self, x):
        x = self.embed(x).transpose(0, 1)  # (length, batch, 16)
        mixed, weights = self.attention(x, x, x)
        x = self.norm(x + mixed)
        x = x + self.fc2(F.relu(self.fc1(x)))
        return self.out(x[-1]), weights


SEQUENCE = floats(7, 6)

TRANSFORMERS = {
    "gpt": entry(GPT, tokens(40, 10), "tied embedding and output, split of q, k, v, a mask"),
    "llama": entry(
        llama, tokens(40, 8), "gated neurons, queries in groups, rotary positions, a norm by hand"
    ),
    "encoder_layer": entry(
        EncoderUser, SEQUENCE, "torch's own blocks, which may take a fast path in eval mode"
    ),
    "multihead": entry(AttentionUser, SEQUENCE, "q, k, v as one bare parameter; two outputs"),
}
