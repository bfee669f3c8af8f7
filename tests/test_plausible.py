"""What calibration data cannot be right is said before anything is fitted to it."""

import warnings

import pytest
import torch
from torch import nn

import prunekit as pk

X = torch.randn(64, 3, 6, 6, generator=torch.Generator().manual_seed(0))
FITTED = {"repair": "least_squares", "pruning_ratio": 0.5, "progress": False}


@pytest.fixture
def net():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.Flatten(),
        nn.Linear(144, 3),
    )
    for _ in range(20):
        model(X)  # the norms learn what data are like
    return model.eval()


WRONG = {
    "one": (X[:1], "holds 1 samples: what is fitted"),
    "few": (X[:9], "holds 9 samples: what is fitted"),
    "the same again and again": (X[:1].repeat(40, 1, 1, 1), "holds 40 samples, all the same"),
    "two by turns": (X[:2].repeat(20, 1, 1, 1), "holds 40 samples, of which only 2 differ"),
    "in batches": (list(X[:2].repeat(20, 1, 1, 1).split(3)), "of which only 2 differ"),
    "never normalised": (X * 60 + 120, r"takes \d.\de\+03 times the variance.*normalise"),
    "divided twice": (X / 255, r"takes \d.\de-05 times the variance.*normalise"),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("call", ["prune", "optimize_ratios"])
def test_it_is_said(net, what, call):
    images, words = WRONG[what]
    how = FITTED if call == "prune" else {"target_macs": 0.6, "progress": False}
    with pytest.warns(UserWarning, match=words):
        getattr(pk, call)(net, X[:1], images, **how)


def test_of_too_few_the_repair_of_all_layers_says_how_many_would_do(net):
    with pytest.warns(UserWarning) as said:
        pk.prune(net, X[:1], X[:2], **FITTED | {"repair": "network"})
    assert all("too few to refit" in str(warning.message) for warning in said)


@pytest.mark.parametrize(
    "images",
    [
        X,
        X[:10],
        X[:5].repeat(20, 1, 1, 1) + torch.arange(100)[:, None, None, None] / 1e4,
        X * 3 + 1,
    ],
    ids=["enough", "ten", "nearly the same", "somewhat louder"],
)
def test_what_may_be_right_is_taken_in_silence(net, images):
    pk.prune(net, X[:1], images, **FITTED)


def test_the_variance_is_that_of_the_first_norm(net):
    with torch.no_grad():
        now = net[0](X * 60).transpose(0, 1).flatten(1).double().var(1)
    ratio = (now / net[1].running_var.double()).median()
    with pytest.warns(UserWarning, match=f"takes {ratio:.1e} times".replace("+", "[+]")):
        pk.prune(net, X[:1], X * 60, **FITTED)


def test_whoever_fits_nothing_hears_nothing(net):
    pk.prune(net, X[:1], X[:1] * 1e4, method="l1", pruning_ratio=0.5, progress=False)


def test_a_norm_that_was_never_trained_tells_nothing(net):
    for norm in (net[1], net[4]):
        norm.reset_running_stats()
    pk.prune(net, X[:1], X * 1e3, **FITTED)


def test_words_and_several_inputs_are_compared_whole():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.line = nn.Embedding(9, 4), nn.Linear(7, 6)
            self.last = nn.Linear(6, 2)

        def forward(self, x, ids):
            return self.last(self.line(torch.cat([x, self.words(ids)], 1)).relu())

    torch.manual_seed(0)
    model, x, ids = Two().eval(), torch.randn(1, 3).repeat(30, 1), torch.arange(30) % 9
    with pytest.warns(UserWarning, match="of which only 9 differ"):
        pk.prune(model, (x[:1], ids[:1]), [(x, ids)], **FITTED)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pk.prune(model, (x[:1], ids[:1]), [(torch.randn(30, 3), ids)], **FITTED)
