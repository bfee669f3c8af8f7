"""The output error of trial pruning: how far outputs move when some sites lose channels.

Every site's path is computed once, from one survey of the original network, and tried by writing
its weights into a scratch copy; nothing is cut. The error is D (`prunekit.pro.output_error`), with
z₀ the outputs of the original network. No labels are needed.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from math import isfinite
from pathlib import Path

import torch
from torch import Tensor, nn

from prunekit.algebra.elimination import Elimination
from prunekit.algebra.statistics import Statistics
from prunekit.network.given import frozen_copy
from prunekit.network.inputs import Inputs, device_of, outputs_of, samples_of, tensors
from prunekit.network.layers import set_outgoing_weights
from prunekit.network.ranks import from_first, gathered, mine, summed
from prunekit.network.reading import statistics_of
from prunekit.network.sites import Site
from prunekit.network.survey import Survey
from prunekit.pipeline.fingerprint import fingerprint, network_parts
from prunekit.pipeline.front_to_back import Options, write_site
from prunekit.pipeline.measurements import Measurements, answers
from prunekit.pipeline.methods import checked
from prunekit.pro import output_error

__all__ = ["Trial", "mean_output_error"]


class Trial:
    """Tries widths and measures D; what was measured is kept, in a file if one is given.

    Parameters
    ----------
    model : the original network
    sites : where it may lose channels
    batches : calibration inputs, for the statistics of each site
    probes : inputs that D is measured on
    options : method and repair; only what the repair does after a site and at the end counts here
    criterion : "mse" or "kl"
    file : measurements are read from it, and written to it one by one
    """

    def __init__(
        self,
        model: nn.Module,
        sites: Sequence[Site],
        batches: Sequence[Inputs],
        probes: Sequence[Inputs],
        options: Options,
        criterion: str = "mse",
        file: Path | None = None,
    ) -> None:
        self.original, self.batches, self.probes = frozen_copy(model), batches, probes
        self.options, self.criterion = options, criterion
        wanted = [taken for site in sites for taken in site.consumer_inputs]
        self._survey = Survey(self.original, wanted, batches, options.mapped)
        self._paths: dict[Site, tuple[Statistics, Elimination]] = {}
        # z₀, by batch
        self._outputs_before = {i: outputs_of(self.original, batch) for i, batch in mine(probes)}
        outputs = gathered({i: answers(z0) for i, z0 in self._outputs_before.items()})
        outputs = {i: numbers for some in outputs for i, numbers in some.items()}
        if not any(outputs.values()):
            raise ValueError(
                "model gives no tensors, so there is no error of its outputs: let forward() return "
                "them"
            )
        about = "" if file is None else self._about()
        z0 = [number for i in sorted(outputs) for number in outputs[i]]
        self.measured = Measurements(file, about, z0)

    def error(self, keep: Mapping[Site, int]) -> float:
        """D when so many channels stay at each site; sites not named keep all."""
        cut = {site: k for site, k in keep.items() if k < site.channels}
        key = ", ".join(f"{site.name}={k}" for site, k in sorted(cut.items(), key=_name))
        if not cut:
            return 0.0
        if key not in self.measured:
            self.measured[key] = self._measure(cut)
        return self.measured[key]

    def knows(self, keep: Mapping[Site, int]) -> bool:
        """Whether this was measured before (perhaps in an earlier run)."""
        cut = {site: k for site, k in keep.items() if k < site.channels}
        return (
            ", ".join(f"{s.name}={k}" for s, k in sorted(cut.items(), key=_name)) in self.measured
        )

    def _path(self, site: Site) -> tuple[Statistics, Elimination]:
        if site not in self._paths:
            statistics = statistics_of(site, self._survey, self.options)
            self._paths[site] = statistics, checked(self.options.select(statistics), site.channels)
        return self._paths[site]

    @torch.no_grad()
    def _measure(self, keep: Mapping[Site, int]) -> float:
        scratch = frozen_copy(self.original)
        for site, k in keep.items():
            statistics, chosen = self._path(site)
            (kept,) = from_first(chosen.kept_at(k))
            weights = self.options.repair.after_site(statistics, chosen, kept)
            write_site(site, statistics, weights, partial(_write, scratch), scratch.get_submodule)
        scratch = self.options.repair.at_end(scratch, self.batches, self.probes[0])
        error = mean_output_error(scratch, self._outputs_before, self.probes, self.criterion)
        if not isfinite(error):
            names = ", ".join(site.name for site in keep)
            raise ValueError(
                f"outputs are not finite when channels of {names} go, so nothing can be compared: "
                "give a network whose outputs are finite, such as logits before they are masked"
            )
        return error

    def _about(self) -> str:
        """A fingerprint of all that a measurement depends on, but for what the network says."""
        data = [[*map(tensors, batches)] for batches in (self.batches, self.probes)]
        return fingerprint(network_parts(self.original), data, vars(self.options), self.criterion)


@torch.no_grad()
def mean_output_error(
    model: nn.Module,
    before: nn.Module | Mapping[int, Sequence[Tensor]],
    batches: Sequence[Inputs],
    criterion: str = "mse",
) -> float:
    """D over all batches, against the outputs of another network, or z₀ batch by batch."""
    total, count = 0.0, 0
    for i, batch in mine(batches):
        z0 = outputs_of(before, batch) if isinstance(before, nn.Module) else before[i]
        total += samples_of(batch) * output_error(outputs_of(model, batch), z0, criterion)
        count += samples_of(batch)
    total, count = summed(torch.tensor(total, device=device_of(model)), count)
    return (total / count).item()


def _name(item: tuple[Site, int]) -> str:
    return item[0].name


def _write(model: nn.Module, name: str, W: Tensor, b: Tensor, group: int) -> None:
    set_outgoing_weights(model.get_submodule(name), W, b, group)
