"""How every process behind the walls begins: it limits itself, then answers line by line.

A line is a JSON object. Nothing of a learner's is imported before the limits hold, and what the
process starts inherits them.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["MAX_LINE", "MAX_WORDS", "Line", "cut", "serve"]

MAX_LINE = 4 * 2**20  # bytes of one answer
MAX_WORDS = 2000  # characters of one message
MAX_FILE = 2**28  # bytes of any one file that a learner's code may write


class Line:
    """The way to the grader, out of reach of ``input()`` and ``print()``; limits come first."""

    def __init__(self) -> None:
        limit(float(sys.argv[1]))  # GiB
        self._hear, self._tell = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
        with open(os.devnull, "r+b") as nowhere:
            for stream in (0, 1, 2):
                os.dup2(nowhere.fileno(), stream)

    def hear(self) -> dict[str, Any]:
        """The next request; ends the process when none will come."""
        line = self._hear.readline()
        return json.loads(line) if line else sys.exit()

    def read(self, size: int) -> bytes:
        """So many bytes that come after a request."""
        return self._hear.read(size)

    def tell(self, answer: dict[str, Any]) -> None:
        """Send an answer, if it is not too long."""
        try:
            text = json.dumps(answer)
        except (ValueError, RecursionError) as error:
            text = json.dumps({"not yet": f"What it returned cannot be read ({cut(error)})."})
        if len(text) > MAX_LINE - 2:
            text = json.dumps({"not yet": f"It returned more than {MAX_LINE // 2**20} MB."})
        self._tell.write(text.encode() + b"\n")
        self._tell.flush()


def serve(line: Line, handle: Callable[[dict[str, Any], Line], dict[str, Any]]) -> None:
    """Answer requests until the grader hangs up."""
    line.tell({})  # ready
    while True:
        line.tell(handle(line.hear(), line))


def cut(error: BaseException) -> str:
    """What an exception says, or its beginning."""
    try:
        return str(error)[:MAX_WORDS]
    except Exception:
        return "it cannot be put into words"


def limit(gigabytes: float) -> None:
    """Limit each process from here on: memory, the size of a file, no core dumps."""
    if sys.platform == "win32":  # it has no such limits
        return
    import resource

    most = int(gigabytes * 2**30)
    wanted = {resource.RLIMIT_DATA: most, resource.RLIMIT_FSIZE: MAX_FILE, resource.RLIMIT_CORE: 0}
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
