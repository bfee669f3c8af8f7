"""Inside the room: a kernel that limits itself before any learner's code runs, and its verdicts."""

import sys
from typing import Any

from prunekit.classroom.checks import verdict

__all__ = ["FRESH", "KIND", "limit", "main", "publish"]

KIND = "application/vnd.prunekit.verdict+json"
MAX_FILE = 2**28  # bytes of any one file that a learner's code may write

# Run in the learner's kernel: the checks are imported afresh, so that whatever the notebook did to
# `check`, to the exercises or to print() does not matter. The library itself stays as it is, or
# answers made of its classes would not be known any more.
FRESH = """
def _fresh(names=("checks", "exercises", "grading")):
    import sys
    import prunekit.classroom
    for name in names:
        vars(prunekit.classroom).pop(name, None)
        for module in list(sys.modules):
            if f"{{module}}.".startswith(f"prunekit.classroom.{{name}}."):
                del sys.modules[module]
    from prunekit.classroom.grading.kernel import publish
    publish({name!r}, {seed!r}, {token!r}, globals())
_fresh()
"""


def publish(name: str, seed: int, token: str, namespace: dict[str, Any]) -> None:
    """Send the verdict on ``namespace[name]``, past whatever became of stdout."""
    from IPython import get_ipython

    if name in namespace:
        found = verdict(namespace[name], seed, name=name)
        said = {"status": found.status, "message": found.message}
    else:
        said = {"status": "missing", "message": ""}
    get_ipython().display_pub.publish({KIND: said | {"token": token}})


def limit(gigabytes: float) -> None:
    """Limit this process: memory, the size of a file, no core dumps; on Linux only."""
    if sys.platform != "linux":
        return
    import resource

    most = int(gigabytes * 2**30)
    wanted = {resource.RLIMIT_DATA: most, resource.RLIMIT_FSIZE: MAX_FILE, resource.RLIMIT_CORE: 0}
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def main() -> None:
    """``python -m prunekit.classroom.grading.kernel GIGABYTES -f CONNECTION_FILE``."""
    from ipykernel.kernelapp import launch_new_instance

    limit(float(sys.argv[1]))
    launch_new_instance(sys.argv[2:])


if __name__ == "__main__":
    main()
