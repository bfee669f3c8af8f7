"""Networks that weigh their channels: squeeze, excite, multiply."""

import torch
from torch import nn

from tests.zoo.entry import entry, floats


class LinearGate(nn.Module):
    """Pool by a module, two linear layers, a view back to an image, a product by expand_as."""

    def __init__(self, channels, reduction=2):
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            *(nn.Linear(channels, channels // reduction, bias=False), nn.ReLU(inplace=True)),
            *(nn.Linear(channels // reduction, channels, bias=False), nn.Sigmoid()),
        )

    def forward(self, x):
        b, c, _, _ = x.size()
        y = self.avg_pool(x).view(b, c)
        y = self.fc(y).view(b, c, 1, 1)
        return x * y.expand_as(x)


class ConvGate(nn.Module):
    """Pool by a mean, two 1×1 convolutions, a product by broadcasting."""

    def __init__(self, channels, squeezed, activation=nn.ReLU):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)
        self.activation = activation()

    def forward(self, x):
        scale = x.mean((2, 3), keepdim=True)
        return torch.sigmoid(self.fc2(self.activation(self.fc1(scale)))) * x


class MeanGate(nn.Module):
    """Pool by a mean over [2, 3], and back to an image by indexing with None."""

    def __init__(self, channels, squeezed):
        super().__init__()
        self.down, self.up = nn.Linear(channels, squeezed), nn.Linear(squeezed, channels)

    def forward(self, x):
        s = x.mean([2, 3])
        s = self.up(torch.relu(self.down(s))).sigmoid()
        return x * s[:, :, None, None]


class GatedBlock(nn.Module):
    """A residual block with a gate on its branch."""

    def __init__(self, n_in, n_out, stride, gate):
        super().__init__()
        self.conv1, self.bn1 = (
            nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        self.conv2, self.bn2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out)
        self.relu, self.gate = nn.ReLU(inplace=True), gate(n_out)
        self.down = None
        if n_in != n_out:
            self.down = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x):
        out = self.gate(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))
        return self.relu(out + (x if self.down is None else self.down(x)))


def gated_resnet(gate):
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
        *(GatedBlock(8, 8, 1, gate), GatedBlock(8, 16, 2, gate), GatedBlock(16, 16, 1, gate)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)),
    )


def gated_chain():
    """Gates on a plain chain, where no stream ties the channels together."""
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), MeanGate(8, 6)),
        *(nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.ReLU(), MeanGate(12, 8)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5)),
    )


class MBConv(nn.Module):
    """Widen, filter each channel alone, gate, narrow; SiLU all along."""

    def __init__(self, n_in, n_out, expand, kernel, stride):
        super().__init__()
        wide = n_in * expand
        layers = []
        if expand != 1:
            layers += [nn.Conv2d(n_in, wide, 1, bias=False), nn.BatchNorm2d(wide, eps=1e-3)]
            layers += [nn.SiLU(inplace=True)]
        layers += [
            nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False),
            *(nn.BatchNorm2d(wide, eps=1e-3), nn.SiLU(inplace=True)),
            ConvGate(wide, max(1, n_in // 4), nn.SiLU),
            *(nn.Conv2d(wide, n_out, 1, bias=False), nn.BatchNorm2d(n_out, eps=1e-3)),
        ]
        self.block = nn.Sequential(*layers)
        self.use_res_connect = stride == 1 and n_in == n_out

    def forward(self, x):
        result = self.block(x)
        if self.use_res_connect:
            result += x
        return result


def efficientnet():
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8, eps=1e-3), nn.SiLU(True)),
        *(MBConv(8, 8, 1, 3, 1), MBConv(8, 12, 4, 3, 2), MBConv(12, 12, 4, 5, 1)),
        *(nn.Conv2d(12, 24, 1, bias=False), nn.BatchNorm2d(24, eps=1e-3), nn.SiLU(True)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(24, 10)),
    )


IMAGES = floats(3, 16, 16)

GATED = {
    "senet_linear": entry(
        lambda: gated_resnet(LinearGate), IMAGES, "gates by linear layers, view and expand_as"
    ),
    "senet_conv": entry(
        lambda: gated_resnet(lambda n: ConvGate(n, n // 2)), IMAGES, "gates by 1×1 convolutions"
    ),
    "gated_chain": entry(
        gated_chain, IMAGES, "gates by mean([2, 3]); channels make their own gate and take it"
    ),
    "efficientnet": entry(
        efficientnet, IMAGES, "gate behind a depthwise convolution, SiLU, a gate of two channels"
    ),
}
