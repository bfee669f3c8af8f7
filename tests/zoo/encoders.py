"""Networks that shrink an image and grow it again."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo.entry import entry, floats


def double_conv(n_in, n_out):
    return nn.Sequential(
        *(nn.Conv2d(n_in, n_out, 3, padding=1), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)),
        *(nn.Conv2d(n_out, n_out, 3, padding=1), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)),
    )


class Up(nn.Module):
    """Grow by a transposed convolution, pad to the size of the skip, set both side by side."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.up = nn.ConvTranspose2d(n_in, n_in // 2, kernel_size=2, stride=2)
        self.conv = double_conv(n_in, n_out)

    def forward(self, x, skip):
        x = self.up(x)
        dy, dx = skip.size(2) - x.size(2), skip.size(3) - x.size(3)
        x = F.pad(x, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
        return self.conv(torch.cat([skip, x], dim=1))


class UNet(nn.Module):
    """Two levels down, two levels up, a class for every pixel."""

    def __init__(self):
        super().__init__()
        self.inc, self.pool = double_conv(3, 6), nn.MaxPool2d(2)
        self.down1, self.down2 = double_conv(6, 12), double_conv(12, 24)
        self.up1, self.up2 = Up(24, 12), Up(12, 6)
        self.outc = nn.Conv2d(6, 2, kernel_size=1)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.down1(self.pool(x1))
        x3 = self.down2(self.pool(x2))
        return self.outc(self.up2(self.up1(x3, x2), x1))


class InterpolatingUNet(nn.Module):
    """The same by interpolation, with a sum for one skip and a concatenation for the other."""

    def __init__(self):
        super().__init__()
        self.enc1, self.enc2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 12, 3, 2, 1)
        self.enc3 = nn.Conv2d(12, 16, 3, 2, 1)
        self.dec2, self.dec1 = nn.Conv2d(16, 12, 3, padding=1), nn.Conv2d(20, 8, 3, padding=1)
        self.out = nn.Conv2d(8, 1, 1)

    def forward(self, x):
        a = F.relu(self.enc1(x))
        b = F.relu(self.enc2(a))
        c = F.relu(self.enc3(b))
        c = F.interpolate(c, scale_factor=2, mode="bilinear", align_corners=False)
        d = F.relu(self.dec2(c) + b)
        d = F.interpolate(d, size=a.shape[-2:], mode="nearest")
        return torch.sigmoid(self.out(F.relu(self.dec1(torch.cat((d, a), 1)))))


def autoencoder():
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(12, 6, 4), nn.ReLU()),
        *(nn.ConvTranspose2d(6, 12, 4), nn.ReLU()),
        *(nn.ConvTranspose2d(12, 8, 3, stride=2, padding=1, output_padding=1), nn.ReLU()),
        *(nn.ConvTranspose2d(8, 3, 3, stride=2, padding=1, output_padding=1), nn.Sigmoid()),
    )


class Generator(nn.Module):
    """From a vector by a linear layer and a view to an image; transposed convolutions with norm."""

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(10, 16 * 4 * 4)
        self.main = nn.Sequential(
            *(nn.BatchNorm2d(16), nn.ReLU(True)),
            *(nn.ConvTranspose2d(16, 8, 4, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(True)),
            *(nn.ConvTranspose2d(8, 3, 4, 2, 1, bias=False), nn.Tanh()),
        )

    def forward(self, z):
        return self.main(self.project(z).view(-1, 16, 4, 4))


class Variational(nn.Module):
    """Two heads for mean and spread, and three outputs."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(20, 16), nn.ReLU())
        self.mean, self.log_variance = nn.Linear(16, 4), nn.Linear(16, 4)
        self.decoder = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 20))

    def forward(self, x):
        hidden = self.encoder(x)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp() if self.training else mean
        return self.decoder(z), mean, log_variance


class SuperResolution(nn.Module):
    """Pixel shuffle: four channels become the four pixels of one."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 5, padding=2), nn.Conv2d(8, 6, 3, padding=1)
        self.conv3, self.shuffle = nn.Conv2d(6, 16, 3, padding=1), nn.PixelShuffle(2)
        self.conv4 = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, x):
        x = torch.tanh(self.conv2(torch.tanh(self.conv1(x))))
        return self.conv4(torch.relu(self.shuffle(self.conv3(x))))


class TiedAutoencoder(nn.Module):
    """The decoder is the encoder's weight, transposed."""

    def __init__(self):
        super().__init__()
        self.inner, self.code = nn.Linear(20, 12), nn.Linear(12, 6)
        self.bias = nn.Parameter(torch.zeros(12))
        self.out = nn.Linear(12, 20)

    def forward(self, x):
        code = torch.relu(self.code(torch.relu(self.inner(x))))
        return self.out(torch.relu(F.linear(code, self.code.weight.t(), self.bias)))


IMAGES = floats(3, 16, 16)

ENCODERS = {
    "unet": entry(
        UNet, floats(3, 18, 18), "skips side by side with transposed convolutions, padded to fit"
    ),
    "unet_interpolated": entry(
        InterpolatingUNet, IMAGES, "one skip is a sum, one a concatenation; interpolation between"
    ),
    "autoencoder": entry(autoencoder, IMAGES, "transposed convolutions in a chain"),
    "generator": entry(
        Generator, floats(10), "a linear layer viewed as an image with its sizes written out"
    ),
    "variational": entry(Variational, floats(20), "two outputs that feed on, inside and outside"),
    "pixel_shuffle": entry(SuperResolution, floats(1, 12, 12), "groups of four channels are one"),
    "tied_autoencoder": entry(TiedAutoencoder, floats(20), "a weight used twice, once transposed"),
}
