"""A room for a stranger's code: what it may read and write, and how much it may take.

With bubblewrap (Linux) a process sees the system, Python and prunekit, read-only, and a folder of
its own in memory; no network, nobody's files, no other process, and it has no capability, whoever
starts it. Elsewhere it runs with the teacher's rights, and the grader says so. `limits` has the
limits that go around it.
"""

import os
import shutil
import site
import subprocess
import sys
from functools import cache
from pathlib import Path

import matplotlib

import prunekit

__all__ = ["HOME", "command", "environment", "walled", "why_not"]

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store")
SYSTEM += ("/etc/alternatives", "/etc/fonts", "/etc/ld.so.cache", "/etc/localtime", "/etc/passwd")
KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
KEPT += ("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT")  # Windows cannot do without
PACKAGE = Path(prunekit.__file__).resolve().parent
INSTALLED = PACKAGE.parent.name in ("site-packages", "dist-packages")
HOME = Path("/tmp/home")  # in there; /tmp is in memory
MB = 2**20
MOST = {"/tmp": 256 * MB, "/dev/shm": 64 * MB}  # of files in memory, bytes


def command(role: str, memory: float, hidden: Path | None = None) -> list[str]:
    """The command that starts a process of the grader.

    Parameters
    ----------
    role
        "room" for a learner's code, or "examiner".
    memory
        GiB, of each process.
    hidden
        The folder of submissions, which nobody in there sees; None for a process without walls.
    """
    python = [sys.executable, "-P", "-m", f"prunekit.classroom.grading.{role}", str(memory)]
    return [*(walled(hidden) if hidden is not None else []), *python]


def walled(hidden: Path) -> list[str]:
    """What to put before a command so that it sees what it needs, and can change nothing of it."""
    words = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    words += _no_more_namespaces()  # in a new one it could mount memory that nobody limits
    for place in SYSTEM:
        words += ["--ro-bind-try", place, place]
    words += ["--proc", "/proc", "--dev", "/dev"]
    for place, size in MOST.items():
        words += ["--size", str(size), "--tmpfs", place]
    places = _python(hidden)
    for place in places:
        words += ["--ro-bind", place, place]
    masks = _masks([*SYSTEM, *places], hidden)
    for place in masks:
        words += ["--tmpfs", place]
    for place in (p for p in places if any(Path(p).is_relative_to(m) for m in masks)):
        words += ["--ro-bind", place, place]
    for place in (*masks, "/dev", "/"):
        words += ["--remount-ro", place]
    for fonts in _fonts():
        words += ["--ro-bind", str(fonts), str(HOME / "matplotlib" / fonts.name)]
    return [*words, "--dir", str(HOME), "--chdir", str(HOME)]


@cache
def _no_more_namespaces() -> list[str]:
    said = subprocess.run(["bwrap", "--help"], capture_output=True, text=True, timeout=60).stdout
    return ["--unshare-user", "--disable-userns"] if "--disable-userns" in said else []


def _python(hidden: Path) -> list[str]:
    """The folders that Python and prunekit need, and no other of the teacher's."""
    places = [sys.prefix, sys.base_prefix, site.getusersitepackages(), *_named(hidden)]
    return [place for place in dict.fromkeys([*places, str(PACKAGE)]) if os.path.isdir(place)]


def _secret(hidden: Path) -> list[Path]:
    """Other submissions, and the course, where solutions lie."""
    return [hidden.resolve(), *([] if INSTALLED else [PACKAGE.parent])]


def _named(hidden: Path | None) -> list[str]:
    """PYTHONPATH, without folders that hold submissions or a course, or lie in one of them."""
    named = [os.path.abspath(p) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    if hidden is None:
        return [place for place in named if Path(place).resolve() != PACKAGE.parent]

    def open_to_all(place: Path) -> bool:
        related = (place.is_relative_to(s) or s.is_relative_to(place) for s in _secret(hidden))
        return not any(related) and not (place / "prunekit").exists()

    return [place for place in named if open_to_all(Path(place).resolve())]


def _masks(places: list[str], hidden: Path) -> list[str]:
    """Where secrets would be seen in these places, by whatever name."""
    seen = [
        str(Path(place) / secret.relative_to(real))
        for place in places
        for real in [Path(place).resolve()]
        for secret in _secret(hidden)
        if secret.is_relative_to(real) and secret.is_dir()
    ]
    return list(dict.fromkeys(seen))


def environment(home: Path, hidden: Path | None = None) -> dict[str, str]:
    """A process's environment: nothing of the teacher's own, one thread, no GPU."""
    path = [*([] if INSTALLED else [str(PACKAGE.parent)]), *_named(hidden)]
    ours = {"PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1"}
    ours |= dict.fromkeys(("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP"), str(home))
    ours |= {"IPYTHONDIR": str(home / "ipython"), "MPLCONFIGDIR": str(home / "matplotlib")}
    ours |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    ours |= {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # as in JupyterLab
    if hidden is None:
        (home / "matplotlib").mkdir(exist_ok=True)
        for fonts in _fonts():
            shutil.copy(fonts, home / "matplotlib")
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | ours | {"CUDA_VISIBLE_DEVICES": ""}


def _fonts() -> list[Path]:
    """The list of fonts, which takes matplotlib seconds to make again."""
    return list(Path(matplotlib.get_cachedir()).glob("fontlist-*.json"))


def why_not(hidden: Path) -> str | None:
    """Why processes cannot be shut in on this machine; None if they can. It is tried once."""
    if shutil.which("bwrap") is None:
        cure = "apt install bubblewrap, dnf install bubblewrap"
        return "bubblewrap (bwrap) is not installed" + (
            f": {cure}" if sys.platform == "linux" else ", and exists for Linux only"
        )
    try:
        trial = [*walled(hidden), sys.executable, "-P", "-c", "import IPython"]
        options = {"capture_output": True, "text": True, "timeout": 120}
        done = subprocess.run(trial, env=environment(HOME, hidden), **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not work here ({error})"
    if done.returncode == 0:
        return None
    last = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
    return f"bubblewrap does not work here ({last}); containers often forbid it"
