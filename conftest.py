"""No test or notebook reaches beyond this machine, hangs on chance, or leaves a process behind."""

import os
import runpy
from pathlib import Path

import psutil
import pytest
from hypothesis import settings

OFFLINE = Path(__file__).parent / "tests" / "offline"
AT_ONCE = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
SEED = os.environ.get("JITTER") or "0"  # of the last digits that notebooks get; "off": their own

# Threads that spin while they wait make a busy machine many times slower; torch reads both once.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // AT_ONCE, 1)))
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(OFFLINE), os.environ.get("PYTHONPATH")])
)
runpy.run_path(str(OFFLINE / "sitecustomize.py"))

settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    """Kernels of notebooks start with the last digits of another processor."""
    with pytest.MonkeyPatch.context() as patch:
        if item.path.suffix == ".ipynb":
            patch.setenv("JITTER", SEED)
        return (yield)


def processes() -> set[psutil.Process]:
    """What was started from here and still runs; old torch keeps a compiler waiting."""
    return {p for p in psutil.Process().children(recursive=True) if "compile_worker" not in said(p)}


def said(process: psutil.Process) -> str:
    """Its command line, or nothing where it has just ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left_running():
    """A test that starts a process ends it, also when it fails: the next one is no victim."""
    before = processes()
    yield
    _, left = psutil.wait_procs(processes() - before, timeout=5)
    names = [said(process)[:200] for process in left if process.is_running()]
    for process in left:
        process.kill()
    assert not names, "left running: " + "; ".join(names)


def pytest_terminal_summary(terminalreporter):
    """A report from elsewhere can be read: on what it ran."""
    from prunekit.classroom.machine import on_what

    workers = terminalreporter.config.getoption("numprocesses", None) or 1
    digits = "their own last digits" if SEED == "off" else f"last digits of seed {SEED}"
    terminalreporter.write_line(f"On {on_what()}; {workers} at a time; notebooks with {digits}.")
