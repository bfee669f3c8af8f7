"""prune() as users meet it: what comes out, what is refused, and that nothing of theirs changes."""

import copy
import importlib

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import prunekit as pk
from prunekit.classroom import models

from .networks import TwoInputs, chain

pipeline = importlib.import_module("prunekit.pipeline.pruning")
collecting = importlib.import_module("prunekit.network.collecting")

IMAGES = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ONE = IMAGES[:1]


def prune(model, calibration=IMAGES, example=ONE, **kwargs):
    kwargs.setdefault("progress", False)
    if "target_macs" not in kwargs:
        kwargs.setdefault("pruning_ratio", 0.5)
    return pk.prune(model, example, calibration, **kwargs)


def snapshot(model):
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    flags = [p.requires_grad for p in model.parameters()]
    return state, modes, hooks, flags


def assert_untouched(model, before):
    state, *rest = snapshot(model)
    assert rest == list(before[1:])
    assert state.keys() == before[0].keys()
    assert all(torch.equal(value, before[0][name]) for name, value in state.items())


@pytest.mark.parametrize("method", ["reap", "l1"])
@pytest.mark.parametrize("bias", [True, False])
def test_the_network_really_is_smaller(method, bias):
    model = chain(bias=bias)
    result = prune(model, method=method)
    small = result.model
    assert (small[0].out_channels, small[1].num_features, small[3].in_channels) == (4, 4, 4)
    assert (small[3].out_channels, small[7].in_features) == (3, 12)
    assert (small[7].out_features, small[9].in_features) == (5, 5)
    assert result.report.macs_after == pk.count_macs(small, ONE) < pk.count_macs(model, ONE)
    assert result.report.params_after == sum(p.numel() for p in small.parameters())
    assert small(IMAGES).shape == (40, 4)
    assert small.training == model.training


def test_a_pruned_network_exports():
    result = prune(chain().eval())
    exported = torch.export.export(result.model, (IMAGES,))
    torch.testing.assert_close(exported.module()(IMAGES), result.model(IMAGES))


def test_duplicated_channels_cost_nothing():
    """Each hidden channel twice, with the outgoing weights shared: half can go, nothing is lost."""
    model = chain(seed=3).eval()
    with torch.no_grad():
        for layer, norm in ((model[0], model[1]), (model[3], None), (model[7], None)):
            half = len(layer.weight) // 2
            layer.weight[half:] = layer.weight[:half]
            if layer.bias is not None:
                layer.bias[half:] = layer.bias[:half]
            if norm is not None:
                norm.weight[half:], norm.bias[half:] = norm.weight[:half], norm.bias[:half]
    result = prune(model, pruning_ratio=0.5)
    for row in result.report.rows[:-1]:
        assert row.error < 1e-8
    torch.testing.assert_close(result.model(IMAGES), model(IMAGES), rtol=0, atol=1e-4)


def test_reap_keeps_more_than_l1_and_repair_helps():
    model = chain(seed=1).eval()

    def gap(**kwargs):
        return (prune(model, **kwargs).model(IMAGES) - model(IMAGES)).square().mean().item()

    plain, repaired = gap(method="l1"), gap(method="l1", repair="least_squares")
    assert gap(method="reap") < plain and repaired < plain


def test_kept_weights_without_repair_are_the_original_ones():
    model = chain().eval()
    result = prune(model, method="l1")
    kept = list(result.plan["0"])
    assert torch.equal(result.model[0].weight, model[0].weight[kept])
    assert torch.equal(result.model[1].running_var, model[1].running_var[kept])
    norms = model[0].weight.abs().sum((1, 2, 3))
    assert kept == sorted(norms.topk(4).indices.tolist())


def test_report_and_plan():
    result = prune(chain(), pruning_ratio={"0": 0.5, "3": 0.34})
    rows = {row.name: row for row in result.report.rows}
    assert (rows["0"].channels_before, rows["0"].channels_after) == (8, 4)
    assert rows["3"].channels_after == 4 and rows["7"].channels_after == 10
    assert 0 < rows["0"].error < 1 and rows["7"].error is None
    assert rows["9"].reason and "outputs" in rows["9"].reason
    assert result.plan["0"] == rows["0"].kept
    text, html, data = str(result.report), result.report._repr_html_(), result.report.to_dict()
    assert "8 → 4" in text and "left alone" in text and "8 → 4" in html
    assert data["rows"][0]["kept"] == list(rows["0"].kept)


def test_patterns_in_ratios():
    result = pk.prune(
        models.resnet20(),
        torch.randn(1, 3, 32, 32),
        torch.randn(8, 3, 32, 32),
        pruning_ratio={"layer1.*": 0.25, "layer3.2.conv1": 0.5},
        method="l1",
        progress=False,
    )
    widths = {row.name: row.channels_after for row in result.report.rows}
    assert [widths[f"layer1.{i}.conv1"] for i in range(3)] == [12, 12, 12]
    assert widths["layer3.2.conv1"] == 32 and widths["layer2.0.conv1"] == 32


def test_target_macs_is_never_exceeded_and_is_tight():
    def macs(ratio):  # by hand
        a, b, c = (max(1, n - int(n * ratio + 0.5)) for n in (8, 6, 10))
        return 3 * a * 9 * 64 + a * b * 9 * 16 + 4 * b * c + c * 4

    model = chain()
    full = pk.count_macs(model, ONE)
    for target in (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, full // 2):
        result = prune(model, method="l1", target_macs=target)
        budget = target if isinstance(target, int) else target * full
        every = [macs(i / 1000) for i in range(1000)]
        assert result.report.macs_after == max(m for m in every if m <= budget)
    assert prune(model, method="l1", target_macs=1.0).report.macs_after == full


def test_same_data_same_channels():
    first, again = prune(chain(), IMAGES), prune(chain(), list(IMAGES.split(7)))
    assert first.plan == again.plan


def test_forms_of_calibration():
    a, b = torch.randn(30, 4), torch.randn(30, 3)
    want = prune(TwoInputs(), [(a, b)], (a[:1], b[:1]), ignored_layers="right").plan["left"]
    torch.manual_seed(0)
    labels = torch.zeros(30)
    model = TwoInputs()
    plans = [
        prune(model, [(a, b, labels)], (a[:1], b[:1])).plan,
        prune(model, [{"a": a, "b": b, "y": labels}], {"a": a[:1], "b": b[:1]}).plan,
    ]
    assert plans[0] == plans[1] and len(want) == 4
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(IMAGES, torch.zeros(40)), batch_size=16
    )
    assert prune(chain(), loader).plan == prune(chain(), IMAGES).plan


def test_a_method_of_your_own():
    def largest_mean_stays(site):
        means = site.moments.mean_x.view(site.channels, site.block_size).mean(1)
        return pk.Elimination(means.argsort())

    result = prune(chain(), method=largest_mean_stays)
    assert result.report.rows[0].error is not None  # least squares repairs it


def test_network_repair_is_the_fit_of_each_layer_to_its_original_answers():
    """With a single site pruned, the last layer is refitted to the outputs of the original."""
    model = chain(seed=4).eval()
    result = prune(model, pruning_ratio={"0": 0.5}, ridge=0.0).model
    with torch.no_grad():
        hidden = result[:9](IMAGES).double()
        A = torch.cat([hidden, torch.ones(len(hidden), 1)], 1)
        best = A @ torch.linalg.lstsq(A, model(IMAGES).double(), driver="gelsd").solution
        torch.testing.assert_close(result(IMAGES).double(), best, rtol=0, atol=1e-4)


def test_the_batch_norm_behind_weighs_the_score_and_not_the_fit():
    """Two channels, two outputs: the batch norm decides which output's error counts."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
    inputs = torch.randn(200, 3)
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        model[0].weight.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.1, 0.0]]))
    model.eval()
    for gains, kept in (((10.0, 0.1), (0,)), ((0.1, 10.0), (1,))):
        model[2].weight.data = torch.tensor(gains)
        plan = prune(model, inputs, inputs[:1], pruning_ratio={"0": 0.5}).plan
        assert plan["0"] == kept
        plain = prune(model, inputs, inputs[:1], pruning_ratio={"0": 0.5}, weigh_outputs=False)
        assert plain.plan["0"] == (1,)


def test_symmetric_target_and_uncentred_fit_are_options():
    model = chain(seed=2).eval()
    plain = prune(model).model(IMAGES)
    options = ({"asymmetric": False}, {"centered": False}, {"ridge": 0.1})
    for option in options:
        assert not torch.equal(prune(model, **option).model(IMAGES), plain)


def test_the_original_is_untouched_bit_for_bit_and_modes_are_kept():
    model = chain().train()
    model[1].eval()
    model[9].bias.requires_grad_(False)
    before = snapshot(model)
    result = prune(model)
    assert_untouched(model, before)
    assert result.model[0].training and not result.model[1].training
    assert not result.model[9].bias.requires_grad and result.model[0].weight.requires_grad
    shared = {p.data_ptr() for p in model.parameters()}
    assert not shared & {p.data_ptr() for p in result.model.parameters()}


@pytest.mark.parametrize("where", ["find_sites", "consumer_inputs", "count_macs"])
def test_an_interrupted_run_leaves_everything_as_it_was(monkeypatch, where):
    model, calls = chain().train(), []
    modules = dict.fromkeys(("find_sites", "count_macs"), pipeline) | {
        "consumer_inputs": collecting
    }
    before, usual = snapshot(model), getattr(modules[where], where)

    def interrupted(*args, **kwargs):
        calls.append(args)
        if len(calls) == 2 or where != "consumer_inputs":
            raise KeyboardInterrupt
        return usual(*args, **kwargs)

    monkeypatch.setattr(modules[where], where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        prune(model)
    assert_untouched(model, before)


def test_a_pruned_network_can_be_pruned_again():
    once = prune(chain(), pruning_ratio=0.5).model
    twice = prune(copy.deepcopy(once), pruning_ratio=0.5).model
    assert twice[0].out_channels == 2


def test_consumers_without_bias_get_one_that_is_as_frozen_as_their_weights():
    model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 4, bias=False))
    x = torch.randn(50, 10)
    assert prune(model, x, x[:1]).model[2].bias.requires_grad
    frozen = prune(model.requires_grad_(False), x, x[:1]).model
    assert frozen[2].bias is not None
    assert not any(p.requires_grad for p in frozen.parameters())


def test_tied_weights_stay_tied_and_shared_layers_are_not_refitted():
    model = nn.Sequential(*(nn.Sequential(nn.Linear(6, 6), nn.ReLU()) for _ in range(5)))
    model[3][0].weight = model[2][0].weight
    x = torch.randn(500, 6)
    small = prune(model, x, x[:1], pruning_ratio={"0.0": 0.5}).model
    assert small[3][0].weight.data_ptr() == small[2][0].weight.data_ptr()
    assert torch.equal(small[2][0].weight, model[2][0].weight)
    assert not torch.equal(small[4][0].weight, model[4][0].weight)


@pytest.mark.filterwarnings("ignore:1 calibration samples are too few")
def test_one_image_is_enough_to_run():
    report = prune(chain(), IMAGES[:1]).report
    assert all(row.error is None or row.error < 1e3 for row in report.rows)


def test_a_model_with_nan_is_refused():
    model = chain()
    model[0].weight.data[0] = torch.nan
    with pytest.raises(ValueError, match=r"model has NaN or infinite numbers in 0\.weight"):
        prune(model)


def test_a_network_without_layers():
    with pytest.raises(ValueError, match="no channels that can be pruned"):
        prune(nn.Sequential(nn.ReLU()))


def test_batches_of_several_sizes_are_one_set_of_moments():
    """A network that takes every size is fitted to all positions of all sizes."""
    layers = nn.Conv1d(4, 8, 3, padding=1), nn.ReLU(), nn.Conv1d(8, 5, 3)
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten()).double()
    batches = [torch.randn(6, 4, size).double() for size in (9, 20, 13)]
    result = pk.prune(model, batches[0][:1], batches, pruning_ratio=0.5, progress=False)
    X = [
        result.model[:2](x).unfold(2, 3, 1).transpose(1, 2).flatten(2).flatten(0, 1)
        for x in batches
    ]
    Y = [model[:3](x).transpose(1, 2).flatten(0, 1) for x in batches]
    X, Y = torch.cat(X), torch.cat(Y)
    want = torch.linalg.lstsq(X - X.mean(0), Y - Y.mean(0)).solution  # without a ridge
    torch.testing.assert_close(result.model[2].weight.flatten(1).T, want, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match=r"calibration batch 1 has shape \(6, 5, 9\), expected"):
        wrong = [batches[0], torch.randn(6, 5, 9).double()]
        pk.prune(model, batches[0][:1], wrong, pruning_ratio=0.5, progress=False)


def test_inputs_beside_labels_are_understood():
    a, b, labels = torch.randn(12, 4), torch.randn(12, 3), torch.zeros(12, dtype=torch.long)
    network = TwoInputs()

    def two(batch):
        return prune(network, [batch], (a[:1], b[:1])).plan

    assert two(((a, b), labels)) == two((a, b, labels)) == two((a, b))
    loader = DataLoader(TensorDataset(IMAGES[:12], labels), batch_size=5)
    assert prune(chain(), loader).model[0].out_channels == 4
