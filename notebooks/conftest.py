"""Notebook 08 reads real photographs; where they are missing, pytest skips it and says why."""

import pytest

from prunekit.classroom import data

NEEDS_CIFAR10 = ("08_real_cifar10.ipynb",)
REASON = f"CIFAR-10 is not on this machine. {data.CIFAR10_CURE}"


def pytest_collection_modifyitems(items):
    if data.find_cifar10() is None:
        for item in items:
            if item.path.name in NEEDS_CIFAR10:
                item.add_marker(pytest.mark.skip(reason=REASON))


def pytest_terminal_summary(terminalreporter):
    skipped = terminalreporter.getreports("skipped")
    for name in sorted({report.nodeid.partition("::")[0] for report in skipped}):
        if name.endswith(NEEDS_CIFAR10):
            terminalreporter.write_line(f"{name} was skipped: {REASON}", yellow=True)
