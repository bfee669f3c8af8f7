"""Chains: every layer takes from the one before it."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo.entry import entry, floats


def mlp():
    return nn.Sequential(
        *(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 12, bias=False), nn.Tanh()),
        nn.Linear(12, 5),
    )


class LeNet(nn.Module):
    """Convolutions and linear layers as attributes, everything between them as functions."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 10, 3)
        self.fc1, self.fc2, self.fc3 = nn.Linear(10 * 4, 24), nn.Linear(24, 16), nn.Linear(16, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)  # (batch, 6, 6, 6)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)  # (batch, 10, 2, 2)
        x = torch.flatten(x, 1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class VGG(nn.Module):
    """A plan of widths and "M" for pooling, then a classifier with dropout."""

    def __init__(self, plan, batch_norm):
        super().__init__()
        layers, width = [], 3
        for item in plan:
            if item == "M":
                layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
                continue
            layers.append(nn.Conv2d(width, item, kernel_size=3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(item))
            layers.append(nn.ReLU(inplace=True))
            width = item
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(
            *(nn.Linear(width * 4, 32), nn.ReLU(True), nn.Dropout(0.5)),
            *(nn.Linear(32, 24), nn.ReLU(True), nn.Dropout(0.5), nn.Linear(24, 10)),
        )

    def forward(self, x):
        x = self.avgpool(self.features(x))
        return self.classifier(torch.flatten(x, 1))


class FunctionalNet(nn.Module):
    """No module but the layers; pooling to one pixel by its own size, then squeezed away."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(
            [nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 12, 3, padding=1), nn.Conv2d(12, 16, 3)]
        )
        self.out = nn.Linear(16, 4)

    def forward(self, x):
        for conv in self.convs:
            x = F.max_pool2d(torch.relu(conv(x)), kernel_size=2)
        x = F.avg_pool2d(x, x.shape[2:]).squeeze(-1).squeeze(-1)
        return F.log_softmax(self.out(F.dropout(x, training=self.training)), dim=1)


class FixedViews(nn.Module):
    """Sizes written into the code in three places."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(8, 6, 3, stride=2, padding=1)
        self.mix = nn.Linear(16, 16)
        self.fc1, self.fc2 = nn.Linear(6 * 4 * 4, 12), nn.Linear(12, 3)

    def forward(self, x):
        x = F.relu(self.conv2(F.relu(self.conv1(x))))  # (batch, 6, 4, 4)
        x = F.relu(self.mix(x.reshape(-1, 6, 16)))
        x = self.fc1(x.view(-1, 6 * 4 * 4))
        return self.fc2(F.relu(x).view(x.size(0), 12))


class Flattened(nn.Module):
    """A view by the sizes of the tensor itself: the same flatten, written the older way."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 8, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(8)),
            *(nn.LeakyReLU(0.2, inplace=True), nn.Conv2d(8, 12, 4, stride=2, padding=1)),
            *(nn.BatchNorm2d(12), nn.LeakyReLU(0.2, inplace=True)),
        )
        self.fc, self.bn, self.score = nn.Linear(192, 20), nn.BatchNorm1d(20), nn.Linear(20, 1)

    def forward(self, x):
        x = self.features(x)
        x = x.view(x.size(0), -1)
        return torch.sigmoid(self.score(F.elu(self.bn(self.fc(x)))))


IMAGES = floats(3, 16, 16)

PLAIN = {
    "mlp": entry(mlp, floats(20), "nothing to fear, but one layer has no bias"),
    "lenet": entry(LeNet, floats(1, 16, 16), "a flatten: four inputs of fc1 per channel"),
    "vgg_bn": entry(
        lambda: VGG((8, "M", 12, 12, "M", 16, 16, "M"), True),
        IMAGES,
        "adaptive pooling to 2×2 before the flatten, in-place ReLUs, dropout",
    ),
    "vgg": entry(
        lambda: VGG((8, 8, "M", 12, "M", 16, "M"), False), IMAGES, "no batch norm, biases matter"
    ),
    "functional_cnn": entry(FunctionalNet, IMAGES, "operations as functions, layers in a list"),
    "fixed_views": entry(FixedViews, IMAGES, "sizes of channels written into views"),
    "discriminator": entry(
        Flattened, IMAGES, "even kernels, leaky ReLU, flatten by view, BatchNorm1d, one output"
    ),
}
