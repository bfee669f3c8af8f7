"""A room for a stranger's code: what it may read and write, and how much it may take.

With bubblewrap (Linux) a kernel sees the system, Python and prunekit, read-only, and a scratch
folder of its own; no network, nobody's files, no other process. Elsewhere it runs with the
teacher's rights, and the grader says so. Memory is limited on Linux, with and without bubblewrap.
What is not limited anywhere: the number of processes, and of files in the scratch folder.
"""

import os
import shutil
import site
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib

import prunekit

__all__ = ["command", "environment", "walled", "why_not"]

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store")
SYSTEM += ("/etc/alternatives", "/etc/fonts", "/etc/ld.so.cache", "/etc/localtime", "/etc/passwd")
KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
KEPT += ("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT")  # Windows cannot do without
PACKAGE = Path(prunekit.__file__).parent


def command(scratch: Path, memory: float, *, isolated: bool) -> list[str]:
    """The command that starts a kernel; ``memory`` in GiB."""
    kernel = [sys.executable, "-m", "prunekit.classroom.grading.kernel", str(memory)]
    return [*(walled(scratch) if isolated else []), *kernel, "-f", "{connection_file}"]


def walled(scratch: Path) -> list[str]:
    """What to put before a command so that it can only write to ``scratch``, and to no network."""
    own_tmp = scratch / "tmp"
    own_tmp.mkdir(exist_ok=True)
    words = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session"]
    words += ["--unsetenv", "JPY_PARENT_PID"]  # no process has that number in there
    for place in SYSTEM:
        words += ["--ro-bind-try", place, place]
    words += ["--proc", "/proc", "--dev", "/dev", "--bind", str(own_tmp), "/tmp"]
    for place in _python():
        words += ["--ro-bind", place, place]
    here = str(scratch)
    return [*words, "--bind", here, here, "--remount-ro", "/", "--chdir", here]


def _python() -> list[str]:
    """The folders that Python and prunekit need, and no other of the teacher's."""
    places = [sys.prefix, sys.base_prefix, site.getusersitepackages(), *_named(), str(PACKAGE)]
    return [place for place in dict.fromkeys(places) if os.path.isdir(place)]


def _named() -> list[str]:
    """PYTHONPATH, without the folder that prunekit lies in: solutions lie there too."""
    named = [os.path.abspath(p) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    return [place for place in named if Path(place).resolve() != PACKAGE.parent.resolve()]


def environment(scratch: Path) -> dict[str, str]:
    """A kernel's environment: nothing of the teacher's own, one thread, no GPU."""
    installed = any(PACKAGE.is_relative_to(p) for p in (sys.prefix, site.getusersitepackages()))
    path = _named() if installed else [str(PACKAGE.parent), *_named()]
    ours = {"PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1"}
    ours |= dict.fromkeys(("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP"), str(scratch))
    ours |= {"IPYTHONDIR": str(scratch / "ipython"), "MPLCONFIGDIR": str(scratch / "matplotlib")}
    ours |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    _copy_fonts(scratch / "matplotlib")
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | ours | {"CUDA_VISIBLE_DEVICES": ""}


def _copy_fonts(folder: Path) -> None:
    """Copy the list of fonts, which takes matplotlib seconds to make again."""
    folder.mkdir(exist_ok=True)
    for fonts in Path(matplotlib.get_cachedir()).glob("fontlist-*.json"):
        shutil.copy(fonts, folder)


def why_not() -> str | None:
    """Why kernels cannot be shut in on this machine; None if they can. It is tried once."""
    if shutil.which("bwrap") is None:
        cure = "apt install bubblewrap, dnf install bubblewrap"
        return "bubblewrap (bwrap) is not installed" + (
            f": {cure}" if sys.platform == "linux" else ", and exists for Linux only"
        )
    with tempfile.TemporaryDirectory(prefix="prunekit-") as folder:
        scratch = Path(folder).resolve()
        trial = [*walled(scratch), sys.executable, "-c", "import prunekit, ipykernel"]
        try:
            done = subprocess.run(
                trial, env=environment(scratch), capture_output=True, text=True, timeout=120
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"bubblewrap does not work here ({error})"
    if done.returncode == 0:
        return None
    last = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
    return f"bubblewrap does not work here ({last}); containers often forbid it"
