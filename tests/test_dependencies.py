"""pyproject.toml, requirements.lock and environment.yml agree on what the project needs."""

import ast
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))

CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
CORE = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRAS = {
    extra: [Requirement(line) for line in lines]
    for extra, lines in PROJECT["optional-dependencies"].items()
}
# what the lock and conda bring: all of it; an extra may hold another one, as prunekit[course]
WANTED = [one for one in [*CORE, *sum(EXTRAS.values(), [])] if one.name != "prunekit"]
IMPORTED_AS = {"scikit-learn": "sklearn", "pillow": "PIL"}
every_dependency = pytest.mark.parametrize("wanted", WANTED, ids=lambda wanted: wanted.name)


def pins() -> dict[str, str]:
    """Name → exact version, of every line of the lock."""
    requirements = [Requirement(line) for line in LOCK if not line.startswith("#")]
    found = {}
    for requirement in requirements:
        (pin,) = requirement.specifier
        assert pin.operator == "==" and "*" not in pin.version, f"not exact: {requirement}"
        found[canonicalize_name(requirement.name)] = pin.version
    assert len(found) == len(requirements), "a package is locked twice"
    return found


def imported(*paths: Path) -> dict[str, set[str]]:
    """Package → files that import it somewhere, for packages that do not come with Python."""
    found: dict[str, set[str]] = {}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module]
            for name in {module.split(".")[0] for module in modules} - sys.stdlib_module_names:
                found.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    found.pop("prunekit", None)
    return found


def modules_of(requirements: list[Requirement]) -> set[str]:
    return {IMPORTED_AS.get(wanted.name, wanted.name) for wanted in requirements}


def conda_requirements() -> dict[str, Requirement]:
    """Name → requirement, of conda's and of pip's part of environment.yml."""
    lines = [line for line in ENVIRONMENT["dependencies"] if isinstance(line, str)]
    (pip_lines,) = [part["pip"] for part in ENVIRONMENT["dependencies"] if isinstance(part, dict)]
    lines += [line for line in pip_lines if not line.startswith("-")]
    return {requirement.name: requirement for requirement in map(Requirement, lines)}


def test_the_extras_are_two_and_no_package_is_named_twice():
    assert set(EXTRAS) == {"course", "test"}
    names = [wanted.name for wanted in WANTED]
    assert len(set(names)) == len(names)
    (whole,) = (wanted for wanted in EXTRAS["test"] if wanted.name == "prunekit")
    assert whole.extras == {"course"} and all(one.name != "prunekit" for one in EXTRAS["course"])


def test_the_library_imports_what_it_asks_for_and_no_more():
    library = [p for p in (ROOT / "prunekit").rglob("*.py") if "classroom" not in p.parts]
    used = imported(*library)
    lasso = used.pop("sklearn")  # when it is used, with an error that names the cure
    assert lasso == {"prunekit/baselines.py"}
    assert set(used) <= modules_of(CORE), used
    asked = modules_of(CORE) - {"numpy"}  # torch asks for no numpy, but torch.Tensor.numpy() does
    assert asked <= set(used), f"nothing in the library imports {asked - set(used)}"


def test_the_course_imports_what_it_asks_for():
    used = set(imported(*(ROOT / "prunekit" / "classroom").rglob("*.py")))
    with_lab = {"IPython", "ipykernel", "jupyter_client", "jupyter_core", "traitlets"}
    known = modules_of(CORE) | modules_of(EXTRAS["course"]) | with_lab | {"cycler"}  # matplotlib's
    assert used <= known, used - known


@every_dependency
def test_the_lock_pins_a_version_in_range(wanted):
    version = pins().get(canonicalize_name(wanted.name))
    assert version is not None, f"{wanted.name} is missing from requirements.lock"
    assert version in wanted.specifier


@every_dependency
def test_conda_gets_the_same_range(wanted):
    named = conda_requirements().get(CONDA_NAMES.get(wanted.name, wanted.name))
    assert named is not None, f"{wanted.name} is missing from environment.yml"
    assert named.specifier == wanted.specifier


def test_conda_gets_nothing_that_the_project_does_not_name():
    known = {CONDA_NAMES.get(wanted.name, wanted.name) for wanted in WANTED}
    assert set(conda_requirements()) - known == {"python", "pip", "setuptools"}


def test_python_is_the_same():
    assert str(conda_requirements()["python"].specifier) == PROJECT["requires-python"] == ">=3.11"


def test_conda_forge_is_the_only_channel():
    assert ENVIRONMENT["channels"] == ["conda-forge", "nodefaults"]


def test_torch_is_the_plain_release():
    assert pins()["torch"] == "2.13.0"
    assert "torchvision" not in pins()


def test_the_lock_holds_no_address_and_no_option():
    for line in LOCK:
        assert "://" not in line and " @ " not in line, line
        assert not line.startswith(("-", "/", ".")), line


def test_the_build_needs_only_what_is_locked():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]
    for requirement in map(Requirement, build["requires"]):
        assert pins()[canonicalize_name(requirement.name)] in requirement.specifier
