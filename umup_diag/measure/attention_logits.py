"""Attention logits, which no module hook sees: read off calls of scaled_dot_product_attention."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from umup_diag.measure.backward import in_backward


class AttentionLogits(TorchFunctionMode):
    """While active, hands the unmasked logits of every call to `see`; the call itself goes on."""

    def __init__(self, see: Callable[[Tensor, int], None]) -> None:
        """`see` takes the flat logits and the head dimension."""
        super().__init__()
        self.see = see

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is F.scaled_dot_product_attention and not in_backward():
            with torch.no_grad():
                logits, head_dim = _logits(*args, **(kwargs or {}))
                self.see(logits, head_dim)
        return func(*args, **(kwargs or {}))


def _logits(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> tuple[Tensor, int]:
    del value, dropout_p
    head_dim = query.shape[-1]
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], dim=-3)
    logits = query @ key.transpose(-2, -1) * (head_dim**-0.5 if scale is None else scale)
    visible = torch.ones_like(logits, dtype=torch.bool)
    if is_causal:
        visible = visible.tril()
    if attn_mask is not None:
        visible &= attn_mask if attn_mask.dtype == torch.bool else attn_mask.isfinite()
    return logits[visible], head_dim
