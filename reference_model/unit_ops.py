"""The unit-scaled ops of a u-µP Llama: unit RMS in gives unit RMS out, and back.

Each op is torch's, times a factor forward and a factor backward (the u-µP paper, Table 4 and
appendices A.4 and B). Factors are applied after a matmul in the forward and in the backward pass,
so that what a matmul would cast to FP8 is the unit-scaled tensor. Where forward and backward ideals
differ inside the network, the forward one is used for both. Checked against the unit-scaling
library, forward and backward (`tests/reference_model/test_unit_ops.py`).

Shapes: B batch, T time, H heads, K head dimension, V vocabulary.
"""

from math import exp, log, sqrt

import torch.nn.functional as F
from torch import Tensor

from reference_model.scale import scale


def log_interpolate(weight: float, upper: float, lower: float) -> float:
    """From `lower` at weight 0 to `upper` at weight 1, on a logarithmic scale (appendix B)."""
    return exp(weight * log(upper) + (1 - weight) * log(lower))


def attention_scale(*, seq_len: int, head_dim: int, alpha: float) -> float:
    """RMS of causal attention's output for unit-normal inputs: an empirical law (Table 4).

    A single position attends to itself, so there it is 1 and not the law's 0.
    """
    if seq_len == 1:
        return 1.0
    one_hot = 1 / (1 + 4 * head_dim / alpha**2)
    return log_interpolate(one_hot, 1.0, sqrt(log(seq_len) / seq_len))


def gated_silu_scale(*, alpha: float) -> float:
    """RMS of the gated SiLU's output for unit-normal inputs: an empirical law (Table 4)."""
    return log_interpolate(1 / (1 + 1 / alpha**2), 1 / sqrt(2), 1 / 2)


def _tokens(x: Tensor) -> int:
    """Over how many rows a weight's gradient is summed."""
    return x.numel() // x.shape[-1]


def embedding(tokens_BT: Tensor, weight: Tensor) -> Tensor:
    """Rows of `weight` (V, D) picked by tokens; a row's gradient sums tokens/V of them."""
    weight = scale(weight, backward=(weight.shape[0] / tokens_BT.numel()) ** 0.5)
    return F.embedding(tokens_BT, weight)


def linear(x: Tensor, weight: Tensor, *, multiplier: float) -> Tensor:
    """multiplier · x Wᵀ; the same factor on the input's gradient, 1/√tokens on the weight's."""
    x = scale(x, backward=multiplier)
    weight = scale(weight, backward=_tokens(x) ** -0.5)
    return scale(F.linear(x, weight), forward=multiplier)


def readout(x: Tensor, weight: Tensor, *, multiplier: float) -> Tensor:
    """multiplier · x Wᵀ, with 1/√fan-out on the input's gradient whatever the multiplier.

    µP wants 1/fan-in forward, which would leave every gradient in the trunk below unit scale. The
    paper (A.4) prints 1/√fan-in for the way back; that is unit scale only where the vocabulary is
    as large as the width. Both official codebases use 1/√fan-out, and so does this.
    """
    x = scale(x, backward=weight.shape[0] ** -0.5)
    weight = scale(weight, backward=_tokens(x) ** -0.5)
    return scale(F.linear(x, weight), forward=multiplier)


def shift(x: Tensor, bias: Tensor) -> Tensor:
    """x plus `bias` along the last dimension; a bias's gradient sums over all tokens."""
    return x + scale(bias, backward=_tokens(x) ** -0.5)


def gain(x: Tensor, weight: Tensor) -> Tensor:
    """x times `weight` along the last dimension; a gain's gradient sums over all tokens."""
    return x * scale(weight, backward=_tokens(x) ** -0.5)


def attention(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, *, multiplier: float) -> Tensor:
    """Causal softmax(multiplier · q kᵀ) v over its scale at init, forward and backward.

    The scale is the paper's law, which holds for a multiplier α/d_head. It makes the output and the
    values' gradient unit; the gradients of queries and keys stay well below (0.1 to 0.2 at usual
    sizes), which the paper does not say.
    """
    *_, seq_len, head_dim = q_BHTK.shape
    sigma = attention_scale(seq_len=seq_len, head_dim=head_dim, alpha=multiplier * head_dim)
    out = F.scaled_dot_product_attention(
        scale(q_BHTK, backward=1 / sigma),
        scale(k_BHTK, backward=1 / sigma),
        scale(v_BHTK, backward=1 / sigma),
        is_causal=True,
        scale=multiplier,
    )
    return scale(out, forward=1 / sigma)


def gated_silu(x: Tensor, gate: Tensor, *, alpha: float) -> Tensor:
    """x ⊙ gate ⊙ sigmoid(alpha · gate) over its scale at init, forward and backward."""
    sigma = gated_silu_scale(alpha=alpha)
    x, gate = scale(x, backward=1 / sigma), scale(gate, backward=1 / sigma)
    return scale(x * gate * (gate * alpha).sigmoid(), forward=1 / sigma)


def residual_split(stream: Tensor, *, branch: float, skip: float) -> tuple[Tensor, Tensor]:
    """The stream twice, each way's weight applied here in the backward pass (C, D.1.2).

    Delaying a branch's weight to its base keeps the gradients inside the branch at unit scale.
    """
    return scale(stream, backward=branch), scale(stream, backward=skip)


def residual_add(residual: Tensor, stream: Tensor, *, branch: float, skip: float) -> Tensor:
    """branch · residual + skip · stream, gradients passed on unweighted: see `residual_split`."""
    return scale(residual, forward=branch) + scale(stream, forward=skip)


def cross_entropy(logits: Tensor, targets: Tensor, *, alpha: float) -> Tensor:
    """Mean cross-entropy of alpha · logits (tokens, V), with unit gradient towards the logits.

    At init each token's gradient is softmax − one-hot, of RMS √(V−1)/V; neither the mean over
    tokens nor alpha is allowed to change that.
    """
    tokens, vocab = logits.shape
    sigma = sqrt(vocab - 1) / vocab
    logits = scale(logits, forward=alpha, backward=1 / sigma)
    return scale(F.cross_entropy(logits, targets, reduction="sum"), forward=1 / tokens)
