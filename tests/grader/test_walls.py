"""What stands around a notebook: walls, limits, and a scratch folder that goes; as root and not."""

import asyncio
import os
import stat
import subprocess
import traceback
from pathlib import Path

import pytest

from prunekit.classroom.grading import cleaning, client, limits, sandbox

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
    words = [*sandbox.walled(Path("/usr/share")), "sh", "-c", INSIDE.format(hidden="/usr/share")]
    env = {"PATH": "/bin:/usr/sbin:/usr/bin", "HOME": str(sandbox.HOME)}
    done = subprocess.run(
        words, env=env, cwd="/", capture_output=True, text=True, timeout=60, **options
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.replace("\t", " ").splitlines()
    wanted = ["CapEff: 0000000000000000"]
    wanted += [f"wrote {place}" for place in ("/dev/shm", "/tmp", sandbox.HOME)]
    assert said == [*wanted, "/tmp is full"] or said == [*wanted, "new namespace", "/tmp is full"]


@pytest.mark.parametrize("place", [".", "lessons", "..", "prunekit", "../other", "../handed in"])
def test_no_way_of_python_leads_to_solutions(place, tmp_path, monkeypatch):
    course = tmp_path / "course"
    for folder in ("prunekit", "lessons", "../other/prunekit", "../handed in/ann", "../tools"):
        (course / folder).mkdir(parents=True)
    (course / "link").symlink_to(course / "lessons")
    monkeypatch.setattr(sandbox, "PACKAGE", course / "prunekit")
    named = [str(course / place), str(course / "link"), str(tmp_path / "tools")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(named))
    hidden = tmp_path / "handed in"
    assert sandbox._named(hidden) == [str(tmp_path / "tools")]
    path = sandbox.environment(sandbox.HOME, hidden)["PYTHONPATH"].split(os.pathsep)
    assert path == [str(course), str(tmp_path / "tools")]
    (tmp_path / "name").symlink_to(tmp_path)  # Python itself may lie above the course
    masks = sandbox._masks(["/usr", str(tmp_path / "name")], hidden)
    assert masks == [str(tmp_path / "name" / "handed in"), str(tmp_path / "name" / "course")]


# Limits ----------------------------------------------------------------------------------------


def test_a_control_group_is_asked_for_with_one_limit_for_all(monkeypatch, tmp_path):
    (tmp_path / "systemd-run").write_text('#!/bin/sh\necho "$@" >> "$0.said"\n')
    (tmp_path / "systemd-run").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    limits.grouped.cache_clear()
    try:
        assert limits.grouped()
        argv, _ = client._how("room", limits.Limits(memory=2), tmp_path, None)
        assert argv[0] == "systemd-run" and "MemoryMax=2147483648" in argv
        assert "-P" in argv, "a file in the folder must not stand in for a module"
        monkeypatch.setenv("PATH", str(tmp_path / "empty"))
        limits.grouped.cache_clear()
        assert not limits.grouped()
    finally:
        limits.grouped.cache_clear()
    assert "--scope" in (tmp_path / "systemd-run.said").read_text()


def test_too_many_processes_are_seen(monkeypatch):
    monkeypatch.setattr(limits, "MAX_PROCESSES", 1)
    monkeypatch.setattr(limits, "EVERY", 0.01)
    child = subprocess.Popen(["sleep", "60"])
    try:
        words = asyncio.run(limits.over(os.getpid(), memory=1e6))
    finally:
        child.kill()
        child.wait()
    assert words == "started more than 1 processes"
    assert limits.taken(child.pid) == (0, 0)


# A scratch folder ------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the child only removes
@as_any_user
def test_a_scratch_folder_goes_and_nothing_outside_changes(user, tmp_path):
    """Links, folders that are shut, 3,000 folders in each other: none stays, none is followed."""
    mine, folder = tmp_path / "mine", tmp_path / "mine" / "scratch"
    mine.mkdir()
    (mine / "file").write_text("a teacher's")
    (mine / "kept").mkdir()
    (mine / "kept" / "file").touch()
    if user is not None:
        for path in (mine, *mine.rglob("*")):
            os.chown(path, user, user)
        tops = [parent for parent in tmp_path.parents if parent.stat().st_mode & 0o001 == 0]
        for parent in (tmp_path, *tops):
            if parent.is_relative_to("/tmp"):
                parent.chmod(parent.stat().st_mode | 0o011)
    (mine / "file").chmod(0o400)
    (mine / "kept").chmod(0o500)

    def work():
        folder.mkdir()
        os.chdir(folder)
        for name in ("file", "kept"):
            os.symlink(mine / name, name)
        os.mkfifo("pipe")
        os.makedirs("shut/inner")
        os.symlink(mine / "kept", "shut/inner/link")
        os.chmod("shut/inner", 0)
        os.chmod("shut", 0)
        for _ in range(3000):
            os.mkdir("d")
            os.chdir("d")
        folder.chmod(0)
        cleaning.remove(folder)

    assert as_user(user, work) == ""
    assert {path.name for path in mine.iterdir()} == {"file", "kept"}
    assert stat.S_IMODE((mine / "file").stat().st_mode) == 0o400
    assert stat.S_IMODE((mine / "kept").stat().st_mode) == 0o500
    assert (mine / "kept" / "file").exists()


def test_a_link_in_place_of_the_scratch_folder_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(cleaning.tempfile, "tempdir", str(tmp_path))
    (tmp_path / "kept").mkdir(mode=0o750)
    (tmp_path / "kept" / "file").touch()
    with cleaning.scratch() as place:
        place.rmdir()
        place.symlink_to(tmp_path / "kept")
    assert (tmp_path / "kept" / "file").exists()
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o750
