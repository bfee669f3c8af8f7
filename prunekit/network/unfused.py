"""Torch's own modules, computed layer by layer where they would call one fused kernel.

So every layer is seen and counted, and marks pass through attention. Nothing is switched globally:
other threads compute as before.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["Unfused", "attention"]


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
            func = attention
        return func(*args, **(kwargs or {}))


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`torch.nn.functional.scaled_dot_product_attention`, written out; arguments as there.

    Torch's own is a kernel even where it is made of plain operations: it takes masks in another
    form, and ends the process, without an exception, where no head is left.
    """
    if enable_gqa:
        key, value = (v.repeat_interleave(query.shape[-3] // v.shape[-3], -3) for v in (key, value))
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -torch.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    nowhere = (scores == -torch.inf).all(-1, keepdim=True)  # what may look at nothing hears nothing
    weights = scores.softmax(-1).masked_fill(nowhere, 0)
    return F.dropout(weights, dropout_p) @ value
