"""Where networks can be pruned, and the reasons where they cannot."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import prunekit as pk
from prunekit.classroom import models

from .networks import FixedView, LayerNorm, Twice, TwoHeads, TwoInputs, chain

IMAGE = torch.randn(2, 3, 8, 8)


def by_name(model, example, **kwargs):
    return {site.name: site for site in pk.find_sites(model, example, **kwargs)}


def test_chain():
    sites = by_name(chain(), IMAGE)
    assert {n: (s.channels, s.consumers) for n, s in sites.items() if s.reason is None} == {
        "0": (8, ("3",)),
        "3": (6, ("7",)),
        "7": (10, ("9",)),
    }
    assert "outputs of the network" in sites["9"].reason


@pytest.mark.parametrize("option", ["A", "B"])
def test_resnet_prunes_inside_blocks_only(option):
    sites = by_name(models.resnet20(option=option), torch.randn(1, 3, 32, 32))
    inside = {f"layer{stage}.{block}.conv1" for stage in (1, 2, 3) for block in range(3)}
    assert {name for name, site in sites.items() if site.reason is None} == inside
    for name in inside:
        assert sites[name].consumers == (name.replace("conv1", "conv2"),)
    assert "residual" in sites["conv1"].reason


def test_depthwise_convolutions_pass_channels_on():
    sites = by_name(models.mobilenet_v2(0.25), torch.randn(1, 3, 32, 32))
    assert sites["4.body.0"].consumers == ("4.body.6",) and sites["4.body.0"].reason is None
    assert "4.body.3" not in sites


def test_concatenated_channels_are_taken_by_several_layers():
    sites = by_name(models.densenet(depth=10, growth=4), torch.randn(1, 3, 32, 32))
    assert all(site.reason is None for name, site in sites.items() if name != list(sites)[-1])
    inputs = sites["1.conv"].consumer_inputs
    assert len(inputs) > 1 and all(taken.channels.shape == (4, 1) for taken in inputs)
    assert all(taken.width > 4 for taken in inputs[1:])


@pytest.mark.parametrize(
    ("model", "example", "name", "reason"),
    [
        (TwoHeads(), torch.randn(2, 6), "body", "outputs of the network"),
        (FixedView(), IMAGE, "next", "fails without a channel"),
        (LayerNorm(), torch.randn(2, 6), "one", "a norm or softmax"),
        (nn.Sequential(nn.Conv2d(3, 1, 3), nn.Conv2d(1, 2, 3)), IMAGE, "0", "single channel"),
        (
            nn.Sequential(nn.Linear(6, 6), weight_norm(nn.Linear(6, 6)), nn.Linear(6, 2)),
            *(torch.randn(2, 6), "0", "remove_parametrizations"),
        ),
    ],
)
def test_reasons(model, example, name, reason):
    assert reason in by_name(model, example)[name].reason


class Rolled(nn.Module):
    """Channels that change places."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(3, 8, 1, bias=False) for _ in range(3))
        self.b, self.c = nn.Conv2d(8, 8, 1, bias=False), nn.Conv2d(8, 2, 1, bias=False)

    def forward(self, x):
        return self.c(torch.roll(self.b(self.a(x).relu()).relu(), 1, dims=1))


def test_a_layer_called_twice_hears_and_makes_the_same_channels():
    site = by_name(Twice(), torch.randn(2, 6))["first"]
    assert set(site.producers) == {"first", "again"}
    assert "residual" not in (site.reason or "")


def test_an_example_of_zeros_hides_nothing():
    sites = by_name(Rolled(), torch.zeros(1, 3, 8, 8))
    assert "does not act as silencing" in sites["b"].reason and sites["a"].reason is None


def test_tied_weights_are_left_alone():
    model = nn.Sequential(*(nn.Linear(6, 6) for _ in range(4)))
    model[2].weight = model[1].weight
    sites = by_name(model, torch.randn(2, 6))
    assert all("shares its weights" in sites[name].reason for name in ("0", "1", "2"))


def test_circular_padding_changes_no_structure():
    conv = nn.Conv2d(8, 4, 3, padding=1, padding_mode="circular")
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), conv)
    assert by_name(model, IMAGE)["0"].reason is None


def test_the_rest_of_a_network_with_a_trap_is_found():
    assert by_name(TwoHeads(), torch.randn(2, 6))["mid"].reason is None
    assert by_name(FixedView(), IMAGE)["conv"].reason is None


def test_several_inputs():
    a, b = torch.randn(2, 4), torch.randn(2, 3)
    for example in ((a, b), [a, b], {"a": a, "b": b}):
        assert by_name(TwoInputs(), example)["left"].reason is None


@pytest.mark.parametrize("ignored", ["7", ["7"], nn.Linear, "module"])
def test_ignored_layers(ignored):
    model = chain()
    ignored = model[7] if ignored == "module" else ignored
    sites = by_name(model, IMAGE, ignored_layers=ignored)
    assert "ignored_layers" in sites["7"].reason and "ignored_layers" in sites["3"].reason
    assert sites["0"].reason is None


def test_ignored_containers_count_whole_and_unknown_names_are_refused():
    sites = by_name(models.resnet20(), torch.randn(1, 3, 32, 32), ignored_layers=["layer1"])
    assert "ignored_layers" in sites["layer1.0.conv1"].reason
    assert sites["layer2.0.conv1"].reason is None
    with pytest.raises(ValueError, match="'nonsense' is not a layer"):
        pk.find_sites(chain(), IMAGE, ["nonsense"])


@pytest.mark.parametrize("example", ["text", None, (), {"a": 3}])
def test_bad_examples(example):
    with pytest.raises(TypeError, match="example_inputs must be"):
        pk.find_sites(chain(), example)


def test_the_network_is_not_touched():
    model = chain().train()
    model[0].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pk.find_sites(model, IMAGE)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert not model[0].weight.requires_grad and model[3].weight.requires_grad
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
