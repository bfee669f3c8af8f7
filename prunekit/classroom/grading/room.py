"""The learner's process: it runs cells, and calls their functions with data from outside.

Whoever works at it can answer here whatever they like; so nothing here says what is correct, but
for the exercises that are not checked on plain data (`checks.Exercise`).
"""

import contextlib
import signal
import sys
from collections.abc import Iterator
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from prunekit.classroom.calling import NotStarted, NotYet, called
from prunekit.classroom.grading.inside import MAX_WORDS, Line, cut, serve
from prunekit.classroom.grading.plain import decode, encode

__all__ = ["Room", "main"]

NO_FUNCTION = "Give check the function itself, under its own name."
FRESH = ("calling", "checks", "exercises")  # whatever became of them: a verdict imports them again


class TooLong(BaseException):
    """The time of a cell or of a call is over."""


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Interrupt what takes longer, where the platform can; the grader ends who does not listen."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def interrupt(*_: Any) -> None:
        raise TooLong

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.01), 0.5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class Room:
    """A session of IPython that shows nothing and remembers nothing on disk."""

    def __init__(self) -> None:
        config = Config({"HistoryManager": {"enabled": False}})
        self.shell = InteractiveShell.instance(config=config)
        self.shell.showtraceback = self.shell.showsyntaxerror = lambda *_, **__: None

    def handle(self, request: dict[str, Any], line: Line) -> dict[str, Any]:
        """Run a cell, call a function, or say the verdict on one."""
        late = {"status": "failed", "trouble": f"took more than {request['limit']:.0f} s "}
        late["trouble"] += "(an endless loop?)"
        try:
            with within(request["seconds"]):
                if "run" in request:
                    return self._run(request["run"])
                if request.get("call", request.get("judge")) not in self.shell.user_ns:
                    return {"status": "missing"}
                return self._judge(**request) if "judge" in request else self._call(**request)
        except TooLong:
            return late
        except BaseException as error:  # a learner's own kind
            return {"status": "failed", "trouble": _stopped(error)}

    def _run(self, source: str) -> dict[str, Any]:
        result = self.shell.run_cell(source, store_history=False)
        error = result.error_before_exec or result.error_in_exec
        if isinstance(error, TooLong):
            raise error
        return {"trouble": _stopped(error)} if error is not None else {}

    def _call(self, call: str, inputs: Any, options: Any, **_: Any) -> dict[str, Any]:
        function = self.shell.user_ns[call]
        if not callable(function):
            return {"not yet": NO_FUNCTION}
        try:
            return {"value": encode(called(function, decode(inputs), decode(options)))}
        except NotStarted:
            return {"status": "not started"}
        except NotYet as words:
            return {"not yet": str(words)[:MAX_WORDS]}

    def _judge(self, judge: str, seed: int, **_: Any) -> dict[str, Any]:
        import prunekit.classroom

        for name in FRESH:
            vars(prunekit.classroom).pop(name, None)
            for module in list(sys.modules):
                if f"{module}.".startswith(f"prunekit.classroom.{name}."):
                    del sys.modules[module]
        from prunekit.classroom.checks import verdict

        found = verdict(self.shell.user_ns[judge], seed, name=judge)
        return {"status": found.status, "message": found.message[:MAX_WORDS]}


def _stopped(error: BaseException) -> str:
    return f"stopped with {type(error).__name__}: {cut(error)}".rstrip(". ")


def main() -> None:
    """``python -P -m prunekit.classroom.grading.room GIGABYTES``."""
    line, room = Line(), Room()
    sys.path.insert(0, "")  # from now on a notebook may import files that it wrote itself
    serve(line, room.handle)


if __name__ == "__main__":
    main()
