"""Break formulas and promises, one at a time, and say which test noticed.

    python -m tests.mutants                    # all, about twenty minutes on one idle core
    python -m tests.mutants --only ridge       # those with the word in their name

Works on a copy; nothing here is touched. First the tests have to pass on the copy as it is, for a
test that fails anyway would notice everything.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tqdm.auto import tqdm

from tests.mutants import FORMULAS, PROMISES
from tests.mutants.mutant import Mutant

ROOT = Path(__file__).parents[2]
LEFT_OUT = (".venv", ".git", "build", "__pycache__", ".ruff_cache", ".pytest_cache")
PATIENCE = 120  # seconds; a mutant that runs for ever is noticed, too
# without what only notebooks and several workers need, which takes two seconds to start
QUICK = ("-p", "no:cacheprovider", "-p", "no:nbval", "-p", "no:xdist", "-o", "addopts=")
QUICK += ("-p", "tests.mutants.unshrunk")


def pytest(tree: Path, tests: Iterable[str], patience: float | None) -> subprocess.CompletedProcess:
    """Run test files of a tree until the first one fails."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", *QUICK, *tests],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=patience,
    )


def noticed_by(mutant: Mutant, tree: Path) -> str | None:
    """The first test that fails on a mutant; None if all pass."""
    file = tree / mutant.file
    source = file.read_text("utf-8")
    file.write_text(mutant.applied(source), "utf-8")
    try:
        done = pytest(tree, mutant.test_files, PATIENCE)
    except subprocess.TimeoutExpired:
        return f"no end within {PATIENCE} s"
    finally:
        file.write_text(source, "utf-8")
    if done.returncode == 0:
        return None
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    if not failed:  # pytest itself failed: nobody has noticed anything
        sys.exit(f"{mutant.name}: pytest ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return failed[1]


def survivors(mutants: Sequence[Mutant], tree: Path) -> list[str]:
    """The names of those that no test notices; what noticed the others is printed."""
    tests = dict.fromkeys(test for mutant in mutants for test in mutant.test_files)
    whole = pytest(tree, tests, None)
    if whole.returncode:
        sys.exit(f"without any mutant the tests have to pass\n{whole.stdout}{whole.stderr}")
    found = []
    for mutant in tqdm(mutants, unit="mutant"):
        test = noticed_by(mutant, tree)
        tqdm.write(f"{mutant.name}\n    {test or 'SURVIVED'}")
        found += [mutant.name] if test is None else []
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="a part of the names to run")
    only = parser.parse_args().only
    chosen = [mutant for mutant in (*FORMULAS, *PROMISES) if only in mutant.name]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*LEFT_OUT))
        survived = survivors(chosen, tree)
    print(f"{len(chosen) - len(survived)} of {len(chosen)} noticed", *survived, sep="\n  ")
    sys.exit(bool(survived))


if __name__ == "__main__":
    main()
