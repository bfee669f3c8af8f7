"""How prune() shares out a budget: as PRO says, never worse than one ratio, and as it was asked."""

import pytest
import torch

import prunekit as pk
from prunekit.classroom.data import shapes32
from prunekit.classroom.models import small_cnn
from prunekit.classroom.pretrained import pretrained
from prunekit.pipeline import distribution

G = torch.Generator().manual_seed(0)
IMAGES = torch.randn(60, 3, 32, 32, generator=G)


def network():
    torch.manual_seed(1)
    return small_cnn().eval()


def prune(model, **options):
    options = {"target_macs": 0.5, "progress": False, "ridge": 1e-5} | options
    return pk.prune(model, IMAGES[:1], IMAGES, **options)


def widths(result):
    return {r.name: r.channels_after for r in result.report.rows if r.reason is None}


def of_pro(ratios):
    """An error that only PRO's own choice does not have."""
    return lambda task, keep, *parts: (
        1.0 * any(k != ratios.widths[site.name] for site, k in keep.items())
    )


def test_reap_shares_a_budget_out_as_pro_does(monkeypatch):
    model = network()
    ratios = pk.optimize_ratios(
        model, IMAGES[:1], IMAGES, target_macs=0.5, progress=False, ridge=1e-5
    )
    monkeypatch.setattr(distribution, "_repaired_error", of_pro(ratios))
    monkeypatch.setattr(distribution, "POINTS", None)  # whole curves
    found = prune(model)
    assert widths(found) == {name: ratios.widths[name] for name in widths(found)}
    assert found.report.macs_after <= 0.5 * found.report.macs_before
    assert widths(found) != widths(prune(model, distribution="uniform"))


def test_other_methods_take_one_ratio_unless_asked():
    model = network()
    uniform = widths(prune(model, distribution="uniform"))
    assert widths(prune(model, method="l1")) == uniform
    assert widths(prune(model, method="l1", distribution="pro")) != uniform


@pytest.mark.parametrize("target", ["target_macs", "target_params"])
def test_it_is_never_worse_than_one_ratio(monkeypatch, target):
    """A search that finds nothing good is not followed."""
    model, images = pretrained("small_cnn-shapes32"), shapes32("train", 60).inputs
    given = {"progress": False, target: 0.5}
    uniform = pk.prune(model, images[:1], images, distribution="uniform", **given)

    def bad(self, form):
        return {site: keeps[-1] for site, keeps in self.levels.items()}, []

    monkeypatch.setattr(distribution.Search, "within_budget", bad)
    found = pk.prune(model, images[:1], images, **given)
    assert widths(found) == widths(uniform)


def test_an_unknown_distribution_is_refused():
    with pytest.raises(ValueError, match="distribution must be 'pro' or 'uniform'"):
        prune(network(), distribution="greedy")


def test_mirrored_copies_and_refinement_are_arguments():
    model = network()
    plain = prune(model, target_macs=None, pruning_ratio=0.5)
    options = {"pruning_ratio": 0.5, "progress": False, "ridge": 1e-5}
    twice = pk.prune(model, IMAGES[:1], [IMAGES, IMAGES.flip(-1)], **options)
    assert plain.report.repair == "network"
    mirrored = prune(model, target_macs=None, pruning_ratio=0.5, mirror=True)
    for a, b in zip(mirrored.model.parameters(), twice.model.parameters(), strict=True):
        assert (a - b).norm() <= 1e-3 * b.norm()  # sums come in another order
    refined = prune(model, target_macs=None, pruning_ratio=0.5, refine=1)
    assert refined.plan == plain.plan and refined.report.repair == "network, refined"
    x = torch.randn(30, 4)
    line = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    with pytest.raises(ValueError, match="mirror needs images"):
        pk.prune(line, x[:1], x, pruning_ratio=0.5, mirror=True)
    with pytest.raises(ValueError, match="refine must be 0 or more"):
        prune(model, refine=-1)
