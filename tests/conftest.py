"""No test reaches beyond this machine, and none depends on chance or on how fast it is."""

import os
import runpy
from pathlib import Path

from hypothesis import settings

from prunekit.classroom.machine import on_what

OFFLINE = Path(__file__).parent / "offline"

runpy.run_path(str(OFFLINE / "sitecustomize.py"))
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(OFFLINE), os.environ.get("PYTHONPATH")])
)

settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


def pytest_terminal_summary(terminalreporter):
    """A report from elsewhere can be read: on what it ran."""
    terminalreporter.write_line(f"On {on_what()}.")
