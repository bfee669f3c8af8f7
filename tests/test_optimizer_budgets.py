"""Every budget of optimize_ratios() on the network that prune() really returns."""

import pytest
import torch
from torch import nn

import prunekit as pk
from prunekit.classroom import models

from .test_optimizer import QUARTER, cut, distance, model, optimize


@pytest.mark.parametrize("form", ["curves", "greedy"])
def test_budgets_of_macs_hold_on_the_pruned_network(form):
    net = models.lenet5().eval()
    images = torch.randn(20, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    full = pk.count_macs(net, images)
    for target in (0.7, full // 3):
        options = {"form": form, "method": "l1", "step": 1 / 3}
        ratios = optimize(net, images, target_macs=target, **options)
        small = pk.prune(
            *(net, images[:1], images), pruning_ratio=ratios, method="l1", progress=False
        )
        budget = target if isinstance(target, int) else target * full
        assert pk.count_macs(small.model, images) == ratios.cost <= budget
        assert ratios.unit == "MACs" and ratios.trace


@pytest.mark.parametrize("repair", ["network", "least_squares", "none"])
@pytest.mark.parametrize("bias", [True, False])
def test_budgets_of_parameters_hold_with_the_biases_that_repair_adds(repair, bias):
    net = nn.Sequential(*(nn.Linear(6, 6, bias=bias) for _ in range(4)))
    inputs = torch.randn(60, 6, generator=torch.Generator().manual_seed(2))
    for target in (0.8, 70, 60, 0.3):
        ratios = optimize(net, inputs, target_params=target, repair=repair, step=1 / 6)
        small = pk.prune(
            *(net, inputs[:1], inputs), pruning_ratio=ratios, repair=repair, progress=False
        ).model
        budget = target if isinstance(target, int) else target * pk.count_params(net)
        assert pk.count_params(small) == ratios.cost <= budget
        assert ratios.full_cost == pk.count_params(net) and ratios.unit == "parameters"


class Slow(nn.Module):
    """Half a millisecond for every channel, on a clock of its own."""

    now = 0.0

    def __init__(self):
        super().__init__()
        self.one, self.two, self.last = nn.Linear(3, 8), nn.Linear(8, 6), nn.Linear(6, 2)

    def forward(self, x):
        Slow.now += self.seconds(len(self.one.weight), len(self.two.weight))
        return self.last(torch.relu(self.two(torch.relu(self.one(x)))))

    def seconds(self, one, two):
        return 5e-4 * (one + two)


class NothingAddsUp(Slow):
    """The second site that is pruned makes it no faster."""

    def seconds(self, one, two):
        return 1e-2 if (one, two) == (8, 6) else 3e-3  # one site alone saves 0.7, both no more


@pytest.fixture
def clock(monkeypatch):
    """Time goes by in forward passes only: no test depends on how busy the machine is."""
    monkeypatch.setattr("time.perf_counter", lambda: Slow.now)


@pytest.mark.usefixtures("clock")
def test_a_budget_of_seconds():
    inputs = torch.randn(30, 3, generator=torch.Generator().manual_seed(3))
    ratios = optimize(Slow(), inputs, target_latency=0.75, step=1 / 2)
    assert ratios.full_cost == pytest.approx(7e-3) and ratios.unit == "seconds"
    assert ratios.cost == pytest.approx(5e-4 * sum(ratios.widths.values()))
    assert ratios.cost <= 0.75 * ratios.full_cost
    with pytest.raises(ValueError, match=r"target_latency=0\.01 cannot be reached.*seconds"):
        optimize(Slow(), inputs, target_latency=0.01, step=0.9)


@pytest.mark.usefixtures("clock")
def test_seconds_that_are_not_reached_in_truth_are_an_error():
    inputs = torch.randn(30, 3, generator=torch.Generator().manual_seed(3))
    with pytest.raises(ValueError, match=r"target_latency=0\.2 cannot be reached.*seconds"):
        optimize(NothingAddsUp(), inputs, target_latency=0.2, step=0.9)


@pytest.mark.parametrize("form", ["curves", "greedy"])
def test_a_bound_on_the_error_holds_on_the_pruned_network(form):
    net = model(bias=True)
    kept = []
    for bound in (3.0, 0.3, 0.01):
        ratios = optimize(net, max_error=bound, method="l1", form=form, step=1 / 8)
        small = cut(net, ratios.widths, method="l1").model
        assert distance(small, net) <= bound * (1 + 1e-4) and ratios.error <= bound
        kept.append(ratios.cost)
    assert kept[0] < kept[-1] < ratios.full_cost


@pytest.mark.parametrize("form", ["curves", "greedy"])
def test_a_bound_that_nothing_meets_names_the_smallest_step(form):
    net = model()
    curves = optimize(net, target_macs=0.5, method="l1").curves
    smallest = min(curve[QUARTER[name][0]] for name, curve in curves.items())
    with pytest.raises(
        ValueError, match=f"met by no step: the smallest D of one is {smallest:.3g}"
    ):
        optimize(net, max_error=smallest * 0.99, method="l1", form=form)
    assert any(optimize(net, max_error=smallest * 1.01, method="l1", form=form).values())


class Branches(nn.Module):
    """Two branches that are added; all is positive, so what they lose adds up to more."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(4, 4) for _ in range(4))
        for layer in self.children():
            layer.weight.data = layer.weight.data.abs() + 0.1

    def forward(self, x):
        return self.b(torch.relu(self.a(x))) + self.d(torch.relu(self.c(x)))


def test_a_sum_that_promises_too_much_is_given_back():
    torch.manual_seed(4)
    net, inputs = Branches().eval(), torch.rand(30, 4) + 1
    options = {"method": "l1", "step": 1 / 4}
    curves = optimize(net, inputs, target_macs=0.5, **options).curves
    bound = 1.01 * (curves["a"][3] + curves["c"][3])
    ratios = optimize(net, inputs, max_error=bound, **options)
    assert ratios.trace[-1].error <= bound and len(ratios.trace) >= 2  # so it seemed
    small = pk.prune(
        *(net, inputs[:1], inputs), pruning_ratio=ratios, method="l1", progress=False
    ).model
    assert distance(small, net, inputs) <= bound
    assert any(ratios.values()) and ratios.error == pytest.approx(distance(small, net, inputs))
