"""Models, training and the shipped weights."""

import re

import pytest
import torch
from torch import nn

import prunekit as pk
from prunekit.classroom import data, models, pretrained, training

IMAGE = torch.randn(2, 3, 32, 32)


@pytest.mark.parametrize("name", models.__all__)
def test_every_model_runs_and_names_its_source(name):
    build = getattr(models, name)
    model = build().eval()
    x = torch.randn(2, 1, 8, 8) if name == "mlp" else IMAGE
    assert model(x).shape == (2, 10)
    assert "Source:" in build.__doc__ or "source" in build.__doc__


def test_sizes_that_were_published():
    for build, millions in (
        (models.resnet20, 0.27),
        (models.resnet32, 0.46),
        (models.resnet56, 0.85),
    ):
        assert pk.count_params(build()) / 1e6 == pytest.approx(millions, abs=0.007)
    convs = [m for m in models.vgg16().modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convs] == [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
    assert models.vgg16(0.5)[0].out_channels == 32


def test_shortcut_options():
    plain, projected = models.resnet20(option="A"), models.resnet20(option="B")
    assert len(projected.layer2[0].shortcut) == 2 and not len(plain.layer2[0].shortcut)
    with pytest.raises(ValueError, match="option must be 'A' or 'B'"):
        models.resnet20(option="C")


def test_option_a_has_the_keys_of_the_public_checkpoints():
    keys = set(models.resnet20().state_dict())
    assert {"conv1.weight", "bn1.running_mean", "layer3.2.bn2.bias", "linear.weight"} <= keys
    pattern = r"(conv1|bn1|linear|layer[123]\.[012]\.(conv|bn)[12])\.\w+"
    assert all(re.fullmatch(pattern, key) for key in keys)
    assert len(keys) == 1 + 5 + 9 * 2 * 6 + 2


def test_option_a_shortcut_pads_channels_and_skips_pixels():
    block = models.resnet20().layer2[0].eval()
    nn.init.zeros_(block.bn2.weight)  # the branch says nothing: what is left is the shortcut
    x = torch.rand(1, 16, 8, 8)
    out = block(x)
    assert torch.equal(out[:, 8:24], x[:, :, ::2, ::2])
    assert not out[:, :8].any() and not out[:, 24:].any()


def test_training_learns_and_is_repeatable():
    part = data.digits("train").sample(300)

    def train():
        torch.manual_seed(0)
        model = models.mlp()
        losses = training.train(
            model, part, epochs=6, lr=0.1, batch_size=32, augment=False, progress=False
        )
        return model, losses

    (first, losses), (again, _) = train(), train()
    assert losses[-1] < 0.5 * losses[0] and not first.training
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)
    )


def test_accuracy_counts_and_restores_the_mode():
    part = data.digits("test")

    class Label3(nn.Module):
        def forward(self, x):
            return nn.functional.one_hot(torch.full((len(x),), 3), 10).float()

    model = Label3().train()
    want = 100 * (part.labels == 3).double().mean().item()
    assert training.accuracy(model, part, batch_size=7) == pytest.approx(want)
    assert model.training


def test_augmentation_shifts_by_at_most_the_margin_and_flips():
    image = torch.zeros(1, 1, 9, 9, dtype=torch.uint8)
    image[0, 0, 4, 4] = 1
    many = training.shift_and_flip(image.expand(500, 1, 9, 9), torch.Generator().manual_seed(0), 2)
    places = {tuple(place.tolist()) for place in many[:, 0].nonzero()[:, 1:]}
    assert places == {(y, x) for y in range(2, 7) for x in range(2, 7)}


@pytest.mark.parametrize("name", pretrained.RECIPES)
def test_shipped_weights_reach_the_accuracy_in_their_table(name):
    table = (pretrained.FOLDER / "README.md").read_text("utf-8")
    stated = float(re.search(rf"`{name}`.*?([\d.]+) %", table)[1])
    recipe, model = pretrained.RECIPES[name], pretrained.pretrained(name)
    assert not model.training
    assert stated >= {"mlp-digits": 95, "small_cnn-shapes32": 80}.get(name, 90)
    if recipe.dataset == "cifar10" and data.find_cifar10() is None:
        pytest.skip("CIFAR-10 was not found on this machine (see `python -m prunekit doctor`)")
    test = data.load(recipe.dataset, "test")
    if recipe.dataset == "cifar10":
        test = test.sample(2_000)
    slack = 0.15 if len(test) == len(data.load(recipe.dataset, "test")) else 2.0
    assert training.accuracy(model, test) == pytest.approx(stated, abs=slack)


def test_shipped_weights_are_small_plain_state_dicts():
    files = sorted(pretrained.FOLDER.glob("*.pt"))
    assert {file.stem for file in files} == set(pretrained.RECIPES)
    assert sum(file.stat().st_size for file in files) <= 8 * 2**20
    for file in files:
        state = torch.load(file, weights_only=True)
        assert all(isinstance(value, torch.Tensor) for value in state.values())


def test_unknown_weights():
    with pytest.raises(ValueError, match="name must be one of mlp-digits"):
        pretrained.pretrained("resnet50")
