"""Networks that set channels side by side: concatenation and splits."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo.entry import entry, floats


class DenseLayer(nn.Module):
    """Norm, 1×1, norm, 3×3 over the list of all features so far."""

    def __init__(self, n_in, growth):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(n_in), nn.Conv2d(n_in, 8, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(8), nn.Conv2d(8, growth, 3, padding=1, bias=False)

    def forward(self, features):
        x = self.conv1(F.relu(self.norm1(torch.cat(features, 1))))
        return self.conv2(F.relu(self.norm2(x)))


class DenseBlock(nn.ModuleDict):
    """Every layer takes from all the layers before it."""

    def __init__(self, layers, n_in, growth):
        super().__init__()
        for i in range(layers):
            self.add_module(f"denselayer{i + 1}", DenseLayer(n_in + i * growth, growth))

    def forward(self, x):
        features = [x]
        for _, layer in self.items():
            features.append(layer(features))
        return torch.cat(features, 1)


def densenet():
    transition = (nn.BatchNorm2d(20), nn.ReLU(), nn.Conv2d(20, 10, 1, bias=False), nn.AvgPool2d(2))
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
        *(DenseBlock(3, 8, 4), *transition, DenseBlock(2, 10, 4), nn.BatchNorm2d(18), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(18, 10)),
    )


class ConvReLU(nn.Module):
    """A convolution whose keywords are passed on."""

    def __init__(self, n_in, n_out, **options):
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, bias=False, **options)
        self.bn = nn.BatchNorm2d(n_out, eps=0.001)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """Four branches with other kernels, side by side."""

    def __init__(self, n_in):
        super().__init__()
        self.branch1 = ConvReLU(n_in, 6, kernel_size=1)
        self.branch2 = nn.Sequential(
            ConvReLU(n_in, 4, kernel_size=1), ConvReLU(4, 8, kernel_size=3, padding=1)
        )
        self.branch3 = nn.Sequential(
            ConvReLU(n_in, 4, kernel_size=1),
            ConvReLU(4, 5, kernel_size=(1, 5), padding=(0, 2)),
            ConvReLU(5, 6, kernel_size=(5, 1), padding=(2, 0)),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=True),
            ConvReLU(n_in, 4, kernel_size=1),
        )

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


def inception():
    return nn.Sequential(
        *(ConvReLU(3, 8, kernel_size=3, stride=2), Inception(8), nn.MaxPool2d(2), Inception(24)),
        *(nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Dropout(), nn.Linear(24, 10)),
    )


class Fire(nn.Module):
    """Squeeze, then two ways to expand."""

    def __init__(self, n_in, squeeze, expand):
        super().__init__()
        self.squeeze = nn.Conv2d(n_in, squeeze, kernel_size=1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, kernel_size=1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, kernel_size=3, padding=1)

    def forward(self, x):
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], 1)


def squeezenet():
    """Its classifier is a convolution: the outputs are channels."""
    return nn.Sequential(
        *(nn.Conv2d(3, 8, kernel_size=3, stride=2), nn.ReLU(inplace=True)),
        *(nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True), Fire(8, 8, 6), Fire(12, 8, 8)),
        *(nn.Dropout(), nn.Conv2d(16, 10, kernel_size=1)),
        *(nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten()),
    )


class DualPathBlock(nn.Module):
    """A part of the channels is added to the stream, the rest is appended to it."""

    def __init__(self, n_in, width, added, appended, first):
        super().__init__()
        self.added = added
        self.conv1, self.bn1 = nn.Conv2d(n_in, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, groups=2, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, added + appended, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(added + appended)
        self.shortcut = nn.Sequential()
        if first:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_in, added + appended, 1, bias=False), nn.BatchNorm2d(added + appended)
            )

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(out)))))
        x, d = self.shortcut(x), self.added
        out = torch.cat([x[:, :d] + out[:, :d], x[:, d:], out[:, d:]], 1)
        return F.relu(out)


def dual_path():
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
        *(DualPathBlock(8, 8, 10, 4, True), DualPathBlock(18, 8, 10, 4, False)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(22, 10)),
    )


class SplitPaths(nn.Module):
    """One convolution whose channels torch.split sends two ways, and a gate of one by the other."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, stride=2, padding=1)
        self.left, self.right = nn.Conv2d(8, 6, 3, padding=1), nn.Conv2d(4, 6, 1)
        self.both = nn.Conv2d(6, 16, 1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        a, b = torch.split(F.relu(self.stem(x)), [8, 4], dim=1)
        x = F.relu(self.left(a) + self.right(b))
        value, gate = self.both(x).chunk(2, dim=1)
        return self.fc((value * torch.sigmoid(gate)).mean(dim=(-2, -1)))


IMAGES = floats(3, 16, 16)

DENSE = {
    "densenet": entry(
        densenet, IMAGES, "all later layers are consumers, each through its own norm"
    ),
    "inception": entry(inception, IMAGES, "four branches side by side, 1×5 and 5×1 kernels"),
    "squeezenet": entry(
        squeezenet, IMAGES, "two consumers, a concatenation, a convolution as classifier"
    ),
    "dual_path": entry(
        dual_path, IMAGES, "slices of channels: some added to the stream, some appended"
    ),
    "split_paths": entry(
        SplitPaths, IMAGES, "torch.split in unequal parts, chunk in a gated pair of halves"
    ),
}
