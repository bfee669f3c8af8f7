"""One notebook put to the test: its cells run, then every exercise is checked, each with a limit.

A cell that fails costs what depends on it and no more; one that takes its process with it (a crash,
a loop that cannot be interrupted) is left out, and a new process goes on. Two processes take part:
the room, where the learner's code runs, and the examiner, who has the cases and makes the verdict.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from prunekit.classroom.checks import EXERCISES
from prunekit.classroom.grading.client import Examiner, Lost, Worker, loaded, started
from prunekit.classroom.grading.inside import MAX_WORDS
from prunekit.classroom.grading.limits import Limits
from prunekit.classroom.grading.submissions import Unreadable, defined_in

__all__ = ["Outcome", "outcomes"]

MAX_ROOMS = 10  # for one notebook: each start takes seconds
FOR_CELLS = 0.7  # of the notebook's time; the checks may take the rest
VERDICTS = ("correct", "not yet", "not started", "missing")
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
    content: bytes, examiner: Examiner, seed: int, limits: Limits, hidden: Path | None
) -> list[Outcome]:
    """An outcome for every exercise of a notebook; a learner's mistake never raises.

    Parameters
    ----------
    content
        Of the notebook's file.
    examiner
        Reads it, and has the cases.
    seed
        Of the random data.
    limits
        Of time and memory.
    hidden
        The folder of submissions, which a room with walls does not show; None for no walls.

    Raises
    ------
    Unreadable
        If it is no notebook, or answers no exercise.
    """
    cells, exercises = await _read(content, examiner, limits)
    steps = [_Step(cell) for cell in cells if not ONLY_CHECK.fullmatch(cell)]
    steps += [_Step("", name) for name in exercises]
    session = _Session(steps, limits, examiner, seed)
    missed = f"It was not checked: {MAX_ROOMS} processes were lost before its turn came."
    for _ in range(MAX_ROOMS):
        try:
            async with started("room", limits, hidden) as room:
                await session.go_on(room)
            if session.done:
                break
        except RuntimeError as error:
            missed = f"It was not checked: {error}."
            break
    every = [session.found.get(name) or Outcome(name, "failed", missed) for name in exercises]
    return [_explained(outcome, steps) for outcome in every]


async def _read(content: bytes, examiner: Examiner, limits: Limits) -> tuple[list[str], list[str]]:
    """Cells, and the names of the exercises that they answer."""
    try:
        said = await examiner.ask({"read": len(content)}, limits.seconds, content)
    except Lost as loss:
        words = f"Reading it {loss}: clear its outputs (Edit menu), or ask for it again."
        raise Unreadable(words) from None
    if "unreadable" in said:
        raise Unreadable(said["unreadable"])
    return said["cells"], said["names"]


@dataclass
class _Session:
    """What is left to do, how much time, and what was found."""

    steps: list[_Step]
    limits: Limits
    examiner: Examiner
    seed: int
    start: float = field(default_factory=monotonic)
    found: dict[str, Outcome] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether every exercise was checked."""
        return all(step.over for step in self.steps if step.exercise)

    async def go_on(self, room: Worker) -> None:
        """Take the steps that are left, until the room is lost."""
        for step in (step for step in self.steps if not step.over):
            share = 1 if step.exercise else FOR_CELLS
            left = share * 60 * self.limits.minutes - (monotonic() - self.start)
            seconds = min(self.limits.seconds, left)
            try:
                if left > 0 and step.exercise:
                    await self._check(room, step, seconds)
                elif left > 0:
                    step.trouble = await self._run(room, step.source, seconds)
                else:
                    step.trouble = "was not run: the time of the notebook was over"
                    if step.exercise:
                        self._keep(step, {"trouble": step.trouble}, 0.0)
            except Lost as loss:
                step.trouble, step.over = str(loss), True
                return

    async def _run(self, room: Worker, source: str, seconds: float) -> str:
        """Run a cell; what went wrong, in words."""
        said = loaded(await room.ask({"run": source, **self._time(seconds)}, seconds))
        return str(said.get("trouble", ""))[:MAX_WORDS]

    def _time(self, seconds: float) -> dict[str, float]:
        return {"seconds": seconds, "limit": self.limits.seconds}

    async def _check(self, room: Worker, step: _Step, seconds: float) -> None:
        """Check an exercise: by the examiner if the room can be asked with plain data."""
        start, loss = monotonic(), None
        request = {"judge": step.exercise, "seed": self.seed}
        examiner = self.examiner if EXERCISES[step.exercise].plain else None
        try:
            if examiner is None:
                said = loaded(await room.ask(request | self._time(seconds), seconds))
            else:
                said = await examiner.ask(request, seconds)
            while examiner is not None and "call" in said:
                left = seconds - (monotonic() - start)
                answer = await room.ask(said | self._time(left), left)
                said = await examiner.ask(answer, seconds)
        except Lost as error:
            said, loss = {"trouble": str(error)}, error
        self._keep(step, said, monotonic() - start)
        if loss is not None:
            raise loss

    def _keep(self, step: _Step, said: dict, seconds: float) -> None:
        """Keep what was said of an exercise, if it has the form of a verdict."""
        status, message = said.get("status", "failed"), said.get("message", "")
        if said.get("trouble"):
            message = f"Its check {said['trouble']}."
        elif status not in VERDICTS or not isinstance(message, str):
            status, message = "failed", "Its check came to no verdict."
        step.over = True
        self.found[step.exercise] = Outcome(step.exercise, status, message[:MAX_WORDS], seconds)


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
