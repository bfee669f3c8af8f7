"""One limit around everything that a learner's code starts: its memory, and how many processes.

Where systemd lends a control group, the kernel counts all of it. Where not, the grader adds up
twice a second what the processes hold, shared memory and nameless files in memory included, and
ends them all when it is too much.
"""

import asyncio
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache

import psutil

__all__ = [
    "FOR_SYSTEMD",
    "MAX_PROCESSES",
    "Limits",
    "grouped",
    "in_group",
    "over",
    "over_now",
    "taken",
]

MAX_PROCESSES = 100
EVERY = 0.5  # seconds between two looks
FOR_SYSTEMD = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")


@dataclass(frozen=True)
class Limits:
    """``minutes`` for a notebook, ``seconds`` for a cell or a check, ``memory`` in GiB."""

    minutes: float = 3.0
    seconds: float = 30.0
    memory: float = 4.0


def in_group(memory: float) -> list[str]:
    """What to put before a command so that it runs in a control group of so many GiB."""
    whose = [] if getattr(os, "geteuid", lambda: 1)() == 0 else ["--user"]
    words = ["systemd-run", *whose, "--scope", "--quiet", "--collect", "-p", "MemorySwapMax=0"]
    most = f"MemoryMax={int(memory * 2**30)}"
    return [*words, "-p", most, "-p", f"TasksMax={4 * MAX_PROCESSES}", "--"]


@cache
def grouped() -> bool:
    """Whether this machine has control groups for us."""
    if shutil.which("systemd-run") is None:
        return False
    try:
        trial = [*in_group(1.0), "true"]
        return subprocess.run(trial, capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


async def over(pid: int, memory: float) -> str:
    """Wait until a process and those it started take too much; in words."""
    while not (words := await over_now(pid, memory)):
        await asyncio.sleep(EVERY)
    return words


async def over_now(pid: int, memory: float) -> str:
    """What they take too much of now; empty if it is within the limits."""
    held, count = await asyncio.to_thread(taken, pid)
    if held > memory * 2**30:
        return f"took more than {memory:g} GiB of memory"
    return f"started more than {MAX_PROCESSES} processes" if count > MAX_PROCESSES else ""


def taken(pid: int) -> tuple[int, int]:
    """Bytes that a process and its descendants hold, and how many they are."""
    try:
        family = [psutil.Process(pid)]
        family += family[0].children(recursive=True)
    except psutil.Error:
        return 0, 0
    held, files = 0, {}
    for process in family:
        try:
            held += _held(process)
        except psutil.Error:  # it has just ended
            continue
        files |= _nameless(process.pid)
    return held + sum(files.values()), len(family)


def _held(process: psutil.Process) -> int:
    """Bytes; of what it shares only its part, where the system tells (Linux)."""
    try:
        return process.memory_full_info().pss
    except (AttributeError, psutil.AccessDenied):
        return process.memory_info().rss


def _nameless(pid: int) -> dict[tuple[int, int], int]:
    """{which: bytes} of the files in memory that only exist as long as a process holds them."""
    folder, found = f"/proc/{pid}/fd", {}
    try:
        for name in os.listdir(folder):
            if os.readlink(f"{folder}/{name}").startswith("/memfd:"):
                file = os.stat(f"{folder}/{name}")
                found[file.st_dev, file.st_ino] = 512 * file.st_blocks
    except OSError:  # no Linux, or it has just ended
        pass
    return found
