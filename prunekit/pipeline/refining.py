"""refine(): a pruned network learns to say what the original says, without labels.

This is retraining of a kind, if a short one: gradient steps on all weights, where least squares
takes layer after layer. Its numbers are to be kept apart from those of least squares.

    minimise  mean ‖z(x) − z₀(x)‖²,   z₀ the outputs of the original

Source: matching logits is Ba & Caruana, "Do deep nets really need to be deep?", NeurIPS 2014. Our
choice: frozen batch norms, the step size and the best state found on samples held back.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from math import cos, pi
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from prunekit.algebra.arguments import flag, kind, takes, whole
from prunekit.network.augmenting import shift_and_flip
from prunekit.network.calibration import calibration_batches, held_back
from prunekit.network.given import frozen_copy, unwrapped
from prunekit.network.inputs import (
    Inputs,
    call,
    device_of,
    flat_outputs,
    map_tensors,
    samples_of,
)
from prunekit.pro import output_error
from prunekit.results.result import PruningResult

__all__ = ["refine", "refined"]

RATES = (1e-3, 3e-4, 1e-4)  # the largest first


@takes(
    result=kind(PruningResult, words="what prune() gave"),
    epochs=whole(1, most=100_000),
    seed=whole(),
    progress=flag,
)
def refine(
    result: PruningResult,
    original: nn.Module,
    calibration: Any,
    *,
    epochs: int = 20,
    seed: int = 0,
    progress: bool = True,
) -> PruningResult:
    """Let a pruned network learn to say what the original says: no labels, a few minutes.

    Parameters
    ----------
    result : what `prunekit.prune` gave; it is not touched
    original : the network that was pruned; it is not touched
    calibration : inputs without labels, as in `prunekit.prune`; images are shifted and mirrored
    epochs : passes over them
    seed : of their order, shifts and flips
    progress : show a progress bar

    Returns
    -------
    PruningResult : the same plan and report, with a new ``.model``. On the fifth of the samples
    that was held back its outputs are nowhere farther from the original's than before.

    Raises
    ------
    TypeError, ValueError
        No `PruningResult`, calibration data that `prunekit.prune` would refuse, or too little of it
        to hold some back.

    Notes
    -----
    Source: see the top of this file. Batch norms keep their statistics, dropout is off.
    """
    batches = calibration_batches(calibration)
    model = refined(result.model, unwrapped(original), batches, epochs, seed, progress)
    return replace(result, model=model)


def refined(
    pruned: nn.Module,
    original: nn.Module,
    batches: Sequence[Inputs],
    epochs: int,
    seed: int = 0,
    progress: bool = True,
) -> nn.Module:
    """A copy of ``pruned`` that was refined on ``batches``."""
    parts = [*zip(batches, held_back(batches), strict=True)]
    learned, held = ([_those(b, h == back) for b, h in parts] for back in (False, True))
    learned, held = ([b for b in part if samples_of(b)] for part in (learned, held))
    if not held:
        raise ValueError("refine needs ten calibration samples at least, to hold some back")
    teacher, student = frozen_copy(original), deepcopy(pruned).eval()
    aims = [_said(teacher, batch) for batch in held]

    def judge() -> float:
        found = zip(held, aims, strict=True)
        errors = [output_error(_said(student, b), z0) * samples_of(b) for b, z0 in found]
        return sum(errors) / sum(map(samples_of, held))

    learning = _Learning(student, teacher, learned, judge, seed)
    with tqdm(total=len(RATES) + epochs, desc="refining", disable=not progress) as bar:
        learning.run(_best_rate(learning, bar), epochs, bar)
    for module, old in zip(student.modules(), pruned.modules(), strict=True):
        module.training = old.training
    return student


class _Learning:
    """A network that learns from another one, and the best state that it was in.

    Attributes
    ----------
    best, state : least error on samples held back, and the weights that had it
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        batches: Sequence[Inputs],
        judge: Callable[[], float],
        seed: int,
    ) -> None:
        self.student, self.teacher, self.batches, self.judge = student, teacher, batches, judge
        self.seed = seed
        self.start = self.state = deepcopy(student.state_dict())
        self.best = judge()

    def run(self, rate: float, epochs: int, bar: tqdm) -> float:
        """Learn for some epochs; the student ends in the best state seen. The last error."""
        self.student.load_state_dict(self.start)
        weights = [p for p in self.student.parameters() if p.is_floating_point()]
        flags = [p.requires_grad for p in weights]
        optimizer = torch.optim.Adam([p.requires_grad_() for p in weights], rate)
        generator = torch.Generator().manual_seed(self.seed)
        steps = epochs * len(self.batches)
        error = self.best
        for step in range(steps):
            # the rate falls along half a cosine
            for group in optimizer.param_groups:
                group["lr"] = rate * (1 + cos(pi * step / steps)) / 2
            self._step(optimizer, self.batches[step % len(self.batches)], generator)
            if (step + 1) % len(self.batches) == 0:
                error = self.judge()
                if error < self.best:
                    self.best, self.state = error, deepcopy(self.student.state_dict())
                bar.set_postfix_str(f"D = {self.best:.3g}")
                bar.update()
        for p, before in zip(weights, flags, strict=True):
            p.requires_grad_(before).grad = None
        self.student.load_state_dict(self.state)
        return error

    def _step(
        self, optimizer: torch.optim.Optimizer, batch: Inputs, generator: torch.Generator
    ) -> None:
        batch = _augmented(batch, generator)
        z0 = _said(self.teacher, batch)
        with torch.enable_grad():
            z = _outputs(self.student, batch)
            # mean ‖z − z₀‖²
            loss = sum((a - b).square().sum() for a, b in zip(z, z0, strict=True)) / samples_of(
                batch
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _best_rate(learning: _Learning, bar: tqdm) -> float:
    """The rate whose single epoch leaves the least error on samples held back."""
    return min(RATES, key=lambda rate: learning.run(rate, 1, bar))


def _augmented(batch: Inputs, generator: torch.Generator) -> Inputs:
    """Images are shifted and mirrored, other inputs stay as they are."""
    is_image = isinstance(batch, Tensor) and batch.ndim == 4 and batch.is_floating_point()
    margin = min(batch.shape[-2:]) // 8 if is_image else 0
    return shift_and_flip(batch, generator, margin) if is_image else batch


def _those(batch: Inputs, which: Tensor) -> Inputs:
    return map_tensors(lambda value: value[which.to(value.device)], batch)


def _outputs(model: nn.Module, batch: Inputs) -> list[Tensor]:
    return flat_outputs(call(model, map_tensors(lambda v: v.to(device_of(model)), batch)))


@torch.no_grad()
def _said(model: nn.Module, batch: Inputs) -> list[Tensor]:
    return _outputs(model, batch)
