"""Networks of patches: attention over images, mixers, and what convolutions learned from them."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo.entry import entry, floats


class MLP(nn.Module):
    """Widen, GELU, narrow."""

    def __init__(self, width, hidden, activation=nn.GELU):
        super().__init__()
        self.fc1, self.act, self.fc2 = (
            nn.Linear(width, hidden),
            activation(),
            nn.Linear(hidden, width),
        )

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


class FusedAttention(nn.Module):
    """Queries, keys and values from one layer, unbound along a new first dimension."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.head_width = heads, width // heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.heads, self.head_width).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(b, n, c))


class SeparateAttention(nn.Module):
    """Three layers, an explicit softmax, sizes taken from the layers' outputs."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)

    def split(self, x):
        return x.view(x.size(0), x.size(1), self.heads, -1).transpose(1, 2)

    def forward(self, x):
        q, k, v = self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))
        weights = ((q * self.scale) @ k.transpose(-2, -1)).softmax(dim=-1)
        mixed = torch.matmul(weights, v).transpose(1, 2).contiguous()
        return self.out(mixed.view(mixed.size(0), mixed.size(1), -1))


class Block(nn.Module):
    """Norm, attention, add; norm, neurons, add."""

    def __init__(self, width, attention):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width), attention
        self.norm2, self.mlp = nn.LayerNorm(width), MLP(width, 2 * width)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """Patches by a convolution, a class token in front, positions added, blocks, the token read."""

    def __init__(self, attention, width=16, heads=4, depth=2):
        super().__init__()
        self.patch_embed = nn.Conv2d(3, width, kernel_size=4, stride=4)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 0.5)
        self.pos_embed = nn.Parameter(torch.randn(1, 17, width) * 0.5)
        self.blocks = nn.Sequential(*(Block(width, attention(width, heads)) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width, eps=1e-6), nn.Linear(width, 10)

    def forward(self, x):
        x = self.patch_embed(x).flatten(2).transpose(1, 2)  # (batch, 16, width)
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


class MixerBlock(nn.Module):
    """Linear layers over patches, then over channels."""

    def __init__(self, patches, width):
        super().__init__()
        self.norm1, self.tokens = nn.LayerNorm(width), MLP(patches, 12)
        self.norm2, self.channels = nn.LayerNorm(width), MLP(width, 24)

    def forward(self, x):
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


class Mixer(nn.Module):
    """No attention, no convolution but the one that cuts patches."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 4, 4)
        self.blocks = nn.Sequential(MixerBlock(16, 16), MixerBlock(16, 16))
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 10)

    def forward(self, x):
        x = self.stem(x).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.blocks(x)).mean(dim=1))


class ConvNeXtBlock(nn.Module):
    """Depthwise 7×7; then channels last, a norm, two linear layers, a scale per channel."""

    def __init__(self, width):
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.pwconv1, self.act = nn.Linear(width, 4 * width), nn.GELU()
        self.pwconv2 = nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.rand(width) + 0.5)

    def forward(self, x):
        y = self.dwconv(x).permute(0, 2, 3, 1)
        y = self.gamma * self.pwconv2(self.act(self.pwconv1(self.norm(y))))
        return x + y.permute(0, 3, 1, 2)


class ChannelsFirstNorm(nn.LayerNorm):
    """A layer norm over the channels of an image."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def convnext():
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 4, 4), ChannelsFirstNorm(8), ConvNeXtBlock(8), ChannelsFirstNorm(8)),
        *(nn.Conv2d(8, 16, 2, 2), ConvNeXtBlock(16), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        *(nn.LayerNorm(16), nn.Linear(16, 10)),
    )


IMAGES = floats(3, 16, 16)

VISION_TRANSFORMERS = {
    "vit_fused": entry(
        lambda: ViT(FusedAttention), IMAGES, "one layer for q, k, v; class token and positions"
    ),
    "vit_separate": entry(
        lambda: ViT(SeparateAttention), IMAGES, "q, k, v apart; a key without bias; softmax by hand"
    ),
    "mixer": entry(Mixer, IMAGES, "linear layers along patches, and as many patches as channels"),
    "convnext": entry(
        convnext, floats(3, 24, 24), "channels move to the end and back; norms over channels"
    ),
}
