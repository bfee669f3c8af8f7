"""Break formulas and promises, one at a time, and say which test noticed.

    python -m tests.mutants                    # all, about twenty minutes on one core
    python -m tests.mutants --only ridge       # those with the word in their name

Works on a copy; nothing here is touched.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tqdm.auto import tqdm

from tests.mutants import Mutant
from tests.mutants.formulas import FORMULAS
from tests.mutants.promises import PROMISES

ROOT = Path(__file__).parents[2]
LEFT_OUT = (".venv", ".git", "build", "__pycache__", ".ruff_cache", ".pytest_cache")
PATIENCE = 900  # seconds; a mutant that runs for ever is noticed, too


def noticed_by(mutant: Mutant, tree: Path) -> str | None:
    """The first test that fails on a mutant; None if all pass."""
    file = tree / mutant.file
    source = file.read_text("utf-8")
    tests = [f"tests/{name}.py" for name in mutant.tests.split()]
    tests = [name for name in tests if (tree / name).exists()]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    file.write_text(mutant.applied(source), "utf-8")
    try:
        done = subprocess.run(
            command,
            cwd=tree,
            env=os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return f"no end within {PATIENCE} s"
    finally:
        file.write_text(source, "utf-8")
    if done.returncode == 0:
        return None
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return failed[1] if failed else f"pytest ended with {done.returncode}: {done.stdout[-300:]}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="a part of the names to run")
    only = parser.parse_args().only
    chosen = [m for m in (*FORMULAS, *PROMISES) if only in m.name]
    survived = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*LEFT_OUT))
        for mutant in tqdm(chosen, unit="mutant"):
            test = noticed_by(mutant, tree)
            tqdm.write(f"{mutant.name}\n    {test or 'SURVIVED'}")
            if test is None:
                survived.append(mutant.name)
    print(f"{len(chosen) - len(survived)} of {len(chosen)} noticed", *survived, sep="\n  ")
    sys.exit(bool(survived))


if __name__ == "__main__":
    main()
