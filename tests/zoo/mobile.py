"""Networks for small machines: depthwise convolutions, splits and shuffles."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo.entry import entry, floats


def conv_bn(n_in, n_out, kernel=3, stride=1, groups=1, activation=nn.ReLU):
    layers = [
        nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(n_out),
    ]
    return layers + ([activation(inplace=True)] if activation else [])


def separable(n_in, n_out, stride):
    return nn.Sequential(*conv_bn(n_in, n_in, stride=stride, groups=n_in), *conv_bn(n_in, n_out, 1))


def head(width):
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)


def mobilenet_v1():
    return nn.Sequential(
        *conv_bn(3, 8, stride=2),
        *(separable(8, 12, 1), separable(12, 16, 2), separable(16, 16, 1)),
        *head(16),
    )


class Inverted(nn.Module):
    """Widen, filter each channel alone, narrow; a sum where shapes allow."""

    def __init__(self, n_in, n_out, stride, expand):
        super().__init__()
        wide = n_in * expand
        layers = [] if expand == 1 else conv_bn(n_in, wide, 1, activation=nn.ReLU6)
        layers += conv_bn(wide, wide, 3, stride, wide, nn.ReLU6)
        layers += conv_bn(wide, n_out, 1, activation=None)
        self.conv = nn.Sequential(*layers)
        self.residual = stride == 1 and n_in == n_out

    def forward(self, x):
        if self.residual:
            return x + self.conv(x)
        return self.conv(x)


def mobilenet_v2():
    return nn.Sequential(
        *conv_bn(3, 8, stride=2, activation=nn.ReLU6),
        *(Inverted(8, 6, 1, 1), Inverted(6, 8, 2, 4), Inverted(8, 8, 1, 4), Inverted(8, 12, 1, 4)),
        *conv_bn(12, 24, 1, activation=nn.ReLU6),
        *head(24),
    )


def multiplier():
    """A grouped convolution that makes two channels of each one it takes."""
    return nn.Sequential(
        *conv_bn(3, 8),
        *(*conv_bn(8, 16, stride=2, groups=8), *conv_bn(16, 12, 1)),
        *head(12),
    )


class SameConv(nn.Conv2d):
    """Pads by what the image needs, left less than right, as other libraries do."""

    def forward(self, x):
        total = [
            max((-(-size // s) - 1) * s + k - size, 0)
            for size, k, s in zip(x.shape[-2:], self.kernel_size, self.stride, strict=True)
        ]
        x = F.pad(x, [total[1] // 2, -(-total[1] // 2), total[0] // 2, -(-total[0] // 2)])
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def same_padding():
    return nn.Sequential(
        *(SameConv(3, 8, 3, 2, bias=False), nn.BatchNorm2d(8), nn.SiLU(), SameConv(8, 12, 1)),
        *(SameConv(12, 12, 3, 2, groups=12), nn.SiLU(), SameConv(12, 10, 3)),
        *(nn.ReLU(), SameConv(10, 12, 3, groups=2), nn.ReLU()),
        *head(12),
    )


def channel_shuffle(x, groups):
    batch, channels, height, width = x.size()
    x = x.view(batch, groups, channels // groups, height, width)
    x = torch.transpose(x, 1, 2).contiguous()
    return x.view(batch, channels, height, width)


class ShuffleUnit(nn.Module):
    """Half of the channels go by, half are filtered; both are then mixed like cards."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        half, self.stride = n_out // 2, stride
        if stride > 1:
            self.branch1 = nn.Sequential(
                *conv_bn(n_in, n_in, 3, stride, n_in, None), *conv_bn(n_in, half, 1)
            )
        self.branch2 = nn.Sequential(
            *conv_bn(n_in if stride > 1 else half, half, 1),
            *conv_bn(half, half, 3, stride, half, None),
            *conv_bn(half, half, 1),
        )

    def forward(self, x):
        if self.stride == 1:
            x1, x2 = x.chunk(2, dim=1)
            out = torch.cat((x1, self.branch2(x2)), dim=1)
        else:
            out = torch.cat((self.branch1(x), self.branch2(x)), dim=1)
        return channel_shuffle(out, 2)


def shufflenet(units):
    return nn.Sequential(
        *conv_bn(3, 8, stride=2),
        *(ShuffleUnit(8, 16, 2), *(ShuffleUnit(16, 16, 1) for _ in range(units))),
        *conv_bn(16, 24, 1),
        *head(24),
    )


class GroupShuffle(nn.Module):
    """1×1 convolutions in groups with a shuffle between them, and a sum around it all."""

    def __init__(self, width, groups):
        super().__init__()
        self.groups = groups
        self.squeeze = nn.Sequential(*conv_bn(width, width, 1, groups=groups))
        self.filter = nn.Sequential(*conv_bn(width, width, 3, groups=width, activation=None))
        self.expand = nn.Sequential(*conv_bn(width, width, 1, groups=groups, activation=None))

    def forward(self, x):
        y = channel_shuffle(self.squeeze(x), self.groups)
        return torch.relu(x + self.expand(self.filter(y)))


def group_shuffle():
    return nn.Sequential(
        *conv_bn(3, 12, stride=2), GroupShuffle(12, 3), GroupShuffle(12, 3), *head(12)
    )


IMAGES = floats(3, 16, 16)

MOBILE = {
    "mobilenet_v1": entry(
        mobilenet_v1, IMAGES, "the consumer stands behind a depthwise convolution"
    ),
    "mobilenet_v2": entry(mobilenet_v2, IMAGES, "streams without ReLU, depthwise inside, ReLU6"),
    "depth_multiplier": entry(multiplier, IMAGES, "groups of one input and two outputs"),
    "same_padding": entry(same_padding, IMAGES, "convolutions that pad in a way of their own"),
    "shufflenet_v2": entry(
        lambda: shufflenet(2), IMAGES, "halves of channels, concatenated and shuffled"
    ),
    "shufflenet_v2_short": entry(
        lambda: shufflenet(1), IMAGES, "the same with a single unit whose halves are chunked"
    ),
    "shufflenet_v1": entry(group_shuffle, IMAGES, "grouped 1×1 convolutions around a shuffle"),
}
