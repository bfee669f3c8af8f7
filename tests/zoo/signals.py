"""Networks for one and three dimensions, and for time."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo.entry import entry, floats, tokens


def signal():
    return nn.Sequential(
        *(nn.Conv1d(2, 8, 7, stride=2, padding=3, bias=False), nn.BatchNorm1d(8), nn.ReLU()),
        *(nn.MaxPool1d(2), nn.Conv1d(8, 12, 3, padding=2, dilation=2), nn.BatchNorm1d(12)),
        *(nn.ReLU(), nn.Conv1d(12, 12, 5, padding=2, groups=12), nn.Conv1d(12, 16, 1), nn.ReLU()),
        *(nn.AdaptiveAvgPool1d(4), nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 5)),
    )


class Denoiser(nn.Module):
    """Down and up along time, with the input's length restored by a slice."""

    def __init__(self):
        super().__init__()
        self.down1, self.down2 = nn.Conv1d(1, 8, 4, 2, 1), nn.Conv1d(8, 12, 4, 2, 1)
        self.up1, self.up2 = nn.ConvTranspose1d(12, 8, 4, 2, 1), nn.ConvTranspose1d(8, 1, 5, 2, 1)

    def forward(self, x):
        y = F.leaky_relu(self.down2(F.leaky_relu(self.down1(x), 0.1)), 0.1)
        y = self.up2(F.leaky_relu(self.up1(y), 0.1))
        return x - y[..., : x.shape[-1]]


class Causal(nn.Module):
    """Dilated convolutions over the past alone: padded left, summed, and skips collected."""

    def __init__(self, width=8, layers=3):
        super().__init__()
        self.start = nn.Conv1d(1, width, 1)
        self.filters = nn.ModuleList(
            nn.Conv1d(width, width, 2, dilation=2**i) for i in range(layers)
        )
        self.gates = nn.ModuleList(nn.Conv1d(width, width, 2, dilation=2**i) for i in range(layers))
        self.stream = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(layers))
        self.skips = nn.ModuleList(nn.Conv1d(width, 12, 1) for _ in range(layers))
        self.end = nn.Conv1d(12, 4, 1)

    def forward(self, x):
        x, total = self.start(x), 0
        for i, (f, g, r, s) in enumerate(
            zip(self.filters, self.gates, self.stream, self.skips, strict=True)
        ):
            padded = F.pad(x, (2**i, 0))
            y = torch.tanh(f(padded)) * torch.sigmoid(g(padded))
            total = total + s(y)
            x = x + r(y)
        return self.end(F.relu(total))


class Volume(nn.Module):
    """Three-dimensional convolutions, one of them transposed."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv3d(1, 6, 3, padding=1), nn.BatchNorm3d(6), nn.ReLU(), nn.MaxPool3d(2)),
            *(nn.Conv3d(6, 8, 3, padding=1), nn.ReLU(), nn.ConvTranspose3d(8, 6, 2, stride=2)),
            *(nn.ReLU(), nn.Conv3d(6, 10, (1, 3, 3)), nn.ReLU(), nn.AdaptiveAvgPool3d(1)),
        )
        self.classifier = nn.Linear(10, 3)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class Recurrent(nn.Module):
    """Convolutions over a picture of sound, columns as time for an LSTM, its last state read."""

    def __init__(self):
        super().__init__()
        self.cnn = nn.Sequential(
            *(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d((2, 2))),
            *(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d((4, 1))),
        )
        self.lstm = nn.LSTM(8, 12, batch_first=True)
        self.fc = nn.Linear(12, 5)

    def forward(self, x):
        x = self.cnn(x).squeeze(2).permute(0, 2, 1)  # (batch, time, 8)
        out, _ = self.lstm(x)
        return self.fc(out[:, -1])


class TextConv(nn.Module):
    """Embedded words, convolutions of three widths over them, the maximum of each."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 10)
        self.convs = nn.ModuleList(nn.Conv1d(10, 6, size) for size in (2, 3, 4))
        self.hidden, self.out = nn.Linear(18, 12), nn.Linear(12, 2)

    def forward(self, words):
        x = self.embedding(words).transpose(1, 2)  # (batch, 10, length)
        x = torch.cat([F.relu(conv(x)).max(dim=2)[0] for conv in self.convs], dim=1)
        return self.out(F.relu(self.hidden(x)))


SIGNALS = {
    "signal": entry(signal, floats(2, 64), "Conv1d, a depthwise one among them; flatten of 4"),
    "denoiser": entry(Denoiser, floats(1, 64), "ConvTranspose1d; the output is cut to length"),
    "causal": entry(
        Causal, floats(1, 32), "products of two convolutions, a stream and a sum of skips"
    ),
    "volume": entry(Volume, floats(1, 8, 8, 8), "Conv3d, ConvTranspose3d, BatchNorm3d"),
    "recurrent": entry(Recurrent, floats(1, 8, 16), "the last convolution feeds an LSTM"),
    "text": entry(TextConv, tokens(30, 12), "whole numbers in; an embedding with three consumers"),
}
