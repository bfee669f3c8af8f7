"""What a learner's process says: plain data, in time and in measure, or nothing."""

import asyncio
import json
import os
import sys

import psutil
import pytest
import torch

from prunekit.classroom.grading import client, limits
from prunekit.classroom.grading.plain import decode, encode


@pytest.mark.parametrize(
    "value",
    [
        [1, 2.5, "ü", None, True, float("inf"), 10**30],
        (1, [(), {"a": (2,)}], {3}),
        torch.arange(6.0).view(2, 3).T,
        torch.tensor(2.5, dtype=torch.bfloat16),
        torch.tensor([True, False]),
        torch.zeros(0, 3),
        torch.ones(2, requires_grad=True),
    ],
    ids=repr,
)
def test_plain_data_comes_back_as_it_was(value):
    got = decode(json.loads(json.dumps(encode(value))))
    assert type(got) is type(value) and repr(got) == repr(getattr(value, "detach", lambda: value)())


def test_of_an_object_only_its_name_is_told():
    class Trick:
        def __reduce__(self):
            return os.abort, ()

    assert encode([Trick(), lambda: 1]) == [{"other": "Trick"}, {"other": "function"}]
    assert type(decode({"other": "Trick"})).__name__ == "Trick"


@pytest.mark.parametrize(
    "data",
    [
        {"tensor": ["float64", [10**9, 10**9], ""]},
        {"tensor": ["float64", [2, 2], ""]},
        {"tensor": ["float64", [2], "AAAA"]},
        {"tensor": ["float64", [-1], ""]},
        {"tensor": ["pickle", [0], ""]},
        {"os.system": ["true"]},
        {"tuple": [], "set": []},
        {"dict": [1]},
    ],
    ids=str,
)
def test_what_is_no_plain_data_is_refused(data):
    with pytest.raises((ValueError, TypeError, KeyError, RuntimeError)):
        decode(data)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "print('{}', flush=True); input()\nwhile True: print('x' * 10**6, end='')",
            "more than 4 MB",
        ),
        ("print('{}', flush=True); input(); print('[' * 10**6)", "cannot be read"),
        ("print('{}', flush=True); input(); print('[1]')", "cannot be read"),
        ("print('{}', flush=True); input()", "ended the kernel"),
        ("print('{}', flush=True)\nwhile True: pass", "took more than 0 s"),
    ],
)
def test_a_process_that_answers_badly_is_lost_in_time(code, words, monkeypatch):
    monkeypatch.setattr(client, "GRACE", 0.5)
    argv = [sys.executable, "-c", code]
    monkeypatch.setattr(client, "_how", lambda *_: (argv, dict(os.environ)))

    async def ask():
        async with client.started("room", limits.Limits(), None) as worker:
            return client.loaded(await worker.ask({"run": ""}, 0.3))

    with pytest.raises(client.Lost, match=words):
        asyncio.run(ask())
    assert not psutil.Process().children()
