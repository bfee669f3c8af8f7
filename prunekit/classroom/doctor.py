"""Is this machine ready for the course? One line per check, and a cure for whatever fails.

Run it with ``python -m prunekit doctor``.
"""

import importlib.metadata as metadata
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Finding", "check", "main"]

OLDEST_PYTHON = (3, 11)
SET_UP = (
    "Set up again with `make clean lab`; without make, install requirements.lock "
    'and then `pip install --no-deps -e .`, or `pip install "prunekit[course]"` without a clone.'
)


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    what : what was looked at
    ok : True or False; None where there is nothing to pass
    detail : what was found, in words
    cure : how to set it right; every failure has one
    """

    what: str
    ok: bool | None
    detail: str
    cure: str = ""

    def __str__(self) -> str:
        mark = {True: "✓", False: "✗", None: "·"}[self.ok]
        return f"{mark} {self.what}: {self.detail}" + (f"\n    → {self.cure}" if self.cure else "")


def python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    found = f"{version} at {sys.executable}"
    if sys.version_info >= OLDEST_PYTHON:
        yield Finding("Python", True, found)
    else:
        cure = "Install Python 3.11 or newer, then `make clean lab PYTHON=/path/to/it`."
        yield Finding("Python", False, f"{found}, but prunekit needs 3.11 or newer", cure)


def packages() -> Iterator[Finding]:
    """The library's and the course's packages against the ranges that pyproject.toml names."""
    from packaging.requirements import Requirement

    try:
        wanted = metadata.requires("prunekit") or []
    except metadata.PackageNotFoundError:
        yield Finding("prunekit", False, "is not installed", SET_UP)
        return
    for requirement in map(Requirement, wanted):
        if requirement.marker and not requirement.marker.evaluate({"extra": "course"}):
            continue  # only the tests need it, or only other systems
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield Finding(requirement.name, False, "is not installed", SET_UP)
            continue
        ok = requirement.specifier.contains(version, prereleases=True)
        detail = version if ok else f"{version} is not in the range {requirement.specifier}"
        yield Finding(requirement.name, ok, detail, "" if ok else SET_UP)


def _kernel_prefix() -> str:
    """Start the kernel that notebooks ask for; the `sys.prefix` it reports."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(
        kernel_name="python3", startup_timeout=60, stderr=subprocess.DEVNULL
    )
    try:
        reply = client.execute_interactive(
            "import sys", user_expressions={"prefix": "sys.prefix"}, timeout=60, silent=True
        )
        return reply["content"]["user_expressions"]["prefix"]["data"]["text/plain"].strip("'\"")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def kernel() -> Iterator[Finding]:
    cure = f'Run `"{sys.executable}" -m ipykernel install --sys-prefix --name python3`. {SET_UP}'
    try:
        prefix = _kernel_prefix()
    except Exception as error:  # whatever it was, notebooks cannot run
        yield Finding("kernel python3", False, f"does not start: {error}", cure)
        return
    if Path(prefix).resolve() == Path(sys.prefix).resolve():
        yield Finding("kernel python3", True, f"starts in {prefix}")
    else:
        detail = f"runs in {prefix}, but prunekit is in {sys.prefix}"
        yield Finding("kernel python3", False, detail, f"{cure} Unset JUPYTER_PATH if it is set.")


def _labextension() -> Path | None:
    """Where JupyterLab finds the part of ipywidgets that runs in the browser."""
    from jupyter_core.paths import jupyter_path

    for root in map(Path, jupyter_path("labextensions")):
        folder = root / "@jupyter-widgets" / "jupyterlab-manager"
        if (folder / "package.json").exists():
            return folder
    return None


def widgets() -> Iterator[Finding]:
    cure = "Run `pip install --force-reinstall ipywidgets jupyterlab_widgets`, then reload Lab."
    try:
        import ipywidgets
    except ImportError as error:
        yield Finding("widgets", False, f"ipywidgets cannot be imported: {error}", cure)
        return
    folder = _labextension()
    if folder is None:
        yield Finding("widgets", False, "JupyterLab's part of ipywidgets is missing", cure)
    else:
        yield Finding("widgets", True, f"ipywidgets {ipywidgets.__version__}, in JupyterLab too")


def built_in_data() -> Iterator[Finding]:
    from prunekit.classroom import data

    for name, options, maker in (
        ("digits", {}, "scikit-learn"),
        ("shapes32", {"count": 10}, "numpy"),  # drawing all of them takes seconds; ten tell enough
    ):
        try:
            images = getattr(data, name)("test", **options)
        except Exception as error:
            cure = f"Run `pip install --force-reinstall {maker}`: they are made with it. {SET_UP}"
            yield Finding(name, False, f"cannot be made: {error}", cure)
        else:
            yield Finding(name, True, f"{len(images.classes)} classes, made on the spot")


def cifar10() -> Iterator[Finding]:
    from prunekit.classroom import data

    folder = data.find_cifar10()
    if folder is None:
        detail = "not on this machine, and needed only where it is asked for by name"
        yield Finding("CIFAR-10", None, detail, data.CIFAR10_CURE)
        return
    try:
        count = sum(len(data.cifar10(split)) for split in ("train", "test"))
    except (OSError, ValueError) as error:
        detail = str(error).removesuffix(data.CIFAR10_CURE).strip()
        yield Finding("CIFAR-10", False, detail, data.CIFAR10_CURE)
    else:
        yield Finding("CIFAR-10", True, f"{count:,} images in {folder}")


def weights() -> Iterator[Finding]:
    from prunekit.classroom.pretrained import RECIPES, pretrained

    for name in RECIPES:
        try:
            parameters = sum(p.numel() for p in pretrained(name).parameters())
        except Exception as error:
            cure = (
                "Get the file again with `git checkout -- prunekit/classroom/weights`, or train "
                f"the network: `python -m prunekit.classroom.pretrained {name}`."
            )
            yield Finding(name, False, f"its weights cannot be loaded: {error}", cure)
        else:
            yield Finding(name, True, f"{parameters:,} trained parameters")


def machine() -> Iterator[Finding]:
    import psutil
    import torch

    from prunekit.classroom.machine import on_what

    memory = psutil.virtual_memory()
    free, total = memory.available / 2**30, memory.total / 2**30
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none, and none is needed"
    yield Finding("machine", None, on_what())
    yield Finding("cores", None, f"{os.cpu_count()}, of which torch uses {torch.get_num_threads()}")
    yield Finding("memory", None, f"{free:.1f} of {total:.1f} GiB free")
    yield Finding("GPU", None, gpu)


PROBES: tuple[Callable[[], Iterator[Finding]], ...] = (
    *(python, packages, kernel, widgets),
    *(built_in_data, weights, cifar10, machine),
)


def _findings() -> Iterator[Finding]:
    for probe in PROBES:
        try:
            yield from probe()
        except Exception as error:  # a doctor does not faint
            detail = f"the check itself failed: {type(error).__name__}: {error}"
            yield Finding(probe.__name__, False, detail, SET_UP)


def check() -> list[Finding]:
    """Every finding about this machine, failures included; nothing is raised or changed."""
    return list(_findings())


def main() -> int:
    """Print one line per finding as it comes; 1 if a check failed, else 0."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # consoles that have no ✓
    failed = 0
    for finding in _findings():
        print(finding, flush=True)
        failed += finding.ok is False
    print(f"\n{failed} of the checks above failed: see →." if failed else "\nReady.")
    return int(failed > 0)
