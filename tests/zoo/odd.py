"""Networks that use their layers, inputs or outputs in an unusual way."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

from tests.zoo.entry import entry, floats


class Siamese(nn.Module):
    """One tower for two images."""

    def __init__(self):
        super().__init__()
        self.tower = nn.Sequential(
            *(nn.Conv2d(1, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 12, 3, stride=2), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(12 * 9, 16), nn.ReLU(), nn.Linear(16, 6)),
        )
        self.out = nn.Linear(6, 1)

    def forward(self, left, right):
        return self.out((self.tower(left) - self.tower(right)).abs())


class Unrolled(nn.Module):
    """One layer called three times in a row, between two that are called once."""

    def __init__(self):
        super().__init__()
        self.first, self.again, self.last = nn.Linear(10, 12), nn.Linear(12, 12), nn.Linear(12, 4)

    def forward(self, x):
        x = F.relu(self.first(x))
        for _ in range(3):
            x = F.relu(self.again(x))
        return self.last(x)


class ImageAndNumbers(nn.Module):
    """Convolutions for the image, linear layers for the numbers, joined before the answer."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 10, 3, stride=2, padding=1)
        self.numbers = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU())
        self.joint = nn.Sequential(nn.Linear(10 * 16 + 6, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, image, numbers):
        x = F.relu(self.conv2(F.relu(self.bn(self.conv(image)))))
        return self.joint(torch.cat([x.flatten(1), self.numbers(numbers)], dim=-1))


class Named(nn.Module):
    """Inputs and outputs by name."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(6, 10), nn.Linear(4, 10)
        self.trunk = nn.Sequential(nn.Linear(10, 14), nn.ReLU(), nn.Linear(14, 8), nn.ReLU())
        self.label, self.box = nn.Linear(8, 3), nn.Linear(8, 4)

    def forward(self, signal, context=None):
        x = self.left(signal)
        if context is not None:
            x = x * torch.sigmoid(self.right(context))
        features = self.trunk(F.relu(x))
        return {"label": self.label(features), "box": self.box(features).tanh()}


class TwoHeads(nn.Module):
    """One body, two answers, and the features as a third."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 12, 3, stride=2, padding=1)),
            *(nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 10, 1), nn.ReLU()),
        )
        self.classes = nn.Sequential(nn.Linear(10, 12), nn.ReLU(), nn.Linear(12, 5))
        self.map = nn.Conv2d(10, 1, 3, padding=1)

    def forward(self, x):
        features = self.body(x)
        pooled = F.adaptive_avg_pool2d(features, 1).flatten(1)
        return self.classes(pooled), self.map(features), pooled


def parametrised():
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()),
        *(parametrizations.weight_norm(nn.Conv2d(8, 12, 3, stride=2, padding=1)), nn.ReLU()),
        *(nn.Conv2d(12, 12, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        *(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 4)),
    )


def normed(norm):
    """A chain in which ``norm``, given the width, makes every norm."""
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), norm(8), nn.ReLU()),
        *(nn.Conv2d(8, 12, 3, stride=2, padding=1), norm(12), nn.ReLU()),
        *(nn.Conv2d(12, 12, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Linear(12, 4),
    )


def per_channel():
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.PReLU(8)),
        *(nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.BatchNorm2d(12), nn.PReLU(12)),
        *(nn.Conv2d(12, 12, 3, padding=1), nn.PReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        *(nn.Linear(12, 16), nn.PReLU(16), nn.Linear(16, 4)),
    )


class Kernels(nn.Module):
    """Every option that a convolution has."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 8, 5, padding=2, padding_mode="reflect")
        self.b = nn.Conv2d(8, 10, (3, 5), stride=(2, 1), padding=(1, 2), padding_mode="circular")
        self.c = nn.Conv2d(10, 12, 3, padding="same", dilation=2)
        self.d = nn.Conv2d(12, 8, (1, 3), stride=(1, 3), padding="valid", bias=False)
        self.e = nn.Conv2d(8, 10, 2, dilation=(1, 2), padding=(1, 0), padding_mode="replicate")
        self.fc = nn.Linear(10, 4)

    def forward(self, x):
        for conv in (self.a, self.b, self.c, self.d, self.e):
            x = F.hardswish(conv(x))
        return self.fc(x.amax(dim=(2, 3)))


class MyConv(nn.Conv2d):
    """A subclass that standardises its weight each time it is called."""

    def forward(self, x):
        w = self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)
        w = w / (w.std(dim=(1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(x, w, self.bias, self.stride, self.padding, self.dilation, self.groups)


def subclassed():
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), MyConv(8, 12, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(12, 10, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Linear(10, 4),
    )


IMAGES = floats(3, 16, 16)


def by_name(count):
    return {"signal": floats(6)(count), "context": floats(4)(count)}


ODD = {
    "siamese": entry(
        Siamese,
        lambda count: tuple(floats(1, 16, 16)(2 * count).split(count)),
        "every layer of the tower is called twice",
    ),
    "unrolled": entry(Unrolled, floats(10), "a layer that takes from itself"),
    "two_inputs": entry(
        ImageAndNumbers,
        lambda count: (floats(3, 16, 16)(count), floats(5)(count)),
        "a flattened image beside a vector in one concatenation",
    ),
    "named": entry(Named, by_name, "dict in, dict out, a product of two layers"),
    "two_heads": entry(TwoHeads, IMAGES, "two consumers, and an output itself once pooled"),
    "weight_norm": entry(parametrised, IMAGES, "a layer whose weight is computed"),
    "group_norm": entry(
        lambda: normed(lambda width: nn.GroupNorm(4, width)),
        IMAGES,
        "norms over groups of channels",
    ),
    "instance_norm": entry(
        lambda: normed(lambda width: nn.InstanceNorm2d(width, affine=True)),
        IMAGES,
        "norms of each image alone, with weights",
    ),
    "prelu": entry(per_channel, IMAGES, "activations with a weight per channel"),
    "kernels": entry(Kernels, IMAGES, "padding modes, dilation, strides, rectangles, a maximum"),
    "subclass": entry(subclassed, IMAGES, "a subclass of Conv2d with a weight of its own making"),
}
