"""Files that are whole at any moment: written under another name beside their place, then moved.

Whoever reads finds the old file or the new one, whatever is killed and however many write at once:
every writer has a name of its own, locked while it writes. What killed writers left, nobody holds,
and the next one sweeps it up.
"""

import io
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, where a file that somebody holds cannot be deleted
    fcntl = None

__all__ = ["place_of", "regular", "whole"]

PREFIX, SUFFIX = ".prunekit-", ".part"


def regular(path: object, name: str = "path") -> Path:
    """A path behind all links, at which there is a file or nothing; else an error with a cure."""
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        raise TypeError(f"{name} must be a str or a pathlib.Path, got {type(path).__name__}")
    given = os.fspath(path)
    if not given or "\0" in given:
        raise ValueError(f"{name} must be the name of a file, got {given!r}")
    place = Path(os.path.realpath(given))
    if place.is_symlink():
        raise ValueError(f"{name} {given!r} is a link that leads back to itself: delete it")
    if place.is_dir():
        raise ValueError(f"{name} {given!r} is a folder: add the name of a file")
    if place.exists() and not place.is_file():
        raise ValueError(f"{name} {given!r} is a device or a pipe: give the name of a file")
    return place


def place_of(path: object, name: str = "path") -> Path:
    """Where a file will be written, links followed; an error now, if it could not be, then.

    Raises
    ------
    TypeError, ValueError
        No path; a folder, a device or a pipe.
    OSError
        No such folder (FileNotFoundError), or one, or a file, that must not be written to.
    """
    place = regular(path, name)
    if not place.parent.is_dir():
        raise FileNotFoundError(f"{name}: no folder {str(place.parent)!r}: create it first")
    for there in (place, place.parent):
        if there.exists() and not os.access(there, os.W_OK):
            raise PermissionError(
                f"{name}: {str(there)!r} may not be written to: change its mode, or give another"
            )
    return place


@contextmanager
def whole(path: object, name: str = "path", mode: int = 0o666) -> Iterator[BinaryIO]:
    """A binary file to write to; it takes its place, links followed, when the block has ended.

    The mode of a file that is there already is kept. On any error it stays as it was.

    Parameters
    ----------
    name : of the argument that ``path`` came as, for messages
    mode : of a new file, less the umask

    Raises
    ------
    TypeError, ValueError, OSError
        As `place_of`; an OSError as well where the disk is full.
    """
    place = place_of(path, name)
    _sweep(place.parent)
    was = stat.S_IMODE(place.stat().st_mode) if place.exists() else None
    part, raw = _new(place.parent, mode if was is None else was)
    try:
        yield (file := io.BufferedWriter(raw))
        file.flush()
        os.fsync(raw.fileno())
        if was is not None:
            os.chmod(part, was)
        if not fcntl:  # Windows moves no file that is open
            raw.close()
        os.replace(part, place)
    except BaseException as error:
        failed = raw.failed or error  # a writer in between may have said something else
        if isinstance(failed, OSError) and failed.errno is not None:
            raise OSError(
                failed.errno,
                f"{name}: {str(place)!r} could not be written ({failed.strerror}), what was there "
                "is there still: make room, or give a place elsewhere",
            ) from error
        raise
    finally:
        with suppress(OSError):
            raw.close()
        part.unlink(missing_ok=True)


class _Raw(io.FileIO):
    """A file that remembers why it could not be written."""

    failed: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.failed = error
            raise


def _new(folder: Path, mode: int) -> tuple[Path, _Raw]:
    """A fresh file that no sweeper takes."""
    while True:
        part = folder / f"{PREFIX}{secrets.token_hex(8)}{SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        raw = _Raw(os.open(part, flags, mode), "wb")
        with suppress(OSError):  # some shared disks have no locks; then nothing is swept there
            _lock(raw, wait=True)
        if not fcntl or os.fstat(raw.fileno()).st_nlink:
            return part, raw
        raw.close()  # swept up before it was locked


def _lock(file: io.FileIO, wait: bool) -> None:
    """Hold a file for as long as it is open; OSError where somebody else does."""
    if fcntl:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def _sweep(folder: Path) -> None:
    """Delete what writers that were killed have left in a folder."""
    for part in folder.glob(f"{PREFIX}*{SUFFIX}"):
        with suppress(OSError):  # somebody writes it, or has deleted it
            if fcntl:
                with open(part, "rb", buffering=0) as file:
                    _lock(file, wait=False)
                    part.unlink()
            else:
                part.unlink()
