"""A learner's kernel as the grader sees it: cells go in, what went wrong and verdicts come out."""

import asyncio
import math
import secrets
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from prunekit.classroom.grading import sandbox
from prunekit.classroom.grading.kernel import KIND

__all__ = ["Kernel", "Limits", "Lost", "started"]

MAX_PRINTED = 20_000_000  # characters, of one cell
TOO_LONG, TOO_MUCH = "took more than {:.0f} s (an endless loop?)", "printed more than 20 MB"


@dataclass(frozen=True)
class Limits:
    """``minutes`` for a notebook, ``seconds`` for a cell or a check, ``memory`` in GiB."""

    minutes: float = 3.0
    seconds: float = 30.0
    memory: float = 4.0
    isolated: bool = False


class Lost(Exception):
    """The kernel is dead, or does not answer any more."""


class Kernel(NotebookClient):
    """nbclient's client; it keeps nothing of what cells show but verdicts."""

    def __init__(self, manager: AsyncKernelManager):
        super().__init__(
            new_notebook(cells=[new_code_cell()]),
            km=manager,
            allow_errors=True,
            interrupt_on_timeout=True,
            error_on_timeout={"ename": "TooLong"},
            store_widget_state=False,
            on_cell_executed=self._remember,
        )
        self.log.disabled = True
        self._printed, self._reply = 0, {}

    def _remember(self, execute_reply: dict, **_: Any) -> None:
        self._reply = execute_reply["content"]

    def output(self, outs: list, msg: dict, display_id: Any, cell_index: int) -> None:
        """Keep a verdict; interrupt what prints without end."""
        content = msg["content"]
        data = content.get("data", {})
        if KIND in data:
            outs.append(data[KIND])
        before = self._printed
        self._printed += len(content.get("text", "")) + sum(len(str(v)) for v in data.values())
        if before <= MAX_PRINTED < self._printed:
            self._stop = asyncio.ensure_future(self.km.interrupt_kernel())

    async def run(self, source: str, seconds: float) -> tuple[str | None, list[dict]]:
        """What went wrong, in words, and the verdicts that came.

        Raises
        ------
        Lost
            If no other cell can follow.
        """
        words = await self._execute(source, seconds)
        verdicts = self.nb.cells[0].outputs
        if words in (TOO_LONG.format(seconds), TOO_MUCH) and await self._execute("0", 5):
            raise Lost(words)
        return words, verdicts

    async def _execute(self, source: str, seconds: float) -> str | None:
        self.timeout, self._printed, self._reply = math.ceil(seconds), 0, {}
        try:
            await self.async_execute_cell(new_code_cell(source), 0)
        except Exception:
            if asyncio.current_task().cancelling():  # nbclient takes Ctrl-C for a dead kernel
                raise asyncio.CancelledError from None
            raise Lost("ended the kernel (a crash, or too much memory?)") from None
        if self._printed > MAX_PRINTED:
            return TOO_MUCH
        if self._reply.get("status") != "error":
            return None
        if self._reply["ename"] == "TooLong":
            return TOO_LONG.format(seconds)
        return f"stopped with {self._reply['ename']}: {self._reply['evalue']}".rstrip(". ")


class _OneSpec(KernelSpecManager):
    """The only kernel there is: the Python that runs the grader."""

    def __init__(self, argv: list[str], mode: str):
        super().__init__()
        self._one = KernelSpec(
            argv=argv, display_name="learner", language="python", interrupt_mode=mode
        )

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return self._one


@asynccontextmanager
async def started(scratch: Path, limits: Limits) -> AsyncIterator[Kernel]:
    """A kernel that is gone afterwards, whatever happened."""
    options: dict[str, Any] = {"connection_file": str(scratch / f"{secrets.token_hex(4)}.json")}
    if limits.isolated:  # files for sockets: there is no network in there
        options |= {"transport": "ipc", "ip": options["connection_file"].removesuffix(".json")}
    argv = sandbox.command(scratch, limits.memory, isolated=limits.isolated)
    spec = _OneSpec(argv, "message" if limits.isolated else "signal")
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=spec, **options)
    kernel = Kernel(manager)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        await kernel.async_start_new_kernel(
            env=sandbox.environment(scratch), cwd=str(scratch), **quiet
        )
        await kernel.async_start_new_kernel_client()
        yield kernel
    finally:
        if kernel.kc is not None:
            kernel.kc.stop_channels()
        await manager.shutdown_kernel(now=True)
