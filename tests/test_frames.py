"""Tables in pandas: the same numbers as in the rows they were made from, in typed columns."""

import io
from dataclasses import dataclass

import pandas
import pytest
import torch

import prunekit as pk
from prunekit.pipeline.ratios import Row as Ratio
from prunekit.results.frames import frame
from prunekit.results.report import Report, Row

from .networks import chain

IMAGES = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True)
class Thing:
    name: str
    count: int
    size: float
    rank: int | None
    error: float | None
    ids: tuple[int, ...]
    whole: bool


THINGS = [Thing("a", 1, 0.5, None, 0.25, (0, 2), True), Thing("b", 2, 1.5, 7, None, (), False)]
DTYPES = ["object", "int64", "float64", "Int64", "float64", "object", "bool"]


def test_columns_have_the_types_of_the_fields():
    table = frame(THINGS, Thing)
    assert list(table.columns) == ["name", "count", "size", "rank", "error", "ids", "whole"]
    assert list(map(str, table.dtypes)) == DTYPES == list(map(str, frame([], Thing).dtypes))
    assert table.name.tolist() == ["a", "b"] and table.ids.tolist() == [(0, 2), ()]
    assert table["rank"].isna().tolist() == [True, False] and table["rank"][1] == 7
    assert table.error.isna().tolist() == [False, True] and table.error[0] == 0.25
    assert table.whole.tolist() == [True, False] and not len(frame([], Thing))


@pytest.mark.parametrize("text", ["\udcff", "", "ä"])
def test_any_text_fits_in(text):
    assert frame([Thing(text, 1, 0.5, None, None, (), True)], Thing).name[0] == text


def test_a_report_as_a_table():
    report = pk.prune(chain(), IMAGES[:1], IMAGES, pruning_ratio=0.5, progress=False).report
    table = report.to_dataframe()
    assert list(table.name) == [row.name for row in report.rows] and len(table) == 4
    assert list(table.kept) == [row.kept for row in report.rows]
    pruned = table[table.reason.isna()]
    assert list(pruned.channels_after) == [len(ids) for ids in pruned.kept]
    errors = [row.error for row in report.rows if row.error is not None]
    assert table.error.mean() == pytest.approx(sum(errors) / len(errors))  # a gap is no zero
    assert (pruned["rank"] <= pruned["columns"]).all()
    back = pandas.read_csv(io.StringIO(table.to_csv(index=False)))
    assert back.channels_before.equals(table.channels_before)


def test_a_report_without_sites_has_an_empty_table():
    table = Report((), "reap", "none", 1, 1, 1, 1).to_dataframe()
    assert table.empty and "channels_after" in table and "reason" in table


def test_ratios_as_a_table():
    ratios = pk.optimize_ratios(chain(), IMAGES[:1], IMAGES, target_macs=0.5, progress=False)
    table = ratios.to_dataframe()
    assert dict(zip(table.name, table.pruning_ratio, strict=True)) == ratios
    assert dict(zip(table.name, table.channels_after, strict=True)) == ratios.widths
    after = table.channels_before * (1 - table.pruning_ratio)
    assert after.tolist() == pytest.approx(table.channels_after.tolist())
    for row in table.itertuples():
        measured = ratios.curves[row.name].get(row.channels_after)
        assert row.error_alone == measured or (measured is None and pandas.isna(row.error_alone))
    assert ratios.rows[0] == Ratio(*table.iloc[0])


def test_tables_go_side_by_side():
    ratios = pk.optimize_ratios(chain(), IMAGES[:1], IMAGES, target_macs=0.5, progress=False)
    result = pk.prune(chain(), IMAGES[:1], IMAGES, pruning_ratio=ratios, progress=False)
    both = ratios.to_dataframe().merge(result.report.to_dataframe(), on="name")
    assert len(both) == len(ratios) and (both.channels_after_x == both.channels_after_y).all()


def test_rows_are_what_a_dataframe_shows():
    row = Row("first", 16, 8, (0, 1), 0.1, None, None, 72)
    (shown,) = Report((row,), "l1", "none", 1, 1, 1, 1).to_dataframe().to_dict("records")
    assert pandas.isna(shown.pop("rank"))
    assert shown == {
        "name": "first",
        "channels_before": 16,
        "channels_after": 8,
        "kept": (0, 1),
        "error": 0.1,
        "reason": None,
        "columns": 72,
    }
