"""Attention heads: blocks of channels that query, key, value and the output projection share.

torch-pruning does not follow heads through the products between queries, keys and values, so they
are found by the shape of the code: a module that keeps a number of heads, and whose linear layers
make queries, keys and values (apart, or in one) and project the answer. Whether the guess is right
shows when it is put to the test, as for every site.
"""

from collections.abc import Mapping

import torch
from torch import nn

from prunekit.network.sites import ConsumerInputs, Site
from prunekit.network.surgery import Cut

__all__ = ["heads"]

COUNTERS = ("num_heads", "n_heads", "n_head", "heads", "num_attention_heads", "nhead")


def heads(model: nn.Module, calls: Mapping[str, int]) -> list[Site]:
    """A site for the heads of every attention block that looks like one."""
    return [
        site
        for name, module in model.named_modules()
        for counter in COUNTERS
        if isinstance(getattr(module, counter, None), int)
        for site in _site(name, module, counter, calls)
    ]


def _site(name: str, module: nn.Module, counter: str, calls: Mapping[str, int]) -> list[Site]:
    n = getattr(module, counter)
    children = {f"{name}.{key}".lstrip("."): child for key, child in module.named_children()}
    linear = [
        (key, child)
        for key, child in children.items()
        if type(child) is nn.Linear and calls.get(key) == 1
    ]
    if n < 2 or len(linear) not in (2, 4):
        return []
    *makers, (out_name, out) = sorted(linear, key=lambda item: list(calls).index(item[0]))
    inner, parts = out.in_features, 4 - len(makers)  # 3 parts in one layer, or one in each of 3
    if inner % n or any(layer.out_features != parts * inner for _, layer in makers):
        return []
    size = inner // n
    takes = tuple(tuple(range(h * size, h * size + size)) for h in range(n))
    makes = tuple(tuple(p * inner + i for p in range(parts) for i in ids) for ids in takes)
    cuts = [Cut(key, "out", makes) for key, _ in makers] + [Cut(out_name, "in", takes)]
    cuts.append(Cut(name, counter, tuple((h,) for h in range(n))))
    inputs = ConsumerInputs(out_name, 0, torch.tensor(takes), inner, 1, None, False)
    producers = tuple(key for key, _ in makers)
    return [Site(producers[0], n, producers, (inputs,), cuts=tuple(cuts))]
