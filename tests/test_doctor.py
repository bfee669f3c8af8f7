"""The doctor finds what is wrong when something is, and names a cure for it."""

import importlib.metadata
import os
import sys

import pytest
import torch

from prunekit.classroom import data, doctor, pretrained
from prunekit.classroom.machine import on_what


def failures(probe) -> list[doctor.Finding]:
    found = [finding for finding in probe() if finding.ok is False]
    assert all(finding.cure and finding.detail for finding in found)
    return found


def test_here_everything_but_data_and_weights_is_well():
    for probe in (doctor.python, doctor.packages, doctor.kernel, doctor.widgets):
        found = list(probe())
        assert found and all(finding.ok for finding in found), "\n".join(map(str, found))


def test_every_dependency_is_looked_at_and_no_test_tool():
    looked_at = {finding.what for finding in doctor.packages()}
    assert {"torch", "jupyterlab", "pandas"} <= looked_at
    assert "pytest" not in looked_at


def test_old_python(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    (finding,) = failures(doctor.python)
    assert "3.10.4" in finding.detail
    assert "Install Python 3.11" in finding.cure


def test_old_and_missing_packages(monkeypatch):
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "pooch":
            raise importlib.metadata.PackageNotFoundError(name)
        return "2.7.1" if name == "torch" else real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = {finding.what: finding for finding in failures(doctor.packages)}
    assert set(found) == {"torch", "pooch"}
    assert "2.7.1 is not in the range" in found["torch"].detail
    assert found["pooch"].detail == "is not installed"
    assert "make clean lab" in found["pooch"].cure


def test_prunekit_not_installed(monkeypatch):
    def requires(name: str):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    (finding,) = failures(doctor.packages)
    assert "pip install --no-deps -e ." in finding.cure


def test_no_kernel_of_that_name(monkeypatch):
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    def get_kernel_spec(self, name):
        raise NoSuchKernel(name)

    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", get_kernel_spec)
    (finding,) = failures(doctor.kernel)
    assert "does not start" in finding.detail
    assert "ipykernel install --sys-prefix --name python3" in finding.cure


def test_kernel_of_another_python(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))  # the kernel still reports its own
    (finding,) = failures(doctor.kernel)
    assert str(tmp_path) in finding.detail
    assert "JUPYTER_PATH" in finding.cure


def test_widgets_cannot_be_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    (finding,) = failures(doctor.widgets)
    assert "cannot be imported" in finding.detail
    assert "pip install --force-reinstall ipywidgets" in finding.cure


def test_widgets_missing_in_lab(monkeypatch, tmp_path):
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *subdirs: [str(tmp_path)])
    (finding,) = failures(doctor.widgets)
    assert "JupyterLab's part" in finding.detail
    assert "jupyterlab_widgets" in finding.cure


@pytest.mark.parametrize(("name", "cure"), [("digits", "scikit-learn"), ("shapes32", "numpy")])
def test_built_in_data_broken(monkeypatch, name, cure):
    def broken(split, **options):
        raise OSError("cannot read")

    monkeypatch.setattr(data, name, broken)
    finding = {finding.what: finding for finding in failures(doctor.built_in_data)}[name]
    assert "cannot read" in finding.detail
    assert f"--force-reinstall {cure}" in finding.cure


def test_weights(monkeypatch, tmp_path):
    """One network's file is sound, one is cut short, the others are missing."""
    sound, cut, *missing = pretrained.RECIPES
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    torch.save(pretrained.RECIPES[sound].build().state_dict(), tmp_path / f"{sound}.pt")
    whole = (tmp_path / f"{sound}.pt").read_bytes()
    (tmp_path / f"{cut}.pt").write_bytes(whole[: len(whole) // 2])

    found = {finding.what: finding for finding in doctor.weights()}
    assert found[sound].ok
    assert {name for name in found if found[name].ok is False} == {cut, *missing}
    assert f"prunekit.classroom.pretrained {cut}" in found[cut].cure
    assert all("git checkout" in found[name].cure for name in missing)


def test_cifar10_absent_is_no_failure(monkeypatch):
    monkeypatch.setattr(data, "find_cifar10", lambda: None)
    (finding,) = doctor.cifar10()
    assert finding.ok is None
    assert finding.cure == data.CIFAR10_CURE


def test_cifar10_truncated(monkeypatch, tmp_path):
    folder = tmp_path / data.CIFAR10_FOLDER
    folder.mkdir()
    (folder / "data_batch_1.bin").write_bytes(b"\0" * 100)
    (folder / "test_batch.bin").write_bytes(b"\0" * 100)
    monkeypatch.setenv("PRUNEKIT_DATA", str(tmp_path))
    (finding,) = failures(doctor.cifar10)
    assert "data_batch_1.bin is truncated" in finding.detail
    assert finding.cure == data.CIFAR10_CURE
    assert data.CIFAR10_CURE not in finding.detail


def test_a_check_that_breaks_is_a_failure_too(monkeypatch):
    def probe():
        raise RuntimeError("surprise")

    monkeypatch.setattr(doctor, "PROBES", (probe,))
    (finding,) = doctor.check()
    assert finding.ok is False
    assert "RuntimeError: surprise" in finding.detail
    assert "make clean lab" in finding.cure


WELL = doctor.Finding("ears", True, "two")
ILL = doctor.Finding("nose", False, "runs", "Take a handkerchief.")
NOTE = doctor.Finding("hair", None, "none", "Buy a hat.")


@pytest.mark.parametrize(
    ("findings", "status"), [((WELL, NOTE), 0), ((WELL, ILL), 1), ((ILL, NOTE, ILL), 1)]
)
def test_exit_status_counts_failures_only(monkeypatch, findings, status, capsys):
    monkeypatch.setattr(doctor, "PROBES", (lambda: iter(findings),))
    assert doctor.main() == status
    printed = capsys.readouterr().out
    assert all(str(finding) in printed for finding in findings)
    assert ("Ready." in printed) == (status == 0)


def test_one_line_and_its_cure():
    assert str(WELL) == "✓ ears: two"
    assert str(ILL) == "✗ nose: runs\n    → Take a handkerchief."
    assert str(NOTE).startswith("· hair: none")


def test_this_machine_is_described():
    assert [finding.what for finding in doctor.machine()] == [
        "machine",
        "cores",
        "memory",
        "GPU",
    ]
    line = on_what()
    assert doctor.check()  # the same line is in it
    assert torch.__version__ in line and f"{os.cpu_count()} cores" in line and "\n" not in line
    assert str(next(doctor.machine())).endswith(line)
