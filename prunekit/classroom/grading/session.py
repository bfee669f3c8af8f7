"""One notebook put to the test: its cells run, then every exercise is checked, each with a limit.

A cell that fails costs what depends on it and no more; one that takes the kernel with it (a crash,
a loop that cannot be interrupted) is left out, and a new kernel goes on.
"""

import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from prunekit.classroom.grading.client import Kernel, Limits, Lost, started
from prunekit.classroom.grading.kernel import FRESH
from prunekit.classroom.grading.submissions import defined_in

__all__ = ["Outcome", "outcomes"]

MAX_KERNELS = 10  # for one notebook: each start takes seconds
FOR_CELLS = 0.7  # of the notebook's time; the checks may take the rest
ONLY_CHECK = re.compile(r"\s*check\(\w+\)\s*")  # shows a learner's own verdict: not needed here


@dataclass
class Outcome:
    """``status`` is that of a verdict, or "failed" where it came to none."""

    exercise: str
    status: str
    message: str = ""
    seconds: float = 0.0


@dataclass
class _Step:
    """A cell to run or an exercise to check; ``over`` when it will not be run again."""

    source: str
    exercise: str = ""
    trouble: str = ""
    over: bool = False


async def outcomes(
    cells: list[str], exercises: list[str], scratch: Path, seed: int, limits: Limits
) -> list[Outcome]:
    """An outcome for every exercise of a notebook; a learner's mistake never raises.

    Parameters
    ----------
    cells
        The sources of the notebook's code cells.
    exercises
        What to check, by name.
    scratch
        A folder for this notebook alone.
    seed
        Of the random data.
    limits
        Of time and memory, and whether the kernel is shut in.
    """
    token = secrets.token_hex(16)
    steps = [_Step(cell) for cell in cells if not ONLY_CHECK.fullmatch(cell)]
    steps += [_Step(FRESH.format(name=n, seed=seed, token=token), n) for n in exercises]
    session = _Session(steps, limits, token)
    missed = f"It was not checked: {MAX_KERNELS} kernels were lost before its turn came."
    for _ in range(MAX_KERNELS):
        try:
            async with started(scratch, limits) as kernel:
                if await session.go_on(kernel):
                    break
        except RuntimeError as error:  # nbclient's, of a kernel that does not start
            missed = f"It was not checked: no kernel started ({error})."
            break
    every = [session.found.get(name) or Outcome(name, "failed", missed) for name in exercises]
    return [_explained(outcome, steps) for outcome in every]


@dataclass
class _Session:
    """What is left to do, how much time, and what was found."""

    steps: list[_Step]
    limits: Limits
    token: str
    start: float = field(default_factory=monotonic)
    found: dict[str, Outcome] = field(default_factory=dict)

    async def go_on(self, kernel: Kernel) -> bool:
        """Take the steps that are left; False if the kernel was lost on the way."""
        for step in (step for step in self.steps if not step.over):
            share = 1 if step.exercise else FOR_CELLS
            left = share * 60 * self.limits.minutes - (monotonic() - self.start)
            if left <= 0:
                step.trouble = "was not run: the time of the notebook was over"
                if step.exercise:
                    words = f"Its check {step.trouble}."
                    self.found[step.exercise] = Outcome(step.exercise, "failed", words)
            elif not await self._take(kernel, step, min(self.limits.seconds, left)):
                return False
        return True

    async def _take(self, kernel: Kernel, step: _Step, seconds: float) -> bool:
        """Run a step for at most so long; False if the kernel is lost."""
        start, lost = monotonic(), False
        try:
            words, verdicts = await kernel.run(step.source, seconds)
        except Lost as loss:
            words, verdicts, lost = str(loss), [], True
        step.trouble, step.over = words or "", lost or bool(step.exercise)
        if step.exercise:
            ours = [said for said in verdicts if said.get("token") == self.token] or [{}]
            status = str(ours[-1].get("status", "failed"))
            message = str(ours[-1].get("message", "")) or (f"Its check {words}." if words else "")
            seconds = monotonic() - start
            self.found[step.exercise] = Outcome(step.exercise, status, message, seconds)
        return not lost


def _explained(outcome: Outcome, steps: list[_Step]) -> Outcome:
    """Why a function was missing when its turn came."""
    if outcome.status != "missing":
        return outcome
    cells = [step for step in steps if not step.exercise]
    own = [step for step in cells if outcome.exercise in defined_in(step.source)]
    if not own:
        return Outcome(
            outcome.exercise, "not started", "The notebook has no function of this name."
        )
    words = "The cell that defines it " + (own[-1].trouble or "was run, but left nothing") + "."
    first = next((step for step in cells if step.trouble), own[-1])
    if first is not own[-1]:
        words += f" Earlier a cell {first.trouble}."
    return Outcome(outcome.exercise, "failed", words, outcome.seconds)
