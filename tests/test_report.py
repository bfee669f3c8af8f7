"""The report as a table, as HTML, as data and in a line."""

import json
import re

import pytest
import torch
from torch import nn

import prunekit as pk
from prunekit.results.report import Report, Row

from .networks import chain

IMAGES = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
REASON = "the network fails without a channel (RuntimeError: shape '[-1, 320]' is\ninvalid) " * 3
ROWS = (
    Row("first", 16, 8, tuple(range(8)), 0.1, 50, None, 72),
    Row("second", 16, 4, tuple(range(4)), 0.25, 72, None, 72),
    Row("unmeasured", 16, 8, tuple(range(8)), None, None, None),
    Row("whole", 16, 16, tuple(range(16)), None, None, None),
    Row("left<b>", 1024, 1024, tuple(range(1024)), None, None, REASON),
    Row("backbone." + "block." * 12 + "conv1", 8, 4, (0, 1, 2, 3), 0.0, None, None),
)
TOTALS = {"macs_before": 10**12, "macs_after": 10**11, "params_before": 10, "params_after": 5}
REPORT = Report(ROWS, "reap", "network", **TOTALS)


def test_the_table_is_narrow_and_says_it_all():
    lines = str(REPORT).splitlines()
    assert max(map(len, lines)) < 100
    assert lines[0].split("  ")[-1] == "relative error, or why it was left alone"
    assert any(line.endswith("16 → 8  0.100, effective rank 50 of 72") for line in lines)
    assert any(line.endswith("16 → 4  0.250") for line in lines)
    assert any(line.split() == ["unmeasured", "16", "→", "8", "not", "measured"] for line in lines)
    assert any(line.split() == ["whole", "16", "nothing", "removed"] for line in lines)
    assert any(line.startswith("backbone.…") and ".conv1 " in line for line in lines)
    words = " ".join(" ".join(lines).split())
    assert " ".join(REASON.split()) in words.replace(" left alone: ", " ")
    assert " ".join(REPORT.summary.split()) in words


def test_html_follows_the_theme_and_escapes():
    html = REPORT._repr_html_()
    assert html.count("<tr") == len(ROWS) + 1 == html.count("</tr>")
    assert "left&lt;b&gt;" in html and "<b>" not in html
    assert "relative error" in html and "16 → 8" in html and "width:50%" in html
    colours = set(re.findall(r"(?:background|color|border)[^;\"]*:([^;\"]+)", html))
    assert colours <= {"currentColor", "1px solid currentColor"}
    assert ROWS[-1].name in html  # whole: a page can scroll


def test_the_dict_survives_json():
    data = REPORT.to_dict()
    assert json.loads(json.dumps(data)) == data
    assert data["rows"][0] == {
        "name": "first",
        "channels_before": 16,
        "channels_after": 8,
        "kept": list(range(8)),
        "error": 0.1,
        "rank": 50,
        "reason": None,
        "columns": 72,
    }
    assert data["macs_after"] == 10**11 and data["method"] == "reap"
    real = pk.prune(chain(), IMAGES[:1], IMAGES, pruning_ratio=0.5, progress=False).report
    assert json.loads(json.dumps(real.to_dict())) == real.to_dict()


def test_short_words():
    brief = "reap: 4 of 6 sites pruned, MACs 1,000,000,000,000 → 100,000,000,000 (0.10 kept)"
    assert REPORT.brief == brief and repr(REPORT) == f"Report({brief})"
    result = pk.prune(chain(), IMAGES[:1], IMAGES, pruning_ratio=0.5, progress=False)
    assert repr(result) == f"PruningResult({result.report.brief})"
    assert result.report.brief.startswith("reap: 3 of 4 sites pruned, MACs ")


def test_nothing_to_count_is_said():
    totals = {"macs_before": 0, "macs_after": 0, "params_before": 10, "params_after": 5}
    report = Report(ROWS[:1], "l1", "none", **totals)
    assert "MACs 0 → 0 (the network has no MACs that count)" in report.summary
    assert report.summary in " ".join(str(report).split()) and "no MACs" in repr(report)


def test_a_budget_of_nothing_is_refused(monkeypatch):
    monkeypatch.setattr("prunekit.pipeline.budget.count_macs", lambda *_: 0)
    with pytest.raises(ValueError, match="no MACs that can be counted.*give pruning_ratio"):
        pk.prune(chain(), IMAGES[:1], IMAGES, target_macs=0.5, progress=False)


@pytest.mark.parametrize(("coefficients", "columns"), [("kernel", [72, 24, 10]), ("channel", None)])
def test_ranks_are_out_of_the_columns_of_x(coefficients, columns):
    options = {"coefficients": coefficients, "repair": "least_squares", "pruning_ratio": 0.5}
    rows = pk.prune(chain(), IMAGES[:1], IMAGES, progress=False, **options).report.rows[:-1]
    assert [row.columns for row in rows] == (columns or [row.channels_before for row in rows])
    assert all(0 < row.rank <= row.columns for row in rows)


def test_a_low_rank_shows():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 12), nn.Linear(12, 4))  # twelve channels of three numbers
    x = torch.randn(100, 3)
    report = pk.prune(model, x[:1], x, pruning_ratio=0.5, progress=False).report
    assert report.rows[0].rank == 3 and "0.000, effective rank 3 of 12" in str(report)


class Fork(nn.Module):
    """One layer whose channels several others take; their outputs are those of the network."""

    def __init__(self, heads):
        super().__init__()
        self.body = nn.Linear(5, 6)
        self.heads = nn.ModuleList(nn.Linear(6, 2 + i) for i in range(heads))

    def forward(self, x):
        hidden = torch.relu(self.body(x))
        return torch.cat([head(hidden) for head in self.heads], 1)


@pytest.mark.parametrize("repair", ["none", "least_squares"])
@pytest.mark.parametrize("heads", [1, 2])
def test_the_relative_error_is_that_of_all_consumers(heads, repair):
    torch.manual_seed(0)
    model, inputs = Fork(heads).double(), torch.randn(50, 5, dtype=torch.float64)
    options = {"pruning_ratio": 0.5, "repair": repair, "progress": False}
    result = pk.prune(model, inputs[:1], inputs, **options)
    with torch.no_grad():
        before, after = model(inputs), result.model(inputs)
    lost, whole = (before - after).square().sum(), (before - before.mean(0)).square().sum()
    assert result.report.rows[0].error == pytest.approx((lost / whole).item(), rel=1e-9)
