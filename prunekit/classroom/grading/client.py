"""A process of the grader's from outside: requests go in, short answers come out in time."""

import asyncio
import contextlib
import json
import os
import subprocess
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil

from prunekit.classroom.grading import sandbox
from prunekit.classroom.grading.cleaning import scratch
from prunekit.classroom.grading.inside import MAX_LINE
from prunekit.classroom.grading.limits import FOR_SYSTEMD, Limits, grouped, in_group, over, over_now

__all__ = ["Examiner", "Lost", "Worker", "loaded", "started"]

START = 120.0  # seconds that Python and torch may take
GRACE = 2.0  # seconds, for a process that limits itself
ENDED = "ended the kernel (a crash, or too much memory?)"


class Lost(Exception):
    """A process is dead, or does not answer as it should; the message says what it did."""


class Worker:
    """A process that answers each request with a line of JSON."""

    def __init__(self, process: Process, memory: float):
        self._process, self._memory = process, memory
        self._over = asyncio.create_task(self._watch(memory))

    async def _watch(self, memory: float) -> str:
        words = await over(self._process.pid, memory)
        _kill(self._process)
        return words

    async def ask(self, request: dict | bytes, seconds: float, content: bytes = b"") -> bytes:
        """The line that answers; ``content`` follows the request.

        Raises
        ------
        Lost
            If no other request can follow.
        """
        line = request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n"
        try:
            answer = await asyncio.wait_for(self._exchange(line + content), seconds + GRACE)
        except TimeoutError:
            # a busy machine may not have looked in time
            much = await over_now(self._process.pid, self._memory)
            raise Lost(much or f"took more than {seconds:.0f} s (an endless loop?)") from None
        except ValueError:  # the reader's, of a line without end
            raise Lost(f"answered with more than {MAX_LINE // 2**20} MB") from None
        except OSError:
            answer = b""
        if not answer.endswith(b"\n"):
            raise Lost(self._over.result() if self._over.done() else ENDED)
        return answer

    async def _exchange(self, content: bytes) -> bytes:
        if content:
            self._process.stdin.write(content)
            await self._process.stdin.drain()
        return await self._process.stdout.readline()

    async def close(self) -> None:
        """End it, and what it started."""
        self._over.cancel()
        _kill(self._process)
        self._process.stdin.close()
        await self._process.wait()


def loaded(answer: bytes) -> dict[str, Any]:
    """What an answer says; Lost if it is no JSON object."""
    try:
        said = json.loads(answer)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise Lost("answered with something that cannot be read")
    return said


def _kill(process: Process) -> None:
    """End a process and its descendants; behind walls they end with it, however they hide."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    with contextlib.suppress(ProcessLookupError):
        process.kill()


@contextlib.asynccontextmanager
async def started(role: str, limits: Limits, hidden: Path | None) -> AsyncIterator[Worker]:
    """A process that is gone afterwards, whatever happened; ``hidden`` as for `sandbox.command`.

    Raises
    ------
    RuntimeError
        If it does not start.
    """
    with contextlib.ExitStack() as stack:
        home = sandbox.HOME if hidden is not None else stack.enter_context(scratch())
        argv, environment = _how(role, limits, home, hidden)
        quiet = {"stderr": subprocess.DEVNULL, "limit": MAX_LINE, "start_new_session": True}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        where = {"env": environment, "cwd": None if hidden is not None else home}
        process = await asyncio.create_subprocess_exec(*argv, **pipes, **quiet, **where)
        worker = Worker(process, limits.memory)
        try:
            try:
                await worker.ask(b"", START)
            except Lost as loss:
                raise RuntimeError(f"a process of the grader's {loss} before it began") from None
            yield worker
        finally:
            await worker.close()


def _how(
    role: str, limits: Limits, home: Path, hidden: Path | None
) -> tuple[list[str], dict[str, str]]:
    """Command and environment."""
    argv = sandbox.command(role, limits.memory, hidden)
    environment = sandbox.environment(home, hidden)
    if not grouped():
        return argv, environment
    ours = {name: os.environ[name] for name in FOR_SYSTEMD if name in os.environ}
    return [*in_group(limits.memory), *argv], environment | ours


class Examiner:
    """The clean process, started when it is needed, and anew after trouble."""

    def __init__(self, limits: Limits, hidden: Path | None):
        self._limits, self._hidden = limits, hidden
        self._worker, self._stack = None, contextlib.AsyncExitStack()

    async def ask(self, request: dict | bytes, seconds: float, content: bytes = b"") -> dict:
        """What it says; Lost as for `Worker.ask`, RuntimeError if it does not start."""
        if self._worker is None:
            start = started("examiner", self._limits, self._hidden)
            self._worker = await self._stack.enter_async_context(start)
        try:
            return loaded(await self._worker.ask(request, seconds, content))
        except BaseException:  # in the middle of something
            await self.close()
            raise

    async def close(self) -> None:
        """End the process; another begins with the next request."""
        self._worker = None
        await self._stack.aclose()
