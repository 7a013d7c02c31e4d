"""A plain Llama whose scaling is a table: pre-norm, RMSNorm, SwiGLU, RoPE, untied head, causal.

The scheme (`umup_diag.scaling.schemes`) gives every number and the set of ops; nothing here asks
which scheme it is.

Shapes: B batch, T time, D width, F FFN hidden, H heads, K head dimension, V vocabulary.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reference_model.ops import OPS, Ops
from reference_model.residual import (
    RESIDUAL_RULES,
    ResidualMeaning,
    ResidualShape,
    ResidualWeights,
)
from umup_diag.scaling.roles import Role
from umup_diag.scaling.schemes import UMUP, Scheme


@dataclass(frozen=True, slots=True, kw_only=True)
class HyperParameters:
    """The transferable hyperparameters of u-µP (Table 1), by the names of the final paper.

    Attributes:
        alpha_residual: scale of the residual contributions over the embedding's.
        alpha_residual_attn_ratio: scale of attention's contributions over the FFN's.
        alpha_ffn_act: multiplies the gate before its sigmoid.
        alpha_attn_softmax: multiplies the attention logits.
        alpha_loss_softmax: multiplies the logits before the loss.
        residual_meaning: what `alpha_residual` counts.
    """

    alpha_residual: float = 1.0
    alpha_residual_attn_ratio: float = 1.0
    alpha_ffn_act: float = 1.0
    alpha_attn_softmax: float = 1.0
    alpha_loss_softmax: float = 1.0
    residual_meaning: ResidualMeaning = ResidualMeaning.TOTAL


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaConfig:
    """Shape, scheme and hyperparameters of a model."""

    width: int
    depth: int = 2
    head_dim: int = 64
    vocab: int = 256
    scheme: Scheme = UMUP
    hyperparameters: HyperParameters = field(default_factory=HyperParameters)

    def __post_init__(self) -> None:
        if self.width < 1 or self.width % self.head_dim:
            raise ValueError(
                f"width {self.width} is not a multiple of the head size {self.head_dim}"
            )

    @property
    def ffn_hidden(self) -> int:
        """171/64 of the width: 8/3 to within 0.2 %, and the same ratio at every multiple of 64."""
        return round(self.width * 171 / 64)

    @property
    def residual_weights(self) -> list[ResidualWeights]:
        """The weights of each residual sub-layer, attention first."""
        hp = self.hyperparameters
        shape = ResidualShape(
            layers=self.depth,
            base_layers=self.scheme.base_depth,
            alpha=hp.alpha_residual,
            attn_ratio=hp.alpha_residual_attn_ratio,
            meaning=hp.residual_meaning,
        )
        return RESIDUAL_RULES[self.scheme.residual](shape)


class Scaled:
    """A module that looks its ops up by name, so that it can be copied and pickled."""

    op_set: str

    @property
    def ops(self) -> Ops:
        """The ops of the model's scheme."""
        return OPS[self.op_set]


class Linear(nn.Linear, Scaled):
    """A bias-free linear of a given role, initialised and multiplied as the scheme says."""

    role = Role.HIDDEN

    def __init__(self, fan_in: int, fan_out: int, config: LlamaConfig) -> None:
        self.op_set = config.scheme.ops
        self.scales = config.scheme.scales(
            self.role, fan_in=fan_in, fan_out=fan_out, width=config.width, layers=config.depth
        )
        super().__init__(fan_in, fan_out, bias=False)

    def reset_parameters(self) -> None:
        """Draw the weight from N(0, init_std²)."""
        nn.init.normal_(self.weight, std=self.scales.init_std)

    def forward(self, x: Tensor) -> Tensor:
        """(…, fan-in) → (…, fan-out)."""
        return self.ops.linear(x, self.weight, multiplier=self.scales.multiplier)


class Readout(Linear):
    """The untied head."""

    role = Role.OUTPUT

    def forward(self, x: Tensor) -> Tensor:
        """(…, D) → (…, V)."""
        return self.ops.readout(x, self.weight, multiplier=self.scales.multiplier)


class Embedding(nn.Embedding, Scaled):
    """The token embedding."""

    role = Role.INPUT

    def __init__(self, config: LlamaConfig) -> None:
        self.op_set = config.scheme.ops
        self.scales = config.scheme.scales(
            self.role,
            fan_in=config.vocab,
            fan_out=config.width,
            width=config.width,
            layers=config.depth,
        )
        super().__init__(config.vocab, config.width)

    def reset_parameters(self) -> None:
        """Draw the weight from N(0, init_std²)."""
        nn.init.normal_(self.weight, std=self.scales.init_std)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """(B, T) → (B, T, D)."""
        return self.ops.embedding(tokens_BT, self.weight)


def norm(x: Tensor) -> Tensor:
    """RMSNorm over the last dimension, without a trainable gain."""
    return F.rms_norm(x, x.shape[-1:])


def rotate(x_BHTK: Tensor) -> Tensor:
    """Rotary position embedding (Su et al. 2024), halves rotated against each other."""
    *_, T, K = x_BHTK.shape
    frequency = 10000.0 ** (-torch.arange(0, K, 2, device=x_BHTK.device) / K)
    angle = torch.outer(torch.arange(T, device=x_BHTK.device), frequency)
    cos, sin = angle.cos().to(x_BHTK.dtype), angle.sin().to(x_BHTK.dtype)
    first, second = x_BHTK.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Attention(nn.Module, Scaled):
    """Causal self-attention."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.op_set, self.head_dim = config.scheme.ops, config.head_dim
        alpha = config.hyperparameters.alpha_attn_softmax
        self.multiplier = alpha * config.head_dim**config.scheme.head_dim
        self.q = Linear(config.width, config.width, config)
        self.k = Linear(config.width, config.width, config)
        self.v = Linear(config.width, config.width, config)
        self.out = Linear(config.width, config.width, config)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        q, k, v = (
            projection(x_BTD).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for projection in (self.q, self.k, self.v)
        )
        heads_BHTK = self.ops.attention(rotate(q), rotate(k), v, multiplier=self.multiplier)
        out_BTD: Tensor = self.out(heads_BHTK.transpose(1, 2).flatten(-2))
        return out_BTD


class FeedForward(nn.Module, Scaled):
    """SwiGLU."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.op_set, self.alpha = config.scheme.ops, config.hyperparameters.alpha_ffn_act
        self.gate = Linear(config.width, config.ffn_hidden, config)
        self.up = Linear(config.width, config.ffn_hidden, config)
        self.down = Linear(config.ffn_hidden, config.width, config)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        hidden_BTF = self.ops.gated_silu(self.up(x_BTD), self.gate(x_BTD), alpha=self.alpha)
        out_BTD: Tensor = self.down(hidden_BTF)
        return out_BTD


class Layer(nn.Module, Scaled):
    """Attention and FFN, each as stream ← branch · f(norm(stream)) + skip · stream."""

    def __init__(
        self, attention: ResidualWeights, ffn: ResidualWeights, config: LlamaConfig
    ) -> None:
        super().__init__()
        self.op_set, self.weights = config.scheme.ops, (attention, ffn)
        self.attention = Attention(config)
        self.ffn = FeedForward(config)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        for inner, w in zip((self.attention, self.ffn), self.weights, strict=True):
            residual, stream = self.ops.residual_split(x_BTD, branch=w.branch, skip=w.skip)
            residual = inner(norm(residual))
            x_BTD = self.ops.residual_add(residual, stream, branch=w.branch, skip=w.skip)
        return x_BTD


class Llama(nn.Module, Scaled):
    """The whole model: tokens in, logits out."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.config, self.op_set = config, config.scheme.ops
        self.embedding = Embedding(config)
        weights = config.residual_weights
        self.layers = nn.ModuleList(
            Layer(attention, ffn, config)
            for attention, ffn in zip(weights[::2], weights[1::2], strict=True)
        )
        self.head = Readout(config.width, config.vocab, config)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """(B, T) → (B, T, V)."""
        x_BTD: Tensor = self.embedding(tokens_BT)
        for layer in self.layers:
            x_BTD = layer(x_BTD)
        logits_BTV: Tensor = self.head(norm(x_BTD))
        return logits_BTV

    def loss(self, tokens_BT: Tensor) -> Tensor:
        """Mean next-token cross-entropy over a (B, T + 1) batch, in nats."""
        logits_BTV: Tensor = self(tokens_BT[:, :-1])
        return self.ops.cross_entropy(
            logits_BTV.flatten(0, 1),
            tokens_BT[:, 1:].flatten(),
            alpha=self.config.hyperparameters.alpha_loss_softmax,
        )
