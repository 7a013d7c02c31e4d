"""The ops of a plain Llama, with autograd's own gradients.

Same names and signatures as `reference_model.unit_ops`; a scheme says which of the two a model
uses. Shapes: B batch, T time, H heads, K head dimension, V vocabulary.
"""

import torch.nn.functional as F
from torch import Tensor


def embedding(tokens_BT: Tensor, weight: Tensor) -> Tensor:
    """Rows of `weight` (V, D) picked by tokens."""
    return F.embedding(tokens_BT, weight)


def linear(x: Tensor, weight: Tensor, *, multiplier: float) -> Tensor:
    """multiplier · x Wᵀ, with `weight` (fan-out, fan-in)."""
    out = F.linear(x, weight)
    return out if multiplier == 1.0 else out * multiplier


readout = linear


def shift(x: Tensor, bias: Tensor) -> Tensor:
    """x plus `bias` along the last dimension."""
    return x + bias


def gain(x: Tensor, weight: Tensor) -> Tensor:
    """x times `weight` along the last dimension."""
    return x * weight


def attention(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, *, multiplier: float) -> Tensor:
    """Causal softmax(multiplier · q kᵀ) v."""
    return F.scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTK, is_causal=True, scale=multiplier)


def gated_silu(x: Tensor, gate: Tensor, *, alpha: float) -> Tensor:
    """x ⊙ gate ⊙ sigmoid(alpha · gate)."""
    return x * gate * (gate * alpha).sigmoid()


def residual_split(stream: Tensor, *, branch: float, skip: float) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    """The stream twice: into the branch and past it."""
    return stream, stream


def residual_add(residual: Tensor, stream: Tensor, *, branch: float, skip: float) -> Tensor:
    """branch · residual + skip · stream."""
    return residual * branch + stream * skip


def cross_entropy(logits: Tensor, targets: Tensor, *, alpha: float) -> Tensor:
    """Mean cross-entropy of alpha · logits (tokens, V) against targets (tokens,)."""
    return F.cross_entropy(logits * alpha, targets)
