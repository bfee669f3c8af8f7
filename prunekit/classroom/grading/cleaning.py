"""A scratch folder that goes away, whatever was put into it."""

import contextlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["remove", "scratch"]


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A new folder of one's own, removed afterwards as far as the system lets us."""
    place = Path(tempfile.mkdtemp(prefix="prunekit-")).resolve()
    try:
        yield place
    finally:
        with contextlib.suppress(OSError):
            remove(place)


def remove(folder: Path) -> None:
    """Remove a folder: no link is followed, no mode outside is changed, no depth is too deep.

    Folders within folders are moved up before they are emptied, so that no path gets long.
    """
    if os.rename not in os.supports_dir_fd:  # Windows
        return shutil.rmtree(folder, ignore_errors=True)
    if not folder.is_symlink():
        folder.chmod(0o700)
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        waiting = _sorted_out(top)
        while waiting:
            name = waiting.pop()
            os.chmod(name, 0o700, dir_fd=top)  # a folder, as was just seen, and not a link
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
            try:
                for child in _sorted_out(inner):
                    os.chmod(child, 0o700, dir_fd=inner)
                    moved = secrets.token_hex(16)
                    os.rename(child, moved, src_dir_fd=inner, dst_dir_fd=top)
                    waiting.append(moved)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(folder)


def _sorted_out(folder: int) -> list[str]:
    """The names of the folders in a folder; all else is removed from it."""
    folders = []
    for name in os.listdir(folder):
        if stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
            folders.append(name)
        else:
            os.unlink(name, dir_fd=folder)
    return folders
