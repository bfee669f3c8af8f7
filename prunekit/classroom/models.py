"""Networks small enough to study: fully connected, plain, residual, depthwise and dense.

Every function returns an untrained ``nn.Module`` and names its source. The inputs are
``(batch, 3, 32, 32)`` images, unless the function says otherwise.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "densenet",
    "lenet5",
    "mlp",
    "mobilenet_v2",
    "resnet20",
    "resnet32",
    "resnet56",
    "small_cnn",
    "vgg16",
]


def mlp(inputs: int = 64, hidden: tuple[int, ...] = (64, 32), classes: int = 10) -> nn.Sequential:
    """Fully connected network with ReLU; the default reads 8×8 digits. Takes (batch, 1, 8, 8).

    Source: the multilayer perceptron of Rumelhart, Hinton & Williams (1986), with ReLU.
    """
    widths = (inputs, *hidden)
    layers: list[nn.Module] = [nn.Flatten()]
    for n_in, n_out in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], classes))


def lenet5(in_channels: int = 3, classes: int = 10) -> nn.Sequential:
    """LeNet-5 with ReLU and max pooling, for 32×32 images.

    Source: LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document
    recognition", Proc. IEEE 86(11), 1998 (there with trainable pooling and RBF outputs).
    """
    return nn.Sequential(
        *(nn.Conv2d(in_channels, 6, 5), nn.ReLU(), nn.MaxPool2d(2)),  # (batch, 6, 14, 14)
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),  # (batch, 16, 5, 5)
        *(nn.Flatten(), nn.Linear(400, 120), nn.ReLU()),
        *(nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes)),
    )


def _conv_bn_relu(n_in: int, n_out: int, kernel: int = 3, stride: int = 1, groups: int = 1):
    """Convolution without bias, batch norm, ReLU: the brick of most networks below."""
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(),
    )


def small_cnn(classes: int = 10) -> nn.Sequential:
    """Four convolutions in a row, 24 to 48 channels: the smallest network with k×k kernels.

    Source: our own, a shortened VGG.
    """
    return nn.Sequential(
        *(*_conv_bn_relu(3, 24), nn.MaxPool2d(2)),  # (batch, 24, 16, 16)
        *(*_conv_bn_relu(24, 32), nn.MaxPool2d(2)),  # (batch, 32, 8, 8)
        *(*_conv_bn_relu(32, 48), nn.MaxPool2d(2)),  # (batch, 48, 4, 4)
        *_conv_bn_relu(48, 48),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, classes)),
    )


def vgg16(width: float = 1.0, classes: int = 10) -> nn.Sequential:
    """VGG-16 for 32×32 images, with batch norm and one linear layer; ``width`` scales channels.

    Source: Simonyan & Zisserman, ICLR 2015 (configuration D); the CIFAR form with batch norm
    and a single classifier layer is the one common in pruning papers (Li et al., ICLR 2017).
    """
    layers: list[nn.Module] = []
    n_in = 3
    for stage in ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3):
        for channels in stage:
            n_out = max(1, round(channels * width))
            layers += _conv_bn_relu(n_in, n_out)
            n_in = n_out
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(n_in, classes))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut: relu(x + f(x)).

    Option A has no weights on the shortcut: it takes every second pixel and pads zero channels.
    Option B puts a 1×1 convolution there.
    """

    def __init__(self, n_in: int, n_out: int, stride: int, option: str):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.stride, self.padding = stride, (n_out - n_in) // 2
        self.shortcut = nn.Sequential()
        if option == "B" and (stride != 1 or n_in != n_out):
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if len(self.shortcut):
            x = self.shortcut(x)
        elif self.padding or self.stride != 1:
            s, p = self.stride, self.padding
            x = F.pad(x[:, :, ::s, ::s], (0, 0, 0, 0, p, p))
        return F.relu(out + x)


class ResNet(nn.Module):
    """CIFAR ResNet of depth 6n+2: three stages of n blocks with 16, 32 and 64 channels."""

    def __init__(self, blocks: int, classes: int = 10, option: str = "A", width: int = 16):
        super().__init__()
        if option not in ("A", "B"):
            raise ValueError(f"option must be 'A' or 'B' (the shortcut), got {option!r}")
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = self._stage(width, width, blocks, 1, option)
        self.layer2 = self._stage(width, 2 * width, blocks, 2, option)
        self.layer3 = self._stage(2 * width, 4 * width, blocks, 2, option)
        self.linear = nn.Linear(4 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    @staticmethod
    def _stage(n_in: int, n_out: int, blocks: int, stride: int, option: str) -> nn.Sequential:
        first = BasicBlock(n_in, n_out, stride, option)
        return nn.Sequential(
            first, *(BasicBlock(n_out, n_out, 1, option) for _ in range(blocks - 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))  # (batch, 16, 32, 32)
        x = self.layer3(self.layer2(self.layer1(x)))  # (batch, 64, 8, 8)
        return self.linear(x.mean((2, 3)))  # (batch, classes)


def resnet20(classes: int = 10, option: str = "A") -> ResNet:
    """ResNet-20 for CIFAR-10; 40.6 million MACs, 270 thousand parameters with option A.

    Source: He, Zhang, Ren & Sun, "Deep residual learning for image recognition", CVPR 2016,
    section 4.2. The state dict has the key names of Y. Idelbayev's public checkpoints
    (github.com/akamaster/pytorch_resnet_cifar10, option A), once ``module.`` is dropped.
    """
    return ResNet(3, classes, option)


def resnet32(classes: int = 10, option: str = "A") -> ResNet:
    """ResNet-32 for CIFAR-10; source and key names as in `resnet20`."""
    return ResNet(5, classes, option)


def resnet56(classes: int = 10, option: str = "A") -> ResNet:
    """ResNet-56 for CIFAR-10; source and key names as in `resnet20`."""
    return ResNet(9, classes, option)


class InvertedResidual(nn.Module):
    """Widen with 1×1, filter each channel alone (depthwise 3×3), narrow with 1×1, add."""

    def __init__(self, n_in: int, n_out: int, stride: int, expansion: int):
        super().__init__()
        hidden = n_in * expansion
        self.body = nn.Sequential(
            *(_conv_bn_relu(n_in, hidden, kernel=1) if expansion != 1 else ()),
            *_conv_bn_relu(hidden, hidden, stride=stride, groups=hidden),
            nn.Conv2d(hidden, n_out, 1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        self.residual = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.residual else self.body(x)


def mobilenet_v2(width: float = 0.5, classes: int = 10) -> nn.Sequential:
    """MobileNetV2 for 32×32 images: the first two strides are 1, the rest as published.

    Source: Sandler, Howard, Zhu, Zhmoginov & Chen, CVPR 2018, table 2, with ReLU for ReLU6.
    """

    def scaled(channels: int) -> int:
        return max(8, round(channels * width / 8) * 8)

    n_in = scaled(32)
    layers: list[nn.Module] = [*_conv_bn_relu(3, n_in)]
    for expansion, channels, repeats, stride in (
        *((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2)),
        *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
    ):
        for i in range(repeats):
            layers.append(
                InvertedResidual(n_in, scaled(channels), stride if i == 0 else 1, expansion)
            )
            n_in = scaled(channels)
    last = scaled(1280)
    return nn.Sequential(
        *layers,
        *_conv_bn_relu(n_in, last, kernel=1),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, classes)),
    )


class DenseLayer(nn.Module):
    """Batch norm, ReLU, 3×3 convolution; what it computes is appended to what it got."""

    def __init__(self, n_in: int, growth: int):
        super().__init__()
        self.bn = nn.BatchNorm2d(n_in)
        self.conv = nn.Conv2d(n_in, growth, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(F.relu(self.bn(x)))], 1)


def densenet(depth: int = 22, growth: int = 12, classes: int = 10) -> nn.Sequential:
    """DenseNet for 32×32 images: three dense blocks of (depth − 4)/3 layers.

    Source: Huang, Liu, van der Maaten & Weinberger, CVPR 2017, the CIFAR network without
    bottlenecks (there depth 40, growth 12).
    """
    n = 2 * growth
    layers: list[nn.Module] = [nn.Conv2d(3, n, 3, 1, 1, bias=False)]
    for block in range(3):
        for _ in range((depth - 4) // 3):
            layers.append(DenseLayer(n, growth))
            n += growth
        layers += [nn.BatchNorm2d(n), nn.ReLU()]
        if block < 2:
            layers += [nn.Conv2d(n, n, 1, bias=False), nn.AvgPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n, classes))
