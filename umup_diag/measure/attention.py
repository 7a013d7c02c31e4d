"""Calls of ``scaled_dot_product_attention``, which no module hook sees: intercepted here alone."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from umup_diag.measure.backward import in_backward


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call, whichever way its arguments were written. H heads, S positions, K head dimension.

    Attributes:
        query: (…, H, S, K).
        key: (…, H, S', K), fewer heads under `enable_gqa`.
        value: (…, H, S', K').
        mask: boolean, or added to the logits; None for none.
        is_causal: whether the call masks later positions itself.
        multiplier: of q · kᵀ.
        enable_gqa: whether each head of `key` serves several of `query`.
        out: (…, H, S, K').
    """

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None
    is_causal: bool
    multiplier: float
    enable_gqa: bool
    out: Tensor

    @property
    def head_dim(self) -> int:
        """Of query and key."""
        return self.query.shape[-1]

    @torch.no_grad()
    def logits(self) -> Tensor:
        """What the softmax gets, without what is masked: flat."""
        key = self.key
        if self.enable_gqa:
            key = key.repeat_interleave(self.query.shape[-3] // key.shape[-3], dim=-3)
        logits = self.query @ key.transpose(-2, -1) * self.multiplier
        visible = torch.ones_like(logits, dtype=torch.bool)
        if self.is_causal:
            visible = visible.tril()
        if self.mask is not None:
            visible &= self.mask if self.mask.dtype == torch.bool else self.mask.isfinite()
        return logits[visible]


class AttentionCalls(TorchFunctionMode):
    """While active, hands every call to `see` once it has returned, unchanged by being watched.

    What activation checkpointing runs a second time, inside the backward pass, is not handed on.
    """

    def __init__(self, see: Callable[[Call], None]) -> None:
        super().__init__()
        self.see = see

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is F.scaled_dot_product_attention and not in_backward():
            self.see(call_of(out, *args, **(kwargs or {})))
        return out


def call_of(
    out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,  # noqa: ARG001
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Call:
    """The call, by the signature of the function that was called."""
    return Call(
        query=query,
        key=key,
        value=value,
        mask=attn_mask,
        is_causal=is_causal,
        multiplier=query.shape[-1] ** -0.5 if scale is None else scale,
        enable_gqa=enable_gqa,
        out=out,
    )
