"""Torch's own modules, computed layer by layer where they would call one fused kernel.

So every layer is seen and counted, and marks pass through attention. Nothing is switched globally:
other threads compute as before.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

__all__ = ["Unfused"]


class Unfused(TorchFunctionMode):
    """A context without fused attention, and without that of encoder layers as a whole.

    `nn.MultiheadAttention` and `nn.TransformerEncoderLayer` leave their fast path where any mode
    is active; attention that is called as a function becomes two matrix products and a softmax.
    """

    def __init__(self) -> None:
        super().__init__()
        self._attention = False

    def matters(self, model: nn.Module) -> bool:
        """Whether a pass of ``model`` inside has shown, or may show, anything fused."""
        return self._attention or any(isinstance(m, nn.MultiheadAttention) for m in model.modules())

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if func is F.scaled_dot_product_attention:
            self._attention = True
            return torch.ops.aten._scaled_dot_product_attention_math(*args, **(kwargs or {}))[0]
        return func(*args, **(kwargs or {}))
