"""Fingerprints: the same for the same, in every process, and another one for anything else."""

import functools
import subprocess
import sys
import textwrap
import types

import numpy as np
import torch
from torch import nn

from prunekit.pipeline.fingerprint import fingerprint, network_parts
from prunekit.pipeline.methods import METHODS

from .networks import chain

LIMIT = 3


def made(source, **around):
    """A function called ``f`` from source, in a module of its own."""
    module = types.ModuleType("notebook")
    vars(module).update(around)
    exec(textwrap.dedent(source), vars(module))
    return module.f


def bound(value):
    return lambda x: x * value


class Scaled:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return x * self.factor


class Scaled2:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return x + self.factor


class Slots:
    __slots__ = ("a",)


def circle():
    rows = [1]
    rows.append(rows)
    return rows


DIFFERENT = [  # no two of them are the same
    *(None, 1, 1.0, True, "1", b"1", 1j, ..., [1], (1,), [1, 1], [[1], 1], {1}, {1: 1}, circle()),
    *(torch.ones(2), torch.ones(2).double(), torch.ones(1, 2), torch.ones(2).bfloat16()),
    *(torch.ones(2).to_sparse(), torch.empty(2, device="meta"), np.ones(2), np.ones((2, 1))),
    *(torch.float32, torch.float64, torch.device("cpu"), slice(1), range(3), len, print),
    *(bound(1), bound(2), lambda x: x, lambda x: x + 1, lambda x=1: x + 1, lambda *, x=1: x + 1),
    *(made("def f(x): return x * G", G=1), made("def f(x): return x * G", G=2)),
    *(made("def f(x): return g(x)", g=bound(1)), made("def f(x): return g(x)", g=bound(2))),
    made("def f(x): return [y * G for y in x]", G=3),
    made("def f(x): return [y * G for y in x]", G=4),
    made("def f(x): return m.g(x)", m=types.SimpleNamespace(g=bound(1))),
    made("def f(x): return m.g(x)", m=types.SimpleNamespace(g=bound(2))),
    *(functools.partial(bound, 1), functools.partial(bound, 2), functools.cache(bound)),
    *(Scaled(1), Scaled(2), Scaled2(1), Scaled, Scaled(1).__call__, Scaled(2).__call__, Slots()),
    *(torch.relu, nn.ReLU, nn.functional.relu, nn.ReLU(), nn.LeakyReLU(), np.sum, torch),
    *(select for select, _ in METHODS.values()),
]


def test_what_differs_has_another_fingerprint():
    found = [fingerprint(value) for value in DIFFERENT]
    assert len(set(found)) == len(DIFFERENT)


def test_names_comments_and_addresses_do_not_count():
    one = made("def f(x):\n    # words\n    y = x\n    return y")
    two = made("def f(x):\n\n    y = x\n    return y")
    two.__name__ = two.__qualname__ = "g"
    assert fingerprint(one) == fingerprint(two)
    assert fingerprint(bound(torch.ones(2))) == fingerprint(bound(torch.ones(2)))
    assert fingerprint(Scaled([1])) == fingerprint(Scaled([1]))
    assert fingerprint(torch.Generator()) == fingerprint(torch.Generator())
    assert fingerprint(1, 2) != fingerprint((1, 2)) and fingerprint(1, [2]) != fingerprint([1], 2)


def test_a_value_that_changed_has_another_fingerprint():
    values = [1]
    before = fingerprint(values, bound(values))
    values.append(2)
    assert fingerprint(values, bound(values)) != before


IN_A_NEW_PROCESS = """
from tests.test_fingerprint import DIFFERENT, chain, fingerprint, network_parts
print(fingerprint(*[v for v in DIFFERENT], {"a", "b", "c", "d"}, network_parts(chain())))
"""


def test_every_process_finds_the_same():
    found = {
        subprocess.run(
            [sys.executable, "-c", IN_A_NEW_PROCESS],
            env={"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"},
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        ).stdout
        for seed in "12"
    }
    assert len(found) == 1


def test_networks_are_known_by_their_code_and_numbers():
    def other(change):
        net = chain()
        change(net)
        return fingerprint(network_parts(net))

    class Louder(nn.ReLU):
        def forward(self, x):
            return super().forward(x) * 2

    class Usual(nn.ReLU):
        def forward(self, x):
            return super().forward(x)

    Louder.__name__ = Usual.__name__ = "ReLU"
    changes = [
        lambda net: None,
        lambda net: net[0].weight.data.view(-1)[0].mul_(1 + 1e-6),
        lambda net: net.register_buffer("extra", torch.zeros(1), persistent=False),
        lambda net: net.__setitem__(2, Louder()),
        lambda net: net.__setitem__(2, Usual()),
        lambda net: net.double(),
    ]
    found = [other(change) for change in changes]
    assert len(set(found)) == len(found) and found[0] == other(lambda net: None)
