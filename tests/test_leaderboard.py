"""The leaderboard against the same thing done by hand, one network at a time."""

import functools
import io
from dataclasses import fields, replace

import numpy as np
import pandas
import pytest
import torch

import prunekit as pk
from prunekit import baselines
from prunekit.classroom import data, models
from prunekit.classroom.leaderboard import compare
from prunekit.classroom.pretrained import pretrained
from prunekit.classroom.ranking import Row, paired_difference, ranked
from prunekit.classroom.training import accuracy
from prunekit.pipeline.methods import METHODS

MODEL = pretrained("mlp-digits")
TRAIN, TEST = data.digits("train").sample(200), data.digits("test")
IMAGES = (TRAIN.inputs, TEST)
HALF = [0.4]


def board(methods, images=IMAGES, budgets=HALF, model=MODEL, **options):
    return compare(methods, model, images, budgets, progress=False, **options)


def rows(found):
    """Rows without what a clock said."""
    return [replace(row, seconds=None) for row in found.rows]


def last_first(site):
    return pk.Elimination(torch.arange(site.channels).flip(0))


def broken(site):
    raise RuntimeError("a bug of mine")


# What it measures ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "options"),
    [
        ("l2", dict(method="l2", repair="network")),
        (last_first, dict(method=last_first)),
        (("l1", "none"), dict(method="l1")),
        ((last_first, "least_squares"), dict(method=last_first, repair="least_squares")),
        (dict(method="unify", repair="own"), dict(method="unify")),
        (dict(method="l1", ridge=0.1), dict(method="l1", ridge=0.1, repair="network")),
        (dict(coefficients="channel"), dict(method="reap", coefficients="channel")),
    ],
)
def test_a_cell_is_what_prune_and_accuracy_give(entry, options):
    found = board({"mine": entry}, budgets=(0.6, 0.3))
    for row, budget in zip(found.rows, (0.6, 0.3), strict=True):
        result = pk.prune(
            MODEL,
            TRAIN.inputs[:1],
            TRAIN.inputs,
            target_macs=budget,
            **{"distribution": "uniform", "progress": False},
            **options,
        )
        assert (row.method, row.budget, row.repair) == ("mine", budget, result.report.repair)
        assert row.accuracy == pytest.approx(accuracy(result.model, TEST))
        assert row.macs == pk.count_macs(result.model, TRAIN.inputs[:1])
        assert row.kept == pytest.approx(row.macs / found.macs)
        assert row.kept <= budget and row.seconds > 0 and row.error is None
    assert found.accuracy == pytest.approx(accuracy(MODEL, TEST)) and found.images == 500
    assert found.macs == pk.count_macs(MODEL, TRAIN.inputs[:1])


def test_a_list_makes_its_own_labels():
    other = functools.partial(baselines.random, seed=3)
    found = board(["l1", last_first, ("l1", "none"), other], repair="least_squares")
    assert {row.method: row.repair for row in found.rows} == {
        "l1": "least_squares",
        "last_first": "least_squares",
        "l1 + none": "none",
        "random": "least_squares",
    }


def test_everybody_gets_the_same_repair_and_widths():
    found = board([last_first, *METHODS], repair="none", budgets=(0.5,))
    assert {row.repair for row in found.rows} == {"none"} and len(found.rows) == 1 + len(METHODS)
    assert len({row.macs for row in found.rows}) == 1
    own = board(["l1", "unify", "thinet"], repair=None)
    assert {row.method: row.repair for row in own.rows} == {
        name: METHODS[name][1] for name in ("l1", "unify", "thinet")
    }


def test_data_come_in_many_forms():
    wanted = rows(board(["thinet"]))
    batches = [(x, y) for x, y in TEST.batches(130)]
    loader = torch.utils.data.DataLoader(TRAIN.inputs, batch_size=100)
    for images in ((TRAIN, TEST), (loader, (TEST.inputs, TEST.labels)), (TRAIN, iter(batches))):
        assert rows(board(["thinet"], images)) == wanted


def test_shuffled_data_are_read_once():
    order = torch.utils.data.DataLoader(
        TRAIN.inputs[:60], batch_size=20, shuffle=True, generator=torch.Generator().manual_seed(0)
    )
    fewer = (x for x, _ in zip(order, range(2), strict=False))  # other images at every reading
    one, two = rows(board({"one": "forward", "two": "forward"}, (fewer, TEST)))
    assert replace(two, method="one") == one


def test_the_model_and_its_surroundings_stay_as_they_are():
    model = models.mlp().train()
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    board([last_first, broken, "random"], model=model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)


def test_chance_has_a_seed():
    def draws(site):
        return pk.Elimination(torch.randperm(site.channels))

    def order(seed, before):
        torch.manual_seed(before)
        return rows(board([draws], repair="none", seed=seed))

    assert order(0, before=1) == order(0, before=2) != order(1, before=1)


def test_progress_can_be_switched_off(capsys):
    board(["l1"])
    assert not capsys.readouterr().err
    compare(["l1"], MODEL, IMAGES, HALF)
    assert "l1 at 0.4" in capsys.readouterr().err


# Failures ---------------------------------------------------------------------------------------


def test_a_failure_has_a_row_and_stops_nobody():
    def no_order(site):
        return pk.Elimination(torch.zeros(site.channels))

    found = board([broken, "l1", no_order, "l2"])
    assert found.methods[2:] == ["broken", "no_order"]
    assert rows(found)[:2] == rows(board(["l1", "l2"]))
    bad = found.of("broken")[0]
    assert bad.error == "RuntimeError: a bug of mine" and bad.accuracy is None and not bad.tie
    assert found.of("no_order")[0].error.startswith("ValueError: method must return an Elimination")
    assert set(found.means()) == {"l1", "l2"} and ("broken", 0.4) not in found.right
    assert "a bug of mine" in str(found) and "failed" in str(found)
    assert "a bug of mine" in found._repr_html_()


def test_a_budget_out_of_reach_fails_there_only():
    found = board([last_first, "l1"], budgets=(0.5, 0.0001))
    assert [row.error is None for row in found.of("l1")] == [True, False]
    assert "cannot be reached" in found.of("l1")[1].error and found.means() == {}
    assert str(found).count("cannot be reached") == 2


def test_who_failed_once_comes_after_all_that_did_not():
    calls = []

    def tires(site):
        calls.append(site.name)
        if len(calls) > 2:  # two sites at the first budget, then no more
            raise RuntimeError("tired")
        return METHODS["reap"][0](site)

    found = board({"tires": (tires, "network"), "low": ("random", "none")}, budgets=(0.3, 0.2))
    assert [row.error for row in found.of("tires")] == [None, "RuntimeError: tired"]
    assert found.of("tires")[0].accuracy > sum(row.accuracy for row in found.of("low"))
    assert found.methods == ["low", "tires"] and list(found.means()) == ["low"]


def test_all_may_fail():
    found = board([broken])
    assert found.methods == ["broken"] and found.means() == {} and "broken" in str(found)


@pytest.mark.parametrize(
    ("methods", "images", "budgets", "said"),
    [
        ("l1", IMAGES, HALF, "methods must be a list or a dict"),
        (last_first, IMAGES, HALF, "methods must be a list or a dict"),
        ([], IMAGES, HALF, "methods is empty"),
        (["l1", "l1"], IMAGES, HALF, "labels of their own, got l1, l1: give a dict"),
        (["l3"], IMAGES, HALF, r"methods\['l3'\]: method must be one of 'reap'"),
        ([("l1", "tape")], IMAGES, HALF, "repair must be one of 'none'"),
        ([dict(method="l1")], IMAGES, HALF, "needs a label"),
        ({"a": dict(methd="l1")}, IMAGES, HALF, r"methods\['a'\] has the options \['methd'\]"),
        ({"a": dict(target_macs=0.1)}, IMAGES, HALF, "which are the same for all"),
        ({"a": 3}, IMAGES, HALF, r"methods\['a'\]: method must be one of .* got 3"),
        (["l1"], TRAIN, HALF, r"data must be a pair \(calibration, test\)"),
        (["l1"], (TRAIN.inputs,), HALF, r"data must be a pair \(calibration, test\)"),
        (
            ["l1"],
            (TRAIN.inputs, TEST.inputs),
            HALF,
            r"test must give batches of \(inputs, labels\)",
        ),
        (["l1"], (TRAIN.inputs, []), HALF, r"test must give batches of \(inputs, labels\)"),
        (["l1"], (TRAIN.inputs, 3), HALF, r"test must give batches of \(inputs, labels\)"),
        (["l1"], (TRAIN.inputs[:0], TEST), HALF, "calibration is empty"),
        (["l1"], IMAGES, [50], "fractions of MACs kept, 0 < b ≤ 1, got 50"),
        (["l1"], IMAGES, ["half"], "got 'half'"),
        (["l1"], IMAGES, [], "one or more different fractions"),
        (["l1"], IMAGES, [0.5, 0.5], "one or more different fractions"),
    ],
)
def test_mistakes_are_told_before_anything_runs(methods, images, budgets, said):
    with pytest.raises((TypeError, ValueError), match=said):
        board(methods, images, budgets)


# Noise ------------------------------------------------------------------------------------------


def test_the_paired_standard_error_counts_disagreements():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(2, 400, generator=generator) < torch.tensor([[0.8], [0.7]])).unbind()
    difference, error = paired_difference(a, b)
    more, less, N = int((a & ~b).sum()), int((b & ~a).sum()), len(a)
    assert difference == pytest.approx(100 * (more - less) / N)
    # (N − 1)·var = Σd² − N·mean(d)², and d² is 1 where they disagree
    square = (more + less - (more - less) ** 2 / N) / (N - 1)
    assert error == pytest.approx(100 * (square / N) ** 0.5)
    draws = np.random.default_rng(0).integers(0, N, (4000, N))
    bootstrap = (a.double() - b.double()).numpy()[draws].mean(1).std()
    assert error == pytest.approx(100 * bootstrap, rel=0.05)


def answers(right, of=100):
    return torch.arange(of) < right


def judged(**right):
    found = {(name, 0.5): value for name, value in right.items()}
    given = [
        Row(name, "none", 0.5, accuracy=100 * value.double().mean().item())
        for name, value in right.items()
    ]
    return {row.method: row for row in ranked(given, found)}


def test_rows_are_ranked_and_ties_found():
    # 90 right; 85: five lost, none won: 5 ± 2.2; 87, three lost: 3 ± 1.7
    found = judged(low=answers(40), five=answers(85), best=answers(90), three=answers(87))
    assert list(found) == ["best", "three", "five", "low"]
    assert [row.behind for row in found.values()] == pytest.approx([0, 3, 5, 50])
    assert [row.tie for row in found.values()] == [True, True, False, False]
    # as far behind, but right elsewhere: more disagreement, more noise
    other = answers(90).flip(0)
    other[-5:] = False
    assert judged(best=answers(90), other=other)["other"].tie


def test_the_mean_ranks_and_ties_over_budgets():
    found = board(["random", "l1", "reap"], repair="none", budgets=(0.6, 0.4, 0.3))
    means = found.means()
    assert list(means) == found.methods == sorted(means, key=means.get, reverse=True)
    for name, mean in means.items():
        assert mean == pytest.approx(np.mean([row.accuracy for row in found.of(name)]))
        for row in found.of(name):
            right = found.right[name, row.budget]
            assert row.accuracy == pytest.approx(100 * right.double().mean().item())
    assert found.budgets == [0.6, 0.4, 0.3]


def test_against_any_reference():
    found = board(["random", "l1", "reap"])
    against = found.against("random", 0.4)
    assert set(against) == {"l1", "reap"}
    points, error = against["reap"]
    gap = found.of("reap")[0].accuracy - found.of("random")[0].accuracy
    assert points == pytest.approx(gap) and error > 0
    with pytest.raises(ValueError, match="reference and budget must be one of"):
        found.against("random", 0.5)
    with pytest.raises(ValueError, match="method must be one of"):
        found.of("l3")


# What it shows ----------------------------------------------------------------------------------


def test_it_prints_a_row_each_the_intact_network_first():
    found = board({"<b>mine</b>": last_first, "reap": "reap"}, budgets=(0.5, 0.4))
    lines = str(found).splitlines()
    assert lines[0].split()[:2] == ["method", "repair"] and "0.5 of the MACs" in lines[0]
    assert lines[2].startswith("intact") and f"{found.accuracy:.1f} (1.000)" in lines[2]
    assert lines[3].startswith(found.methods[0]) and "•" in lines[3]
    best = found.of(found.methods[0])[0]
    assert f"{best.accuracy:.1f} ({best.kept:.3f}) •" in lines[3]
    assert "500 test images" in str(found) and max(map(len, lines)) <= 110
    assert repr(found).startswith("Leaderboard(2 methods at 2 budget(s), 500 test images, first ")
    html = found._repr_html_()
    assert "&lt;b&gt;mine&lt;/b&gt;" in html and "<b>" not in html
    assert html.count("<tr>") == 4


def test_as_a_table_it_can_be_computed_with_and_kept():
    found = board(["l1", "l2", broken], budgets=(0.5, 0.4))
    table = found.to_dataframe()
    assert list(table.columns) == [field.name for field in fields(Row)] and len(table) == 6
    assert list(table.method.unique()) == found.methods and not table[table.method == "l1"].empty
    means = table.groupby("method").accuracy.mean().dropna().to_dict()
    assert means == pytest.approx(found.means())
    bad = table[table.method == "broken"]
    assert bad.isna()[["accuracy", "macs", "seconds"]].all(axis=None) and not bad.tie.any()
    assert set(bad.error) == {"RuntimeError: a bug of mine"}
    back = pandas.read_csv(io.StringIO(table.to_csv(index=False)), dtype={"macs": "Int64"})
    assert back.macs.equals(table.macs) and back.accuracy.equals(table.accuracy)


def test_its_figure_shows_every_cell():
    found = board(["l1", "l2", broken], budgets=(0.5, 0.4))
    axis = found.figure().axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == found.methods
    drawn = {tuple(point) for line in axis.lines[:-1] for point in line.get_xydata().tolist()}
    wanted = {
        (row.accuracy, float(found.methods.index(row.method)))
        for row in found.rows
        if row.error is None
    }
    assert wanted <= drawn
