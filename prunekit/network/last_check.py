"""The last check: does the cut network say what the silenced one says, on the calibration data?"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from prunekit.network.called import precise
from prunekit.network.inputs import Inputs, call, device_of, flat_outputs, map_tensors
from prunekit.network.ranks import gathered, mine
from prunekit.network.stage import plain_paths
from prunekit.network.state import undone
from prunekit.network.verify import differs

__all__ = ["check_cut"]


@torch.no_grad()
def check_cut(
    outputs: Iterable[tuple[list[Tensor], list[Tensor]]],
    silenced: nn.Module,
    cut: nn.Module,
    batches: Sequence[Inputs],
) -> None:
    """Refuse a cut network that does not say what the silenced one says on calibration data.

    Parameters
    ----------
    outputs : of the original and of the silenced network, batch by batch
    """
    found = gathered(_differing(outputs, silenced, cut, batches))
    for wrong in filter(None, found):
        what, index = wrong
        raise ValueError(
            f"the pruned network {what} on calibration batch {index}: forward() goes another way "
            "there than for example_inputs; leave the layers around that alone (ignored_layers), "
            "or give an example that goes the same way"
        )


def _differing(
    outputs: Iterable[tuple[list[Tensor], list[Tensor]]],
    silenced: nn.Module,
    cut: nn.Module,
    batches: Sequence[Inputs],
) -> tuple[str, int] | None:
    """What is wrong with a cut network, and on which batch."""
    for (index, batch), (before, silent) in zip(mine(batches), outputs, strict=True):
        inputs = map_tensors(lambda value: value.to(device_of(cut)), batch)
        try:
            with undone(cut.modules()), plain_paths(device_of(cut), index):
                said = flat_outputs(call(cut, inputs))
        except Exception as error:  # of foreign code
            what = f"fails ({type(error).__name__}: {str(error):.200})"
        else:
            three = zip(said, silent, before, strict=True)
            if not any(differs(c, s, o, slack=30) for c, s, o in three):  # in the model's dtype
                continue
            if _same_in_float64(silenced, cut, inputs, index):
                continue  # large weights have made much of roundings
            what = "differs from one that takes nothing of the channels that went"
        return what, index
    return None


def _same_in_float64(silenced: nn.Module, cut: nn.Module, inputs: Inputs, seed: int) -> bool:
    said = []
    for model in (silenced, cut):
        wide, more = precise(model, inputs, torch.float64)
        with plain_paths(device_of(wide), seed):
            said.append(flat_outputs(call(wide, more)))
    same = zip(*said, strict=True)
    return not any(differs(c, s, slack=30) for s, c in same) and said[0][0].dtype == torch.float64
