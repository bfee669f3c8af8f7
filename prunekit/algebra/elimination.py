"""What a pruning function gives back: in which order channels go, and the weights that stay."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from prunekit.algebra.arguments import whole
from prunekit.algebra.least_squares import LeastSquares, columns_of

__all__ = ["Elimination", "Step", "Weights"]

Weights = tuple[Tensor, Tensor]  # W (d, outputs), zero in removed rows, and b (outputs,)


@dataclass(frozen=True)
class Step:
    """One removal, as a notebook draws it.

    Attributes
    ----------
    gone : the channel that went
    scores : (channels,) what the removal of each would have cost then; NaN where already gone
    coefficients : (d, k) x_c ≈ X·coefficients: who covers for its k columns, and how much
    """

    gone: int
    scores: Tensor
    coefficients: Tensor


@dataclass(frozen=True)
class Elimination:
    """In which order channels go: one nested path, an answer for every pruning ratio.

    Attributes
    ----------
    order : int64 (channels,), the first to go first
    errors : float64 (channels,), what each removal adds to the error of the layer (of several
        consumers together); None when a method only orders channels
    problem : the least squares behind it, of the first consumer; None when a method only orders
        channels
    block_size : columns per channel
    update : from kept ids to W (d, outputs), zero in removed rows, and b (outputs,): a method's own
        weights; a list of such pairs where a site has several consumers
    refine : from kept ids to better kept ids; sets of different sizes are then no longer nested
    steps : what happened, if it was recorded
    """

    order: Tensor
    errors: Tensor | None = None
    problem: LeastSquares | None = None
    block_size: int = 1
    update: Callable[[Tensor], Weights | list[Weights]] | None = None
    refine: Callable[[Tensor], Tensor] | None = None
    steps: tuple[Step, ...] = ()

    def kept_at(self, keep: int) -> Tensor:
        """Ids of the last ``keep`` channels to go, ascending."""
        whole()(keep, "keep")
        if not 1 <= keep <= len(self.order):
            raise ValueError(f"keep must lie in 1..{len(self.order)} channels, got {keep}")
        kept = self.order[len(self.order) - keep :].sort().values
        return kept if self.refine is None else self.refine(kept)

    def weights_at(self, keep: int) -> Weights:
        """W (d, outputs), zero in removed rows, and b (outputs,), with ``keep`` channels left.

        Those of ``update``, else by least squares; of several consumers those of the first.
        """
        kept = self.kept_at(keep)
        if self.update is not None:
            found = self.update(kept)
            return found[0] if isinstance(found, list) else found
        if self.problem is None:
            raise ValueError("this elimination only orders channels; it has no least squares")
        kept = kept.to(self.problem.gram.device)
        W = self.problem.solve(columns_of(kept, self.block_size))
        return W, self.problem.bias(W)
