"""What comes behind a layer, on networks written by hand; and walks that wait at additions."""

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from prunekit.network.behind import Behind, behind
from prunekit.network.recording import record
from prunekit.network.walk import Walk

IMAGES = torch.randn(12, 3, 6, 6, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    """A residual block whose addition is written as ``how`` says."""

    def __init__(self, how="plus", norm=True, between=False):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv2d(3, 4, 1), nn.Linear(4, 2)
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.side, self.how, self.normed, self.between = nn.Conv2d(4, 4, 1), how, norm, between
        nn.init.uniform_(self.norm.weight, 0.5, 2.0)
        nn.init.normal_(self.norm.bias)
        self.floats = torch.ao.nn.quantized.FloatFunctional()

    def forward(self, x):
        x = F.relu(self.first(x))
        y = self.conv(x)
        y = self.norm(y) if self.normed else y
        skip = self.side(x) if self.between else x
        if self.how == "plus":
            y = y + skip
        elif self.how == "in place":
            y += skip
        elif self.how == "into the skip":
            skip += y
            y = skip
        elif self.how == "function":
            y = torch.add(skip, y)
        elif self.how == "module":
            y = self.floats.add(y, skip)
        elif self.how == "halved":
            y = torch.add(y, skip, alpha=0.5)
        elif self.how == "taken twice":
            y = y + skip + y
        return self.last(F.relu(y).mean((2, 3)))


SUMS = ["plus", "in place", "into the skip", "function", "module"]


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("how", SUMS)
def test_an_addition_is_seen_however_it_is_written(how, norm):
    found = behind(Block(how, norm).eval(), IMAGES)
    assert found["conv"] == Behind("norm" if norm else None, adds=True, relu=True)
    assert found["first"] == Behind(relu=True) and found["last"] == Behind()


def test_what_is_no_plain_sum_is_none():
    for how in ("halved", "taken twice"):
        assert not behind(Block(how).eval(), IMAGES)["conv"].adds
    found = behind(Block(between=True).eval(), IMAGES)
    assert found["conv"] == Behind("norm")  # another layer comes in between,
    assert found["side"] == Behind(adds=True, relu=True)  # and takes it over


@pytest.mark.parametrize("memory", [None, 0])
@pytest.mark.parametrize("between", [True, False])
@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("how", SUMS)
def test_outputs_to_aim_at_make_the_sum_right(how, norm, between, memory):
    """With the layer's outputs as they are aimed at, the sum is that of the original."""
    model = Block(how, norm, between).eval()
    pruned, name = copy.deepcopy(model), "side" if between else "conv"
    follows = behind(model, IMAGES)
    layers = {"first": 1, "conv": 1, **({"side": 1} if between else {}), "last": 1}
    sums = {}

    def note(which, layer, args):
        sums[which] = args[0].detach().clone()

    for one in (model, pruned):
        one.last.register_forward_pre_hook(partial(note, id(one)))
    batches = IMAGES.split(5)
    with torch.no_grad():
        pruned.first.weight += 0.3  # the stream drifts
        with Walk(model, pruned, layers, batches, behind=follows, memory=memory) as walk:
            for batch, seen in zip(batches, walk.seen(name), strict=True):
                ((taken, _),) = record(pruned, {name: 1}, batch)[name]
                torch.testing.assert_close(seen.taken, taken)
                z = seen.scale * seen.aim + seen.offset
                model(batch)
                torch.testing.assert_close(F.relu(z).mean((2, 3)), sums[id(model)])
            layer = pruned.get_submodule(name)
            layer.weight.mul_(0.5)  # a pass that waited at the addition says it again
            layer.bias.add_(0.1)
            outputs = [now for _, (now,) in walk.outputs()]
        for batch, found in zip(batches, outputs, strict=True):
            torch.testing.assert_close(found, pruned(batch))
