"""The clean process: it reads notebooks, and checks functions that live in another process.

No learner's code runs here. The function is called by way of the grader, with plain data; what
comes back is data, and the verdict is made of it.
"""

from typing import Any

from prunekit.classroom.calling import NotYet
from prunekit.classroom.checks import verdict
from prunekit.classroom.grading.inside import MAX_LINE, MAX_WORDS, Line, serve
from prunekit.classroom.grading.plain import decode, encode
from prunekit.classroom.grading.submissions import Unreadable, answered, read

__all__ = ["main"]


class Over(BaseException):
    """The check ends without a verdict; passes through whatever catches an Exception."""


class Elsewhere:
    """A learner's function, called by way of the grader."""

    def __init__(self, name: str, line: Line):
        self.name, self.line = name, line

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """What it returns, made anew from plain data."""
        self.line.tell({"call": self.name, "inputs": encode(inputs), "options": encode(options)})
        said = self.line.hear()
        if "value" in said:
            return decode(said["value"])
        if said.get("status") == "not started":
            raise NotImplementedError
        if "not yet" in said:
            raise NotYet(str(said["not yet"])[:MAX_WORDS])
        if said.get("status") == "missing":
            raise Over({"status": "missing"})
        raise Over(
            {"status": "failed", "trouble": str(said.get("trouble", "got no answer"))[:MAX_WORDS]}
        )


def handle(request: dict[str, Any], line: Line) -> dict[str, Any]:
    """Read a notebook, or judge a function."""
    if "read" in request:
        return _read(line.read(request["read"]))
    name = request["judge"]
    try:
        found = verdict(Elsewhere(name, line), request["seed"], name=name)
    except Over as over:
        return over.args[0]
    return {"status": found.status, "message": found.message[:MAX_WORDS]}


def _read(content: bytes) -> dict[str, Any]:
    try:
        cells = read(content)
        if sum(map(len, cells)) > MAX_LINE // 8:  # JSON takes 6 characters for some, and a list
            raise Unreadable("It has more than 500,000 letters of code: ask for the lesson's own.")
        return {"cells": cells, "names": answered(cells)}
    except Unreadable as why:
        return {"unreadable": str(why)[:MAX_WORDS]}


def main() -> None:
    """``python -P -m prunekit.classroom.grading.examiner GIGABYTES``."""
    serve(Line(), handle)


if __name__ == "__main__":
    main()
