"""PRO's search on tables of costs and errors, against every combination."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunekit.pro import (
    Decision,
    Unreachable,
    curves,
    exchange,
    give_back,
    greedy,
    levels_of,
    output_error,
    that_save,
)


def every(levels):
    """All combinations of widths, by brute force."""
    return [dict(zip(levels, keeps, strict=True)) for keeps in product(*levels.values())]


def key(widths):
    return tuple(sorted(widths.items()))


class Table:
    """D and cost of every combination; notes which D were asked for."""

    def __init__(self, levels, errors, costs):
        self.levels, self.all = levels, every(levels)
        self.errors = dict(zip(map(key, self.all), errors, strict=True))
        self.costs = dict(zip(map(key, self.all), costs, strict=True))
        self.asked = []

    def error(self, widths):
        self.asked.append(key(widths))
        return self.errors[key(widths)]

    def cost(self, widths):
        return self.costs[key(widths)]

    def best(self, budget):
        """The smallest D within the budget, or None."""
        found = [self.errors[key(w)] for w in self.all if self.cost(w) <= budget]
        return min(found, default=None)


@st.composite
def tables(draw, most_sites=3, most_levels=4, coupled=True):
    """Costs that rise with every width; D 0 at full widths, else coupled or a sum over sites."""
    depths = draw(st.lists(st.integers(1, most_levels), min_size=1, max_size=most_sites))
    levels = {f"layer{i}": list(range(n, 0, -1)) for i, n in enumerate(depths)}
    macs = [draw(st.integers(1, 9)) for _ in levels]
    number = st.floats(0, 10, allow_subnormal=False)
    combinations = every(levels)
    costs = [1.0 + sum(m * w[s] for m, s in zip(macs, levels, strict=True)) for w in combinations]
    if coupled:
        errors = [0.0, *(draw(number) for _ in combinations[1:])]
    else:
        alone = {s: [0.0, *(draw(number) for _ in keeps[1:])] for s, keeps in levels.items()}
        errors = [sum(alone[s][levels[s][0] - k] for s, k in w.items()) for w in combinations]
    budget = draw(st.floats(costs[-1], costs[0]))
    return Table(levels, errors, costs), budget


def as_good(value, best, among):
    """What differs by a millionth, or a billionth of the largest, is decided by order instead."""
    return best <= value <= best + 2e-6 * abs(best) + 2e-9 * max(map(abs, among))


two_sites = {"most_sites": 2, "most_levels": 5}


@given(tables(**two_sites))
def test_exchange_on_one_or_two_layers_is_brute_force(drawn):
    table, budget = drawn
    start, _ = greedy(table.levels, table.error, table.cost, budget=budget)
    widths = exchange(start, table.levels, table.error, table.cost, budget)
    assert table.cost(widths) <= budget
    assert table.errors[key(widths)] == pytest.approx(table.best(budget), rel=2e-6)


@given(tables(coupled=False, **two_sites))
def test_curves_of_layers_that_add_up_are_brute_force(drawn):
    table, budget = drawn
    full = {layer: keeps[0] for layer, keeps in table.levels.items()}
    widths, _ = curves(table.levels, lambda w: table.error(full | w), table.cost, budget=budget)
    assert table.cost(widths) <= budget
    assert table.errors[key(widths)] == pytest.approx(table.best(budget), rel=2e-6)


def test_curves_add_up_what_each_layer_does_alone():
    alone = {("a", 1): 2.0, ("b", 2): 2.0, ("b", 1): 3.0}
    levels = {"a": [2, 1], "b": [3, 2, 1]}

    def error(widths):
        return sum(alone.get(item, 0.0) for item in widths.items())

    widths, _ = curves(levels, error, lambda widths: sum(widths.values()), budget=3)
    assert widths == {"a": 2, "b": 1}  # one loss of 3 is less than two of 2


@given(tables())
def test_the_budget_is_never_exceeded_and_every_decision_is_true(drawn):
    table, budget = drawn
    seen = []
    widths, trace = greedy(
        table.levels, table.error, table.cost, budget=budget, committed=seen.append
    )
    assert table.cost(widths) <= budget and seen == trace
    at = {layer: keeps[0] for layer, keeps in table.levels.items()}
    before = table.cost(at)
    for decision in trace:
        assert before > budget  # it did not go on when it could stop
        assert at[decision.layer] - decision.keep == 1
        at[decision.layer] = decision.keep
        assert decision.error == table.errors[key(at)]
        assert decision.cost == table.cost(at) < before
        before = decision.cost
    assert at == widths


@given(tables())
def test_each_step_is_the_best_of_all_single_ones(drawn):
    """Replayed with a search written out: rise per cost saved; the last step by D alone."""
    table, budget = drawn
    _, trace = greedy(table.levels, table.error, table.cost, budget=budget)
    at = {layer: keeps[0] for layer, keeps in table.levels.items()}
    for decision in trace:
        d, c = table.errors[key(at)], table.cost(at)
        downs = [at | {s: at[s] - 1} for s in at if at[s] > 1]
        last = [table.errors[key(w)] for w in downs if table.cost(w) <= budget]
        rises = [(table.errors[key(w)] - d) / (c - table.cost(w)) for w in downs]
        at[decision.layer] = decision.keep
        if last:
            assert as_good(decision.error, min(last), last)
        else:
            assert as_good((decision.error - d) / (c - decision.cost), min(rises), rises)


@given(tables(), st.floats(0, 10))
def test_max_error_is_never_exceeded_and_used_up(drawn, bound):
    table, _ = drawn
    at = {layer: keeps[0] for layer, keeps in table.levels.items()}
    firsts = [table.errors[key(at | {s: at[s] - 1})] for s in at if at[s] > 1]
    if not any(first <= bound for first in firsts):
        with pytest.raises(Unreachable) as caught:
            greedy(table.levels, table.error, table.cost, max_error=bound)
        assert caught.value.best == min(firsts, default=0.0)
        return
    widths, trace = greedy(table.levels, table.error, table.cost, max_error=bound)
    assert all(decision.error <= bound for decision in trace) and trace
    further = [widths | {s: widths[s] - 1} for s in widths if widths[s] > 1]
    assert all(table.errors[key(w)] > bound for w in further)


@given(tables(), st.floats(0, 10))
def test_give_back_ends_within_the_bound_and_only_gives(drawn, bound):
    table, _ = drawn
    start = table.all[-1]
    widths = give_back(start, table.levels, table.error, table.cost, bound)
    assert table.errors[key(widths)] <= bound
    assert all(widths[s] >= start[s] for s in start)
    if table.errors[key(start)] <= bound:
        assert widths == start


def test_give_back_takes_the_best_value_for_its_cost():
    """One channel of a: D falls by 3 for 1 MAC; of b: by 4 for 2 MACs."""
    a, b = "a", "b"
    levels = {a: [2, 1], b: [2, 1]}
    errors = {(2, 2): 0.0, (1, 2): 3.0, (2, 1): 4.0, (1, 1): 7.0}
    pick = (lambda w: errors[w[a], w[b]], lambda w: w[a] + 2 * w[b])
    assert give_back({a: 1, b: 1}, levels, *pick, bound=5.0) == {a: 2, b: 1}
    assert give_back({a: 1, b: 1}, levels, *pick, bound=3.5) == {a: 2, b: 2}
    assert give_back({a: 1, b: 1}, levels, *pick, bound=7.0) == {a: 1, b: 1}


def test_the_price_and_the_last_step_by_hand():
    """a: D 1 for 1 MAC, b: D 3 for 5 MACs: per MAC b is cheaper; the last step by D alone."""
    levels = {"a": [2, 1], "b": [2, 1]}
    errors = {(2, 2): 0.0, (1, 2): 1.0, (2, 1): 3.0, (1, 1): 4.0}
    pick = (levels, lambda w: errors[w["a"], w["b"]], lambda w: w["a"] + 5 * w["b"])  # 12 at full
    _, trace = greedy(*pick, budget=6)
    assert [d.layer for d in trace] == ["b", "a"]
    assert greedy(*pick, budget=11)[1] == [Decision("a", 1, 1.0, 11)]


def test_the_output_error_by_hand():
    """Two inputs, two outputs: (1² + 2²) and 3² over two inputs; KL of p₀ = (½, ½), p = (¼, ¾)."""
    z0 = [torch.zeros(2, 2), torch.zeros(2, 1)]
    z = [torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[3.0], [0.0]])]
    assert output_error(z, z0) == pytest.approx((1 + 4 + 9) / 2)
    p = [torch.tensor([[0.25, 0.75]]).log()]
    want = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert output_error(p, [torch.zeros(1, 2)], "kl") == pytest.approx(want)
    with pytest.raises(ValueError, match="criterion='kl' needs a network with one output"):
        output_error(z, z0, "kl")


@settings(max_examples=50)
@given(tables(coupled=False), st.floats(0.01, 5))
def test_below_every_combination_nothing_is_reached(drawn, less):
    table, _ = drawn
    least = table.costs[key(table.all[-1])]
    with pytest.raises(Unreachable, match="nearest") as caught:
        greedy(table.levels, table.error, table.cost, budget=least - less * 0.1)
    assert caught.value.best == least


def test_a_budget_that_holds_already_costs_no_measurement():
    a = "a"
    table = Table({a: [3, 2, 1]}, [0.0, 1.0, 2.0], [3.0, 2.0, 1.0])
    assert greedy(table.levels, table.error, table.cost, budget=3.0) == ({a: 3}, [])
    assert table.asked == []


def test_exchange_stops_at_errors_a_hair_below_zero():
    """Rounding can leave such an error; no change may count as an improvement for ever."""
    a, b = "a", "b"
    levels = {a: [2, 1], b: [2, 1]}
    asked = []

    def error(widths):
        asked.append(widths)
        assert len(asked) < 100, "it does not stop"
        return -1e-17

    assert exchange({a: 1, b: 2}, levels, error, lambda w: 1.0, 1.0) == {a: 1, b: 2}


@given(st.integers(2, 300), st.floats(0.001, 0.999))
def test_levels(channels, step):
    (levels,) = levels_of({"a": channels}, step).values()
    assert levels[0] == channels and levels[-1] == 1
    falls = [a - b for a, b in zip(levels, levels[1:], strict=False)]
    size = max(1, round(step * channels + 1e-12))
    assert all(abs(fall - size) <= (step * channels % 1 == 0.5) for fall in falls[:-1])
    assert 1 <= falls[-1] <= max(size, falls[0])


def test_levels_by_hand():
    levels = levels_of({"a": 8, "b": 6, "c": 2}, 1 / 4)
    assert list(levels.values()) == [[8, 6, 4, 2, 1], [6, 4, 2, 1], [2, 1]]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(6, 9))
def test_widths_that_save_nothing_are_left_out(costs, full):
    """What stays falls strictly, and no width is as cheap for more: the running minima."""
    a, b, most = "a", "b", len(costs) + 1
    levels = {a: list(range(most, 0, -1)), b: [1]}
    table = [full, *costs]
    kept = that_save(levels, lambda w: table[most - w[a]])
    assert kept[b] == [1]
    assert kept[a] == [k for i, k in enumerate(levels[a]) if i == 0 or table[i] < min(table[:i])]
