"""What `import prunekit` adds to `import torch`, in seconds.

    python -m benchmarks.importing

Median of 7 new interpreters. What is imported only when it is used (pandas, scikit-learn,
matplotlib, Jupyter) take no part; `tests/test_plain_install.py` holds that.
"""

import subprocess
import sys
from statistics import median

STARTS = 7
TIMED = """
from time import perf_counter
start = perf_counter()
import torch
middle = perf_counter()
import prunekit
print(middle - start, perf_counter() - middle)
"""


def start() -> list[float]:
    """Seconds that torch took to import in a new interpreter, and prunekit after it."""
    done = subprocess.run([sys.executable, "-c", TIMED], capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def main() -> None:
    times = [start() for _ in range(STARTS)]
    for name, found in zip(("torch", "prunekit"), zip(*times, strict=True), strict=True):
        print(f"{name:9} {median(found):.3f} s ({min(found):.3f} to {max(found):.3f})")


if __name__ == "__main__":
    main()
