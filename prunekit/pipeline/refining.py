"""refine(): a pruned network learns to say what the original says, without labels.

This is retraining of a kind, if a short one: gradient steps on all weights, where least squares
takes layer after layer. Its numbers are to be kept apart from those of least squares.

    minimise  mean ‖z(x) − z₀(x)‖²,   z₀ the outputs of the original

Source: matching logits is Ba & Caruana, "Do deep nets really need to be deep?", NeurIPS 2014; on
images mixed in pairs, Zhang et al., "mixup", ICLR 2018: the original says what is right for any
input, so a few images make many. Our choice: frozen batch norms, the step size and the best state
found on samples held back.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from math import cos, pi
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from prunekit.algebra.arguments import flag, kind, takes, whole
from prunekit.network.augmenting import mixed, shift_and_flip
from prunekit.network.calibration import calibration_batches, parted
from prunekit.network.given import frozen_copy, unwrapped
from prunekit.network.inputs import (
    Inputs,
    check_numbers,
    device_of,
    first_pass,
    flat_outputs,
    map_tensors,
    outputs_of,
    samples_of,
    tensors,
)
from prunekit.network.ranks import alike, is_first
from prunekit.pro import output_error
from prunekit.results.result import PruningResult

__all__ = ["EPOCHS", "refine", "refined"]

EPOCHS = whole(1, most=100_000)
RATES = (1e-3, 3e-4, 1e-4)  # of Adam's steps, the largest first
LOST = 3.0  # times the error of the start after a third of the epochs: this leads nowhere
AT_ONCE = 50  # samples a step


@takes(
    result=kind(PruningResult, words="what prune() gave"),
    original=kind(nn.Module, words="the network that was pruned"),
    epochs=EPOCHS,
    seed=whole(0, most=2**62),
    progress=flag,
)
def refine(
    result: PruningResult,
    original: nn.Module,
    calibration: Any,
    *,
    epochs: int = 40,
    seed: int = 0,
    progress: bool = True,
) -> PruningResult:
    """Let a pruned network learn to say what the original says: no labels, a few minutes.

    Parameters
    ----------
    result : what `prunekit.prune` gave; it is not touched
    original : the network that was pruned; it is not touched
    calibration : inputs without labels, as in `prunekit.prune`; images are shifted, mirrored and
        mixed in pairs
    epochs : passes over them
    seed : of their order, shifts, flips and mixtures
    progress : show a progress bar

    Returns
    -------
    PruningResult : the same plan and report, with a new ``.model``. On the fifth of the samples
    that was held back its outputs are nowhere farther from the original's than before.

    Raises
    ------
    TypeError, ValueError
        No `PruningResult`, another network than the original, data that `prunekit.prune`
        would refuse, or too little of it to hold some back.

    Notes
    -----
    Source: see the top of this file. Batch norms keep their statistics, dropout is off.
    """
    progress = progress and is_first()
    original = unwrapped(original, "original")
    check_numbers(original, "original")
    batches = calibration_batches(calibration, None, original)
    one = map_tensors(lambda value: value[:1].to(device_of(original)), batches[0])
    pair = [
        [tuple(z.shape) for z in flat_outputs(first_pass(frozen_copy(model), one, "calibration"))]
        for model in (original, result.model)
    ]
    if pair[0] != pair[1]:
        raise ValueError(
            f"original gives outputs {pair[0]} where the pruned network gives {pair[1]}: give the "
            "network that was pruned"
        )
    return replace(
        result, model=refined(result.model, original, batches, epochs, seed, progress=progress)
    )


def refined(
    pruned: nn.Module,
    original: nn.Module,
    batches: Sequence[Inputs],
    epochs: int,
    seed: int = 0,
    *,
    progress: bool = True,
) -> nn.Module:
    """A copy of ``pruned`` that was refined on ``batches``."""
    learned, held = map(_joined, parted(batches))
    if not held:
        raise ValueError("refine needs ten calibration samples at least, to hold some back")
    teacher, student = frozen_copy(original), deepcopy(pruned).eval()
    aims = [_said(teacher, batch) for batch in held]

    def judge() -> float:
        found = zip(held, aims, strict=True)
        errors = [output_error(_said(student, b), z0) * samples_of(b) for b, z0 in found]
        return sum(errors) / sum(map(samples_of, held))

    learning = _Learning(student, teacher, learned, judge, seed)
    with tqdm(total=epochs, desc="refining", disable=not progress) as bar:
        for rate in RATES:
            learning.run(rate, epochs, bar)
            if learning.best < learning.first:
                break
    alike(student)
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
        samples: Sequence[Inputs],
        judge: Callable[[], float],
        seed: int,
    ) -> None:
        self.student, self.teacher, self.samples, self.judge = student, teacher, samples, judge
        self.seed, self.steps = seed, sum(-(-samples_of(some) // AT_ONCE) for some in samples)
        self.start = self.state = deepcopy(student.state_dict())
        self.first = self.best = judge()

    def run(self, rate: float, epochs: int, bar: tqdm) -> None:
        """Learn for some epochs, unless it is lost; the student ends in the best state seen."""
        self.student.load_state_dict(self.start)
        weights = [p for p in self.student.parameters() if p.is_floating_point()]
        flags = [p.requires_grad for p in weights]
        optimizer = torch.optim.Adam([p.requires_grad_() for p in weights], rate)
        # the rate falls along half a cosine
        falls = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: (1 + cos(pi * step / (epochs * self.steps))) / 2
        )
        generator = torch.Generator().manual_seed(self.seed)
        bar.reset()
        for epoch in range(1, epochs + 1):
            for batch in _shuffled(self.samples, generator):
                self._step(optimizer, _augmented(batch, generator))
                falls.step()
            error = self.judge()
            if error < self.best:
                self.best, self.state = error, deepcopy(self.student.state_dict())
            bar.set_postfix_str(f"D = {self.best:.3g}")
            bar.update()
            if 3 * epoch >= epochs and not error < LOST * self.first:
                break
        for p, before in zip(weights, flags, strict=True):
            p.requires_grad_(before).grad = None
        self.student.load_state_dict(self.state)

    def _step(self, optimizer: torch.optim.Optimizer, batch: Inputs) -> None:
        z0 = _said(self.teacher, batch)
        with torch.enable_grad():
            pairs = zip(outputs_of(self.student, batch), z0, strict=True)
            # mean ‖z − z₀‖²
            loss = sum((z - aim).square().sum() for z, aim in pairs) / samples_of(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _augmented(batch: Inputs, generator: torch.Generator) -> Inputs:
    """Images are shifted, mirrored and mixed in pairs, other inputs stay as they are."""
    if not (isinstance(batch, Tensor) and batch.ndim == 4 and batch.is_floating_point()):
        return batch
    margin = min(batch.shape[-2:]) // 8
    return mixed(shift_and_flip(batch, generator, margin), generator)


def _joined(batches: Sequence[Inputs]) -> list[Inputs]:
    """All samples of one size together."""
    alike: dict[object, list[Inputs]] = {}
    for batch in batches:
        sizes = tuple(value.shape[1:] for value in tensors(batch).values())
        alike.setdefault(sizes, []).append(batch)
    return [_stacked(some) for some in alike.values()]


def _stacked(batches: Sequence[Inputs]) -> Inputs:
    if isinstance(batches[0], dict):
        return {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}
    if isinstance(batches[0], tuple):
        return tuple(map(torch.cat, zip(*batches, strict=True)))
    return torch.cat([*batches])


def _shuffled(samples: Sequence[Inputs], generator: torch.Generator) -> Iterator[Inputs]:
    """Every sample once, a few at a time."""
    for some in samples:
        for ids in torch.randperm(samples_of(some), generator=generator).split(AT_ONCE):
            yield _those(some, ids)


def _those(batch: Inputs, which: Tensor) -> Inputs:
    return map_tensors(lambda value: value[which.to(value.device)], batch)


@torch.no_grad()
def _said(model: nn.Module, batch: Inputs) -> list[Tensor]:
    return outputs_of(model, batch)
