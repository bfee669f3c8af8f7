"""Measurements of optimize_ratios() that last: interrupted, resumed, and never mixed up."""

import json
import os
import re

import pytest
from torch import nn

import prunekit as pk
from prunekit.pipeline.repairs import Repair

from .networks import chain
from .test_optimizer import IMAGES, model, optimize, quietest_first
from .test_pipeline import assert_untouched, snapshot

PROBES = 7  # a batch of this size is a measurement: calibration goes through 50 at once, tests by 1


def watched(during=lambda count: None):
    """A network that counts the measurements made on it and its copies; the first is of z₀."""
    net, count = model(), []

    class Watched(type(net)):
        def forward(self, inputs):
            if len(inputs) == PROBES:
                during(len(count))
                count.append(1)
            return super().forward(inputs)

    Watched.__name__, Watched.__qualname__ = type(net).__name__, type(net).__qualname__
    net.__class__ = Watched  # under the same name: files are kept per architecture
    return net, count


def run(net, file=None, **kwargs):
    kwargs.setdefault("method", "l1")
    if not kwargs.keys() & {"max_error", "target_params"}:
        kwargs.setdefault("target_macs", 0.5)
    return optimize(net, probes=PROBES, file=file, **kwargs)


def same(a, b):
    return (a, a.widths, a.curves, a.trace, a.error) == (b, b.widths, b.curves, b.trace, b.error)


def held(file):
    return json.loads(file.read_text("utf-8"))["measured"]


@pytest.mark.parametrize("form", ["curves", "greedy"])
@pytest.mark.parametrize("after", [1, 4])
def test_an_interrupted_run_goes_on_where_it_was(tmp_path, form, after):
    """Interrupted while it measures: what was measured before is not measured again."""
    file = tmp_path / "measured.json"
    whole, made = watched()
    want = run(whole, form=form)

    def stop(count):
        if count == 1 + after:
            raise KeyboardInterrupt

    net, _ = watched(stop)
    before = snapshot(net)
    with pytest.raises(KeyboardInterrupt):
        run(net, file, form=form)
    assert_untouched(net, before)
    assert len(held(file)) == after
    net, again = watched()
    assert same(run(net, file, form=form), want)
    assert len(again) == len(made) - after  # z₀ is looked at in both
    assert len(held(file)) == len(made) - 1
    net, nothing = watched()
    assert same(run(net, file, form=form), want)
    assert len(nothing) == 1


def test_an_interrupted_method(tmp_path):
    """The second site's path is interrupted: all of the first site is kept."""
    file, calls, stop = tmp_path / "measured.json", [], tmp_path / "stop"

    def method(site):
        calls.append(site.channels)
        if calls == [8, 6] and stop.exists():
            raise KeyboardInterrupt
        return quietest_first(site)

    stop.touch()
    with pytest.raises(KeyboardInterrupt):
        run(model(), file, method=method)
    assert held(file).keys() == {"0=6", "0=4", "0=2", "0=1"}
    stop.unlink()
    calls.clear()  # what a method keeps is part of it
    resumed = run(model(), file, method=method, form="curves")
    assert same(resumed, run(model(), method=method))
    assert calls[:2] == [6, 10]  # the first site was asked for again only afterwards, if at all


def test_the_file_is_whole_after_every_measurement(tmp_path):
    """Read while the run goes on; what a reader has opened is replaced, never written over."""
    file, seen = tmp_path / "measured.json", []
    old = tmp_path / "old.json"

    def read(count):
        if count > 1:
            seen.append(len(held(file)))
        if count == 3:
            os.link(file, old)

    net, made = watched(read)
    run(net, file)
    assert seen == list(range(1, len(made) - 1))
    assert len(held(old)) == 2 and len(held(file)) == len(made) - 1
    assert {path.name for path in tmp_path.iterdir()} == {"measured.json", "old.json"}


def test_other_budgets_forms_and_steps_share_the_file(tmp_path):
    file = tmp_path / "measured.json"
    run(watched()[0], file)
    for kwargs in ({"target_macs": 0.3}, {"form": "greedy"}, {"max_error": 5.0}, {"step": 1 / 2}):
        first = set(held(file))
        net, _ = watched()
        shared, alone = run(net, str(file), **kwargs), run(model(), **kwargs)
        assert (shared, shared.trace, shared.error) == (alone, alone.trace, alone.error)
        assert first <= set(held(file))
    net, made = watched()
    run(net, file, target_params=0.5)
    assert len(made) <= 2  # z₀, and what it chose


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not measurements",
        b"\xff\xfe\x00",
        b"[]",
        b"3",
        b"{}",
        b'{"about": "me"}',
        b'{"about": "me", "measured": 3}',
        b'{"about": "me", "measured": {"0=6": null}}',
        b'{"about": "me", "measured": {"0=6": "much"}}',
        b'{"about": "me", "z0": [], "measured": {"0=6": 1.0}}',
        b"[" * 100_000,
    ],
)
def test_a_foreign_file_is_refused_and_left_alone(tmp_path, content):
    file = tmp_path / "measured.json"
    file.write_bytes(content)
    net = model()
    before = snapshot(net)
    with pytest.raises(ValueError, match=r"measured\.json' does not hold measurements.*delete it"):
        run(net, file)
    assert file.read_bytes() == content
    assert_untouched(net, before)


def test_a_truncated_file_is_refused_and_left_alone(tmp_path):
    file = tmp_path / "measured.json"
    run(model(), file)
    whole = file.read_bytes()
    for size in range(0, len(whole) - 1, 37):
        file.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="does not hold measurements"):
            run(model(), file)
        assert file.read_bytes() == whole[:size]


def gelu():
    net = model()
    net[4] = nn.GELU()
    return net


def other_norm():
    net = model()
    net[1].running_mean += 0.1
    return net


@pytest.mark.parametrize(
    ("make", "kwargs"),
    [
        (lambda: chain(seed=6).eval(), {}),
        (gelu, {}),
        (other_norm, {}),
        (model, {"inputs": IMAGES * 1.01}),
        (model, {"inputs": IMAGES.flip(0)}),
        (model, {"method": "l2"}),
        (model, {"method": quietest_first, "repair": "none"}),
        (model, {"repair": "least_squares"}),
        (model, {"criterion": "kl"}),
        (model, {"coefficients": "channel"}),
        (model, {"ridge": 0.1}),
    ],
)
def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path, make, kwargs):
    file = tmp_path / "measured.json"
    run(model(), file)
    content = file.read_bytes()
    with pytest.raises(ValueError, match="of another network, method or calibration"):
        run(make(), file, **kwargs)
    assert file.read_bytes() == content


def test_other_probes_are_other_measurements(tmp_path):
    file = tmp_path / "measured.json"
    run(model(), file)
    with pytest.raises(ValueError, match="of another network, method or calibration"):
        optimize(model(), target_macs=0.5, method="l1", probes=PROBES + 1, file=file)


EDITS = {  # what somebody, or a disk, may make of a number
    "another digit": lambda text: re.sub(
        "[1-9]", lambda d: "2" if d[0] == "1" else "1", text, count=1
    ),
    "half of it": lambda text: str(float(text) / 2),
    "NaN": lambda text: "NaN",
    "Infinity": lambda text: "Infinity",
    "below 0": lambda text: "-5",
    "true": lambda text: "true",
    "text": lambda text: f'"{text}"',
    "null": lambda text: "null",
    "a list": lambda text: f"[{text}]",
    "a huge one": lambda text: "1" * 5000,
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_number_is_not_believed(tmp_path, edit):
    file = tmp_path / "measured.json"
    run(model(), file)
    lines = file.read_text("utf-8").splitlines()
    numbers = [i for i, line in enumerate(lines) if line.strip()[:3] in ('"0=', '"3=', '"7=')]
    numbers += [i for i, line in enumerate(lines) if line.strip().rstrip(",")[-4:].isdigit()][:1]
    for i in (numbers[0], numbers[-2], numbers[-1]):  # the first, the last, and one of z₀
        head, space, number = lines[i].rpartition(" ")
        new = [*lines[:i], head + space + EDITS[edit](number.rstrip(",")), *lines[i + 1 :]]
        new[i] += "," * number.endswith(",")
        file.write_text("\n".join(new), "utf-8")
        with pytest.raises(ValueError, match="does not hold measurements.*delete it"):
            run(model(), file)


def test_a_renamed_or_dropped_measurement_is_not_believed(tmp_path):
    file = tmp_path / "measured.json"
    run(model(), file)
    whole = json.loads(file.read_text("utf-8"))
    for name, new in (("0=6", "0=5"), ("0=6", None)):
        content = json.loads(json.dumps(whole))
        value = content["measured"].pop(name)
        content["measured"] |= {new: value} if new else {}
        file.write_text(json.dumps(content), "utf-8")
        with pytest.raises(ValueError, match="does not hold measurements as they were written"):
            run(model(), file)


SWAY = 1.0


class Swayed(nn.Module):
    """A network that depends on more than its layers and numbers."""

    def __init__(self):
        super().__init__()
        self.inner = model()

    def forward(self, x):
        return self.inner(x) * SWAY


def test_a_network_that_says_something_else_is_another_one(tmp_path, monkeypatch):
    file = tmp_path / "measured.json"
    run(Swayed().eval(), file)
    run(Swayed().eval(), file)
    monkeypatch.setitem(globals(), "SWAY", 1 + 1e-5)  # as much as another processor may add
    run(Swayed().eval(), file)
    monkeypatch.setitem(globals(), "SWAY", 1.01)
    with pytest.raises(ValueError, match="outputs of the original are not those of this one"):
        run(Swayed().eval(), file)


def test_methods_are_known_by_what_they_do(tmp_path):
    """Two lambdas, or two of one name, are two methods; one that is written twice is one."""
    file, loud = tmp_path / "measured.json", False
    run(model(), file, method=lambda site: loudest(site, 1))
    run(model(), file, method=lambda site: loudest(site, 1))
    for other in (lambda site: loudest(site, 2), lambda site: loudest(site, 1 + loud)):
        with pytest.raises(ValueError, match="of another network, method"):
            run(model(), file, method=other)


def loudest(site, power):
    loudness = site.moments.gram.diagonal().view(site.channels, -1).sum(1)
    return pk.Elimination((loudness**power).argsort(descending=True))


def test_repairs_of_ones_own_are_known_by_what_they_do(tmp_path):
    class Mine(Repair):
        name = "none"

        def __init__(self, factor):
            self.factor = factor

        def after_site(self, site, chosen, kept):
            return [(W * self.factor, b) for W, b in super().after_site(site, chosen, kept)]

    file = tmp_path / "measured.json"
    run(model(), file, repair=Mine(1.0))
    run(model(), file, repair=Mine(1.0))
    for other in (Mine(1.1), "none"):
        with pytest.raises(ValueError, match="of another network, method"):
            run(model(), file, repair=other)
