"""Torch's own modules, computed layer by layer where they would call one fused kernel.

So every layer is seen and counted, and marks pass through attention. Nothing is switched globally:
other threads compute as before.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

__all__ = ["Unfused"]


class Unfused(TorchFunctionMode):
    """A context without fused attention, and without that of encoder layers as a whole.

    `nn.MultiheadAttention` and `nn.TransformerEncoderLayer` leave their fast path where any mode
    is active; attention that is called as a function becomes two matrix products and a softmax.
    """

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if func is F.scaled_dot_product_attention:
            return torch.ops.aten._scaled_dot_product_attention_math(*args, **(kwargs or {}))[0]
        return func(*args, **(kwargs or {}))
