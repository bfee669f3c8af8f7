"""Small networks for the tests, each with one trap."""

import torch
import torch.nn.functional as F
from torch import nn


def chain(seed=0, bias=False):
    """Two convolutions with batch norm, pooling, a flatten and two linear layers."""
    torch.manual_seed(seed)
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1, bias=bias), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 6, 3, stride=2, padding=1, bias=bias), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(6 * 2 * 2, 10), nn.ReLU(), nn.Linear(10, 4)),
    )


class Twice(nn.Module):
    """A layer called twice."""

    def __init__(self):
        super().__init__()
        self.first, self.again, self.last = (nn.Linear(6, 6) for _ in range(3))

    def forward(self, x):
        return self.last(F.relu(self.again(F.relu(self.again(F.relu(self.first(x)))))))


class TwoHeads(nn.Module):
    """Hidden channels that are an output as well."""

    def __init__(self):
        super().__init__()
        self.body, self.head, self.mid = nn.Linear(6, 8), nn.Linear(8, 3), nn.Linear(6, 8)
        self.tail = nn.Linear(8, 6)

    def forward(self, x):
        hidden = F.relu(self.body(F.relu(self.tail(F.relu(self.mid(x))))))
        return self.head(hidden), hidden


class FixedView(nn.Module):
    """A view with sizes written into the code."""

    def __init__(self):
        super().__init__()
        self.conv, self.next = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 1)
        self.linear = nn.Linear(5 * 64, 3)

    def forward(self, x):
        return self.linear(self.next(F.relu(self.conv(x))).view(-1, 320))


class LayerNorm(nn.Module):
    """A norm over channels: a channel removed is not a channel silenced."""

    def __init__(self):
        super().__init__()
        self.one, self.norm, self.two = nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x):
        return self.two(F.relu(self.norm(self.one(x))))


class TwoInputs(nn.Module):
    """Two inputs by name."""

    def __init__(self):
        super().__init__()
        self.left, self.right, self.out = nn.Linear(4, 8), nn.Linear(3, 8), nn.Linear(16, 2)
        self.inner = nn.Linear(8, 8)

    def forward(self, a, b):
        both = torch.cat([F.relu(self.inner(F.relu(self.left(a)))), F.relu(self.right(b))], 1)
        return self.out(both)
