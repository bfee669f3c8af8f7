"""Networks in which half of the channels say what the other half says.

There, pruning has a known answer: the copies can go, and least squares must restore the outputs.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

import prunekit as pk
from tests.zoo.entry import Entry

Pairs = list[tuple[int, int]]


def with_duplicates(entry: Entry) -> tuple[nn.Module, list[pk.Site], dict[pk.Site, list[int]]]:
    """The entry's network with copies, all its sites, and site → the channels that are copies.

    Sites that are left alone have no copies and are not among the keys.
    """
    model = entry.make()
    sites = pk.find_sites(model, entry.inputs(2))
    return model, sites, duplicate(model, sites)


def duplicate(model: nn.Module, sites: Iterable[pk.Site]) -> dict[pk.Site, list[int]]:
    """Make half of the channels of each site copies of the other half, in place; which ones.

    All that makes a channel is copied: rows of producers, biases, parameters and running statistics
    of norms, depthwise filters. Consumers stay as they are.
    """
    copies = {}
    for site in sites:
        if site.reason is not None:
            continue
        pairs = pair(model, site)
        copies[site] = sorted(copy for _, copy in pairs)
        for cut in site.cuts:
            sources = [i for kept, _ in pairs for i in cut.indices[kept]]
            targets = [i for _, copy in pairs for i in cut.indices[copy]]
            name, _, dim = cut.side.partition(":")
            if cut.side == "out":
                _copy_outputs(_find(model, cut.module), sources, targets)
            elif dim:  # of a bare parameter or buffer
                _copy(getattr(_find(model, cut.module), name), int(dim), sources, targets)
    return copies


def pair(model: nn.Module, site: pk.Site) -> Pairs:
    """(channel, the one that becomes its copy) for all channels: c and c + n/2 wherever possible.

    Both must run through the same modules, and through the same group of a grouped convolution or
    norm; n counts the channels that are alike in this. Of an odd number, one stays alone.
    """
    alike: dict[tuple, list[int]] = defaultdict(list)
    places = [(_find(model, cut.module), cut) for cut in site.cuts]
    for channel in range(site.channels):
        groups = (
            tuple(_group(module, cut.side, i) for i in cut.indices[channel])
            for module, cut in places
        )
        alike[tuple(groups)].append(channel)
    pairs = []
    for channels in alike.values():
        half = len(channels) // 2
        pairs += zip(channels[:half], channels[half : 2 * half], strict=True)
    return pairs


def _find(model: nn.Module, name: str) -> nn.Module | nn.Parameter:
    """The module of that name, or the parameter where a bare one is meant."""
    modules = dict(model.named_modules())
    return modules[name] if name in modules else model.get_parameter(name)


def _group(module: nn.Module | nn.Parameter, side: str, index: int) -> int:
    """The group that an index falls in; 0 where there are none.

    Where each channel is filtered on its own, its group is itself: also 0.
    Of a norm over groups whole groups go, so it does not matter which.
    """
    if not isinstance(module, _ConvNd) or module.groups == 1:
        return 0
    if module.groups == module.in_channels:
        return 0
    width = module.out_channels if side == "out" else module.in_channels
    return index // (width // module.groups)


@torch.no_grad()
def _copy_outputs(module: nn.Module | nn.Parameter, sources: list[int], targets: list[int]) -> None:
    """Output indices ``targets`` of a module become what ``sources`` are."""
    if isinstance(module, nn.Parameter):
        _copy(module, module.ndim - 1, sources, targets)
    elif isinstance(module, nn.Embedding):
        _copy(module.weight, 1, sources, targets)
    elif isinstance(module, _ConvNd) and module.groups == module.in_channels > 1:
        each = module.out_channels // module.groups  # filters of each channel
        here, there = (
            [i * each + j for i in ids for j in range(each)] for ids in (sources, targets)
        )
        transposed = isinstance(module, _ConvTransposeNd)
        _copy(module.weight, 0, *((sources, targets) if transposed else (here, there)))
        if module.bias is not None:
            _copy(module.bias, 0, here, there)
    elif isinstance(module, _ConvTransposeNd):
        n_in, n_out = module.in_channels // module.groups, module.out_channels // module.groups
        weight = module.weight.unflatten(0, (module.groups, n_in))  # (groups, in, out, *kernel)
        for source, target in zip(sources, targets, strict=True):
            filters = weight[source // n_out, :, source % n_out].clone()
            weight[target // n_out, :, target % n_out] = filters
        if module.bias is not None:
            _copy(module.bias, 0, sources, targets)
    elif any(True for _ in module.children()) or isinstance(module, nn.RNNBase):
        raise TypeError(f"cannot copy the outputs of a {type(module).__name__}")
    else:
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.numel() > 1:  # neither a counter of batches nor one slope for all channels
                _copy(tensor, 0, sources, targets)


def _copy(tensor: Tensor, dim: int, sources: list[int], targets: list[int]) -> None:
    where = torch.tensor([sources, targets], dtype=torch.long, device=tensor.device)  # (2, count)
    tensor.index_copy_(dim, where[1], tensor.index_select(dim, where[0]))
