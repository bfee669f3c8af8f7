"""What stands around a notebook: walls, limits, and a scratch folder that goes; as root and not."""

import asyncio
import json
import os
import stat
import subprocess
import sys
import traceback
from pathlib import Path

import psutil
import pytest
import torch

from prunekit.classroom.grading import cleaning, client, limits, sandbox
from prunekit.classroom.grading.plain import decode, encode

NOBODY = 65534
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
USERS = [None, pytest.param(NOBODY, marks=pytest.mark.skipif(not ROOT, reason="root starts both"))]
as_any_user = pytest.mark.parametrize("user", USERS, ids=["as who I am", "as nobody"])


def has_walls(**options):
    """Whether bubblewrap works for a user."""
    words = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"]
    try:
        return subprocess.run(words, capture_output=True, timeout=60, **options).returncode == 0
    except OSError:
        return False


def as_user(user, work):
    """Do some work in a child process of this user; its traceback, if it failed."""
    way, end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if user is not None:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            work()
        except BaseException:
            os.write(end, traceback.format_exc()[-4000:].encode())
        finally:
            os._exit(0)
    os.close(end)
    with open(way) as said:
        words = said.read()
    os.waitpid(child, 0)
    return words


# Walls -----------------------------------------------------------------------------------------

INSIDE = """
grep CapEff /proc/self/status
for place in / /usr /dev /dev/shm /tmp "$HOME"; do
  touch $place/left 2>/dev/null && echo "wrote $place"
  mount -o remount,bind,rw $place 2>/dev/null && echo "remounted $place"
done
unshare -Ur true 2>/dev/null && echo "new namespace"
head -c 400000000 /dev/zero > /tmp/much 2>/dev/null || echo "/tmp is full"
ls {hidden} 2>/dev/null
true
"""


@as_any_user
def test_walls_hold_whoever_starts_them(user, monkeypatch):
    options = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    if not has_walls(**options):
        pytest.skip("bubblewrap does not work here for this user")
    monkeypatch.setattr(sandbox, "_python", lambda hidden: [])  # another user may not see it
    monkeypatch.setattr(sandbox, "_fonts", list)
    words = [*sandbox.walled(Path("/usr/bin")), "sh", "-c", INSIDE.format(hidden="/usr/bin")]
    env = {"PATH": "/bin:/usr/sbin:/usr/bin", "HOME": str(sandbox.HOME)}
    done = subprocess.run(
        words, env=env, cwd="/", capture_output=True, text=True, timeout=60, **options
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.replace("\t", " ").splitlines()
    wanted = ["CapEff: 0000000000000000"]
    wanted += [f"wrote {place}" for place in ("/dev/shm", "/tmp", sandbox.HOME)]
    assert said == [*wanted, "/tmp is full"] or said == [*wanted, "new namespace", "/tmp is full"]
