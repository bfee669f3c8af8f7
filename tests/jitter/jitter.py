"""Another processor, on this one: its last digits.

Processors add in different orders, so the same product, sum or solve ends in other digits on each
of them. Here every such result is moved by up to eight units in its last place, some of 16 bits by
one. What is moved, and how far, follows from the seed, from the number itself and from its place in
the result: as on a real processor the same call gives the same digits, a Gram matrix is not quite
symmetric, and two batches do not end in the digits of one.

With JITTER=SEED in the environment, every Python that has `tests/offline` on its PYTHONPATH does
so from its first `import torch` or `import numpy` on: `make test-jitter SEED=1`. Not reached:
numpy's ``a @ b`` and compiled code that calls LAPACK itself (scipy's).
"""

import functools
import importlib.util
import random
import re
import sys
import threading
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

PLACES = 1 << 16  # then the noise repeats
SMALL = 1 << 10  # in larger arrays the place alone decides, which is quicker
PART = 4  # of arrays that are larger still one in so many pieces is moved, and the first
MIX = 0x9E3779B1 - (1 << 32)  # 2³²/φ, odd, as a signed number: a product spreads every bit upwards
FORMATS = {"float64": ("int64", 53), "float32": ("int32", 24), "bfloat16": ("int16", 8)}
FORMATS["float16"] = ("int16", 11)  # integers as wide, and significant digits
MOVED = re.compile(
    r"mm|mv|dot|conv(?!ert)|linear|attention|rnn|lstm|gru|sum|mean|norm(?!al)|std|var|prod|loss|"
    r"softmax|cdist|avg_pool|index_add|scatter_add|"
    r"linalg|cholesky|solve|lstsq|svd|qr|eig|inverse|lu_factor"
)
NUMPY = "sum prod trace dot vdot inner matmul tensordot einsum polyfit cov corrcoef"


class Mover:
    """Moves the last digits of arrays, in place; they come as whole numbers of the same bits."""

    def __init__(self, seed: int) -> None:
        import numpy

        self.part = seed % PART
        drawn = numpy.frombuffer(random.Random(seed).randbytes(8 * PLACES), numpy.int64)
        self.places = {name: drawn.view(name)[:PLACES] for name in ("int64", "int32", "int16")}
        self.noise = {
            name: places >> 8 * places.itemsize - 4 for name, places in self.places.items()
        }

    def move(self, bits: Any, digits: int) -> None:
        """Move numbers of so many significant digits by -8 to 7 units in the last place."""
        flat = bits.reshape(-1)
        for piece in range(0, -(-flat.size // PLACES)):
            if piece == 0 or piece % PART == self.part:
                self._move(flat[piece * PLACES : (piece + 1) * PLACES], digits)
        if not bits.flags.c_contiguous:
            bits[...] = flat.reshape(bits.shape)

    def _move(self, bits: Any, digits: int) -> None:
        if bits.size > SMALL:
            noise = self.noise[bits.dtype.name][: bits.size].copy()
        else:
            noise = bits ^ self.places[bits.dtype.name][: bits.size]
            noise *= noise.dtype.type(MIX % (1 << 16) if noise.itemsize == 2 else MIX)
            noise >>= 8 * noise.itemsize - 4
        if noise.itemsize == 2:  # sums are of float32, and rounded once: few end elsewhere
            noise = (noise == 7).astype(noise.dtype) - (noise == -8)
        # a lower half of zeros stays: counts, whole numbers, halves are exact on every processor
        low = (1 << digits // 2) - 1
        exponent = (1 << 8 * bits.itemsize - 1) - (1 << digits - 1)
        noise *= ((bits & low) != 0) & ((bits & exponent) != 0)  # next to nothing may become NaN
        bits += noise


def is_share(value: Any, count: int, digits: int) -> Any:
    """Whether ``value``, a mean of ``count`` numbers, is one of whole numbers: exact anywhere."""
    total = (value * count).round()
    return (total / count == value) & (abs(total) < 1 << digits // 2)


def torch_mode(seed: int) -> Callable[[], Any]:
    """Makes the dispatch mode that moves what torch computes."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    mover = Mover(seed)
    formats = {getattr(torch, f): (getattr(torch, i), d) for f, (i, d) in FORMATS.items()}
    plain = (torch.Tensor, torch.nn.Parameter)  # any other is only traced, or wraps several

    def moved(x: object, count: int = 0) -> None:
        """Move ``x`` in place; of a mean over ``count`` numbers, what is no k / count."""
        if type(x) not in plain or x.dtype not in formats or not x.is_cpu or x.is_sparse:
            return
        integer, digits = formats[x.dtype]
        x = x.detach()
        was = x.clone() if count else x
        mover.move(x.view(integer).numpy(), digits)
        if count:
            x.copy_(was.where(is_share(was, count, digits), x))

    @functools.cache
    def is_moved(function: Any) -> bool:
        return bool(MOVED.search(function._schema.name))

    class Jitter(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            if is_moved(function):
                if function._schema.name == "aten::mean":
                    moved(out, args[0].numel() // max(out.numel(), 1))
                else:
                    for x in out if isinstance(out, (tuple, list)) else [out]:
                        moved(x)
            return out

        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            return False  # to be skipped takes longer, at every operation, than all that is done

        @classmethod
        def is_infra_mode(cls) -> bool:
            return True  # torch.compile and torch.export go on as if it were not there

    return Jitter


def jitter_torch(seed: int, torch: ModuleType) -> None:
    """Enter the mode in this thread, and in every one that starts from here on."""
    mode = torch_mode(seed)
    start = threading.Thread.start

    def jittered_start(thread: threading.Thread) -> None:
        run = thread.run

        def jittered_run() -> None:
            with mode():
                run()

        thread.run = jittered_run
        start(thread)

    threading.Thread.start = jittered_start
    mode().__enter__()


def jitter_numpy(seed: int, numpy: ModuleType) -> None:
    """Wrap the functions that compute sums, products and solves."""
    mover, methods = Mover(seed), numpy._core._methods

    def moved(x: Any, count: int = 0) -> Any:
        if isinstance(x, tuple):
            values = [moved(y) for y in x]
            return type(x)(*values) if hasattr(x, "_fields") else tuple(values)
        if not isinstance(x, numpy.ndarray | numpy.generic) or x.dtype.name not in FORMATS:
            return x
        integer, digits = FORMATS[x.dtype.name]
        new = numpy.array(x)
        mover.move(new.view(integer), digits)
        new = numpy.where(is_share(x, count, digits), x, new) if count else new
        return new if isinstance(x, numpy.ndarray) else new[()]

    def wrap(module: ModuleType, name: str, is_mean: bool = False) -> None:
        function = getattr(module, name)

        @functools.wraps(function)
        def jittered(*args, **kwargs):
            out = function(*args, **kwargs)
            if kwargs.get("out") is not None:
                return out
            return moved(out, numpy.size(args[0]) // max(numpy.size(out), 1) if is_mean else 0)

        setattr(module, name, jittered)

    wrap(methods, "_mean", is_mean=True)  # what np.mean(x) and x.mean() come to
    for module, names in (
        (methods, ("_std", "_var", "_sum")),  # _sum is x.sum() only
        (numpy, NUMPY.split()),
        (numpy.linalg, [name for name in numpy.linalg.__all__ if name != "LinAlgError"]),
    ):
        for name in names:
            wrap(module, name)


class AfterImport(MetaPathFinder):
    """Calls a function with a module, as soon as that has been imported."""

    def __init__(self, wanted: dict[str, Callable[[ModuleType], None]]) -> None:
        self.wanted = wanted

    def find_spec(self, name, path=None, target=None):
        if name not in self.wanted:
            return None
        then = self.wanted.pop(name)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            load = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                load(module)
                then(module)

            spec.loader.exec_module = exec_module
        return spec


def jitter(seed: int) -> None:
    """Move the last digits of torch and numpy, now or once they are imported."""
    wanted = {}
    for name, then in {"torch": jitter_torch, "numpy": jitter_numpy}.items():
        if name in sys.modules:
            then(seed, sys.modules[name])
        else:
            wanted[name] = functools.partial(then, seed)
    sys.meta_path.insert(0, AfterImport(wanted))
