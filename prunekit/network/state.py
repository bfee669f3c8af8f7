"""What a network keeps of a pass: put back as it was, so that the next one starts afresh."""

import operator
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn

__all__ = ["State", "undone"]


class State:
    """What modules keep, their dictionaries and lists, and the numbers in their buffers."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self._kept = [(module, dict(vars(module))) for module in modules]
        values = [value for _, kept in self._kept for value in kept.values()]
        self._dicts = [(value, dict(value)) for value in values if isinstance(value, dict)]
        self._lists = [(value, list(value)) for value in values if isinstance(value, list)]
        buffers = {b for m, _ in self._kept for b in m._buffers.values() if b is not None}
        self._values = {b: (b._version, b.clone()) for b in buffers}

    def restore(self) -> None:
        """Modules are as they were when this was made."""
        for module, attributes in self._kept:
            vars(module).clear()
            vars(module).update(attributes)
        for kept, old in self._dicts:
            if not (kept or old):  # as most are
                continue
            if len(kept) != len(old) or not all(map(operator.is_, kept.values(), old.values())):
                kept.clear()
                kept.update(old)
        for kept, old in self._lists:
            kept[:] = old
        for buffer, (version, value) in self._values.items():
            if buffer._version != version:
                buffer.copy_(value)
                self._values[buffer] = buffer._version, value


@contextmanager
def undone(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Modules are as before afterwards."""
    state = State(modules)
    try:
        yield
    finally:
        state.restore()
