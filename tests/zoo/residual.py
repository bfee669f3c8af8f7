"""Residual networks: channels added to channels."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo.entry import entry, floats


def conv3x3(n_in, n_out, stride=1, groups=1):
    return nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, groups=groups, bias=False)


class Basic(nn.Module):
    """Two 3×3 convolutions and a shortcut, which has a convolution where the shape changes."""

    expansion = 1

    def __init__(self, n_in, width, stride=1, downsample=None, groups=1):
        super().__init__()
        self.conv1, self.bn1 = conv3x3(n_in, width, stride), nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = conv3x3(width, width), nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class Bottleneck(nn.Module):
    """Narrow, filter (in groups, if told to), widen, add."""

    expansion = 2

    def __init__(self, n_in, width, stride=1, downsample=None, groups=1):
        super().__init__()
        n_out = width * self.expansion
        self.conv1, self.bn1 = nn.Conv2d(n_in, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv3x3(width, width, stride, groups), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, n_out, 1, bias=False), nn.BatchNorm2d(n_out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x):
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    """A stem with max pooling, stages of blocks, and a linear layer behind global pooling."""

    def __init__(self, block, widths=(8, 12, 16), blocks=2, groups=1):
        super().__init__()
        self.n_in, self.groups = widths[0], groups
        self.conv1 = nn.Conv2d(3, widths[0], 7, stride=2, padding=3, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        stages = [self._stage(block, w, blocks, 1 if i == 0 else 2) for i, w in enumerate(widths)]
        self.layers = nn.Sequential(*stages)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(widths[-1] * block.expansion, 10)

    def _stage(self, block, width, blocks, stride):
        n_out, downsample = width * block.expansion, None
        if stride != 1 or self.n_in != n_out:
            downsample = nn.Sequential(
                nn.Conv2d(self.n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )
        layers = [block(self.n_in, width, stride, downsample, self.groups)]
        self.n_in = n_out
        layers += [block(n_out, width, groups=self.groups) for _ in range(blocks - 1)]
        return nn.Sequential(*layers)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layers(x)), 1))


class Lambda(nn.Module):
    """A function where a module is asked for."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class PaddedBlock(nn.Module):
    """A shortcut without weights: every second pixel, zeros for the channels that are missing."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv1, self.bn1 = conv3x3(n_in, n_out, stride), nn.BatchNorm2d(n_out)
        self.conv2, self.bn2 = conv3x3(n_out, n_out), nn.BatchNorm2d(n_out)
        self.shortcut = nn.Sequential()
        if stride != 1 or n_in != n_out:
            side = (n_out - n_in) // 2
            self.shortcut = Lambda(
                lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, side, side), "constant", 0)
            )

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return F.relu(out)


class PaddedResNet(nn.Module):
    """Three stages that double the channels, as for 32×32 images."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = conv3x3(3, 8), nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(PaddedBlock(8, 8, 1), PaddedBlock(8, 8, 1))
        self.layer2 = nn.Sequential(PaddedBlock(8, 16, 2), PaddedBlock(16, 16, 1))
        self.layer3 = nn.Sequential(PaddedBlock(16, 32, 2), PaddedBlock(32, 32, 1))
        self.linear = nn.Linear(32, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = F.avg_pool2d(x, x.size()[3])
        return self.linear(x.view(x.size(0), -1))


class PreActivation(nn.Module):
    """Norm and ReLU before each convolution; the stream itself is never rectified."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(n_in), conv3x3(n_in, n_out, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(n_out), conv3x3(n_out, n_out)
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Conv2d(n_in, n_out, 1, stride, bias=False)

    def forward(self, x):
        out = F.relu(self.bn1(x))
        shortcut = self.shortcut(out) if hasattr(self, "shortcut") else x
        return self.conv2(F.relu(self.bn2(self.conv1(out)))) + shortcut


def preactivation():
    return nn.Sequential(
        *(conv3x3(3, 8), PreActivation(8, 8, 1), PreActivation(8, 16, 2), PreActivation(16, 16, 1)),
        *(nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)),
    )


IMAGES = floats(3, 16, 16)
WIDE = floats(3, 24, 24)

RESIDUAL = {
    "resnet_basic": entry(
        lambda: ResNet(Basic), WIDE, "sums in place, the pooled stem joins the first stream"
    ),
    "resnet_bottleneck": entry(
        lambda: ResNet(Bottleneck), WIDE, "streams begin at the convolutions of shortcuts"
    ),
    "resnext": entry(
        lambda: ResNet(Bottleneck, (8, 16), groups=4), WIDE, "convolutions in four groups"
    ),
    "resnet_padded": entry(
        PaddedResNet, IMAGES, "shortcuts without weights: a slice of pixels, zeros for channels"
    ),
    "resnet_preactivation": entry(
        preactivation, IMAGES, "a norm stands between the stream and each of its consumers"
    ),
}
