"""Files are whole at any moment: many writers, kills, full disks, links, devices, modes."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest
import torch

import prunekit as pk
from prunekit.results.whole import PREFIX, place_of, whole

from .networks import chain
from .test_plans import pruned, same

posix = pytest.mark.skipif(os.name != "posix", reason="links, modes and devices of POSIX")


def write(path, content=b"new"):
    with whole(path) as file:
        file.write(content)


def names(folder):
    return sorted(os.listdir(folder))


def test_a_reader_finds_the_old_file_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "file"
    write(path, b"old")
    with path.open("rb") as open_already, whole(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old" and len(names(tmp_path)) == 2
    assert path.read_bytes() == b"new" and names(tmp_path) == ["file"]
    assert open_already.closed


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ValueError])
def test_an_error_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "file"
    write(path, b"old")
    with pytest.raises(error), whole(path) as file:
        file.write(b"half of it")
        raise error
    assert path.read_bytes() == b"old" and names(tmp_path) == ["file"]


def test_threads_that_save_to_one_path(tmp_path):
    """Whatever a reader finds is the network of one of them, whole."""
    results = [pruned(chain(seed=seed)) for seed in range(3)]
    path, over, wrong = tmp_path / "small.pt", threading.Event(), []

    def save(result):
        while not over.is_set():
            pk.save(result, path)

    def read():
        for _ in range(25):
            loaded = pk.load(chain(), path)
            wrong.extend([loaded] * (not any(same(loaded, result.model) for result in results)))

    pk.save(results[0], path)
    writers = [threading.Thread(target=save, args=(result,)) for result in results]
    for writer in writers:
        writer.start()
    try:
        read()
    finally:
        over.set()
        for writer in writers:
            writer.join()
    assert not wrong and names(tmp_path) == ["small.pt"]


KILLED = """
import sys, time
from prunekit.results.whole import whole
with whole(sys.argv[1]) as file:
    file.write(b"half of it")
    print("writing", flush=True)
    time.sleep(60)
"""


@posix
def test_what_the_killed_left_is_swept_up_and_what_others_write_is_not(tmp_path):
    path = tmp_path / "file"
    write(path, b"old")
    command = [sys.executable, "-c", KILLED, str(path)]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        assert all(writer.stdout.readline() == b"writing\n" for writer in writers)
        writers[0].send_signal(signal.SIGKILL)
        writers[0].wait()
        assert len(names(tmp_path)) == 3 and path.read_bytes() == b"old"
        write(tmp_path / "another")
        left = [name for name in names(tmp_path) if name.startswith(PREFIX)]
        assert len(left) == 1  # of the one that lives
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    write(path)
    assert names(tmp_path) == ["another", "file"]


@posix
def test_links_are_written_through_and_modes_kept(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    target, link = folder / "target", tmp_path / "link"
    link.symlink_to(target)
    write(link, b"old")  # a link that led to nothing
    for mode in (0o600, 0o664, 0o640):
        target.chmod(mode)
        write(link, b"new")
        assert link.is_symlink() and target.read_bytes() == b"new"
        assert stat.S_IMODE(target.stat().st_mode) == mode
    assert names(folder) == ["target"] and names(tmp_path) == ["folder", "link"]
    was = os.umask(0o027)
    try:
        write(tmp_path / "fresh")
    finally:
        os.umask(was)
    assert stat.S_IMODE((tmp_path / "fresh").stat().st_mode) == 0o640


@posix
def test_a_file_of_ones_own_is_never_open_to_others(tmp_path):
    path = tmp_path / "secret"
    write(path)
    path.chmod(0o600)
    with whole(path) as file:
        file.write(b"secret")
        modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names(tmp_path)]
        assert modes == [0o600, 0o600]


def refused(folder):
    """What no file can be written to: path, error, message."""
    (folder / "folder").mkdir()
    yield folder / "folder", ValueError, "is a folder: add"
    yield folder / "no" / "file", FileNotFoundError, "create it first"
    yield "", ValueError, "name of a file"
    yield "a\0b", ValueError, "name of a file"
    for bad in (3, None, b"bytes", torch.zeros(2)):
        yield bad, TypeError, "must be a str or a pathlib.Path"
    if os.name == "posix":
        os.mkfifo(folder / "pipe")
        (folder / "circle").symlink_to(folder / "circle")
        (folder / "null").symlink_to("/dev/null")
        yield folder / "pipe", ValueError, "device or a pipe"
        yield folder / "circle", ValueError, "leads back to itself"
        yield folder / "null", ValueError, "device or a pipe"
        yield "/dev/full", ValueError, "device or a pipe"


def test_where_no_file_can_be_is_refused_before_anything_is_done(tmp_path):
    result, images = pruned(), torch.randn(40, 3, 8, 8)
    before = None
    for path, error, message in refused(tmp_path):
        before = before or names(tmp_path)
        for attempt in (lambda p=path: place_of(p), lambda p=path: pk.save(result, p)):
            with pytest.raises(error, match=f"path.*{message}"):
                attempt()
        if path is not None:  # there, None is no file
            with pytest.raises(error, match=f"file.*{message}"):
                pk.optimize_ratios(chain(), images[:1], "never read", target_macs=0.5, file=path)
    assert {*before} <= {*names(tmp_path)} and not list(tmp_path.glob(f"{PREFIX}*"))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_what_may_not_be_written_to(tmp_path):
    write(tmp_path / "file")
    (tmp_path / "file").chmod(0o400)
    with pytest.raises(PermissionError, match="path.*change its mode"):
        write(tmp_path / "file")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match="path.*change its mode"):
            write(tmp_path / "other")
    finally:
        tmp_path.chmod(0o700)


FULL = """
import resource, signal, sys
import torch
import prunekit as pk
from tests.test_plans import chain, pruned
result = pruned(chain())
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    pk.save(result, sys.argv[1])
except OSError as error:
    print(error.errno, error)
"""


@posix
@pytest.mark.parametrize("room", [0, 5000])
def test_a_full_disk_is_reported_in_words(tmp_path, room):
    path = tmp_path / "small.pt"
    write(path, b"old")
    command = [sys.executable, "-c", FULL, str(path), str(room)]
    said = subprocess.run(command, check=True, timeout=300, capture_output=True, text=True)
    assert "could not be written (File too large)" in said.stdout and str(path) in said.stdout
    assert not said.stderr and path.read_bytes() == b"old" and names(tmp_path) == ["small.pt"]


def test_many_sweep_while_many_write(tmp_path):
    """Nobody loses the file that he is writing."""
    errors, over = [], time.monotonic() + 1

    def work(number):
        while time.monotonic() < over:
            try:
                write(tmp_path / f"{number % 2}", bytes([number]) * 10_000)
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    with contextlib.ExitStack() as stack:
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
    assert not errors and names(tmp_path) == ["0", "1"]
