"""A plain Llama whose scaling is a table: RMSNorm, SwiGLU, RoPE, causal.

The scheme (`umup_diag.scaling.schemes`) gives every number and the set of ops; nothing here asks
which scheme it is.

Shapes: B batch, T time, D width, F FFN hidden, H heads, K head dimension, V vocabulary.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

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
from umup_diag.scaling.schemes import UMUP, Scales, Scheme


@dataclass(frozen=True, slots=True, kw_only=True)
class HyperParameters:
    """The transferable hyperparameters of µP and u-µP (Table 1), by the names of the final paper.

    Attributes:
        alpha_residual: scale of the residual contributions over the embedding's.
        alpha_residual_attn_ratio: scale of attention's contributions over the FFN's.
        alpha_ffn_act: multiplies the gate before its sigmoid.
        alpha_attn_softmax: multiplies the attention logits.
        alpha_loss_softmax: multiplies the logits before the loss.
        alpha_emb: multiplies the embedding's output; µP only.
        sigma_init: multiplies the initial standard deviation of every matrix; µP only.
        eta_emb: multiplies the embedding's learning rate, η̂_emb.
        tau: a branch's share of the stream's variance; µnit Scaling only.
        residual_meaning: what `alpha_residual` counts.
    """

    alpha_residual: float = 1.0
    alpha_residual_attn_ratio: float = 1.0
    alpha_ffn_act: float = 1.0
    alpha_attn_softmax: float = 1.0
    alpha_loss_softmax: float = 1.0
    alpha_emb: float = 1.0
    sigma_init: float = 1.0
    eta_emb: float = 1.0
    tau: float = 0.4
    residual_meaning: ResidualMeaning = ResidualMeaning.TOTAL


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaConfig:
    """Shape, scheme and hyperparameters of a model.

    Attributes:
        width: of the residual stream.
        depth: transformer layers.
        head_dim: dimension of a head.
        vocab: size of the vocabulary.
        kv_repeat: query heads that share one head of keys and values.
        gains: whether norms have trainable gains.
        biases: whether hidden linears have biases.
        tied: whether the readout's weight is the embedding's.
        zero_readout: whether the readout starts at zero.
        scheme: the parametrization.
        hyperparameters: the α's.
    """

    width: int
    depth: int = 2
    head_dim: int = 64
    vocab: int = 256
    kv_repeat: int = 1
    gains: bool = False
    biases: bool = False
    tied: bool = False
    zero_readout: bool = False
    scheme: Scheme = UMUP
    hyperparameters: HyperParameters = field(default_factory=HyperParameters)

    def __post_init__(self) -> None:
        if self.width < 1 or self.width % self.head_dim:
            raise ValueError(
                f"width {self.width} is not a multiple of the head size {self.head_dim}"
            )
        heads = self.width // self.head_dim
        if self.kv_repeat < 1 or heads % self.kv_repeat:
            raise ValueError(f"kv_repeat {self.kv_repeat} does not divide the {heads} heads")
        if self.depth < 1:
            raise ValueError(f"depth {self.depth} is less than 1")
        if self.tied and self.zero_readout:
            raise ValueError("a readout that is tied to the embedding cannot start at zero")

    def scales(self, role: Role, *, fan_in: int, fan_out: int, in_block: bool = True) -> Scales:
        """What the scheme asks of a parameter of this model."""
        return self.scheme.scales(
            role,
            fan_in=fan_in,
            fan_out=fan_out,
            width=self.width,
            layers=self.depth,
            in_block=in_block,
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
            branch=self.scheme.branch,
            tau=hp.tau,
            alpha=hp.alpha_residual,
            attn_ratio=hp.alpha_residual_attn_ratio,
            meaning=hp.residual_meaning,
        )
        return RESIDUAL_RULES[self.scheme.residual](shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """A parameter with what the scheme asks of it."""

    parameter: Tensor
    role: Role
    scales: Scales


class HasOps:
    """A module that looks its ops up by name, so that it can be copied and pickled."""

    op_set: str

    @property
    def ops(self) -> Ops:
        """The ops of the model's scheme."""
        return OPS[self.op_set]


class Linear(nn.Linear, HasOps):
    """A linear of a given role, initialised and multiplied as the scheme says."""

    role = Role.HIDDEN

    def __init__(
        self, fan_in: int, fan_out: int, config: LlamaConfig, *, bias: bool | None = None
    ) -> None:
        self.op_set, self.sigma = config.scheme.ops, config.hyperparameters.sigma_init
        in_block = self.role is Role.HIDDEN
        self.scales = config.scales(self.role, fan_in=fan_in, fan_out=fan_out, in_block=in_block)
        self.bias_scales = config.scales(Role.VECTOR, fan_in=1, fan_out=fan_out)
        super().__init__(fan_in, fan_out, bias=config.biases if bias is None else bias)

    def reset_parameters(self) -> None:
        """Draw the weight from N(0, (σ_init · init_std)²); a bias starts at 0."""
        nn.init.normal_(self.weight, std=self.scales.init_std * self.sigma)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(…, fan-in) → (…, fan-out)."""
        out = self.ops.linear(x, self.weight, multiplier=self.scales.multiplier)
        return out if self.bias is None else self.ops.shift(out, self.bias)

    def scaled(self) -> Iterator[Scaled]:
        """The weight, and the bias if there is one."""
        yield Scaled(parameter=self.weight, role=self.role, scales=self.scales)
        if self.bias is not None:
            yield Scaled(parameter=self.bias, role=Role.VECTOR, scales=self.bias_scales)


class Readout(Linear):
    """The head."""

    role = Role.OUTPUT

    def __init__(self, config: LlamaConfig, embedding: "Embedding") -> None:
        self.is_zero = config.zero_readout
        super().__init__(config.width, config.vocab, config, bias=False)
        if config.tied:
            self.weight = embedding.weight
            # A weight that starts at the embedding's scale is multiplied by that much less.
            multiplier = self.scales.multiplier * self.scales.init_std / embedding.scales.init_std
            self.scales = replace(embedding.scales, multiplier=multiplier)

    def reset_parameters(self) -> None:
        """As any linear's, or at zero."""
        super().reset_parameters()
        if self.is_zero:
            nn.init.zeros_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(…, D) → (…, V)."""
        return self.ops.readout(x, self.weight, multiplier=self.scales.multiplier)


class Embedding(nn.Embedding, HasOps):
    """The token embedding."""

    role = Role.INPUT

    def __init__(self, config: LlamaConfig) -> None:
        hp = config.hyperparameters
        self.op_set, self.sigma, self.alpha = config.scheme.ops, hp.sigma_init, hp.alpha_emb
        scales = config.scales(self.role, fan_in=config.vocab, fan_out=config.width, in_block=False)
        lr = {rule: factor * hp.eta_emb for rule, factor in scales.lr.items()}
        self.scales = replace(scales, lr=lr)
        super().__init__(config.vocab, config.width)

    def reset_parameters(self) -> None:
        """Draw the weight from N(0, (σ_init · init_std)²)."""
        nn.init.normal_(self.weight, std=self.scales.init_std * self.sigma)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """(B, T) → (B, T, D)."""
        x_BTD = self.ops.embedding(tokens_BT, self.weight)
        return x_BTD if self.alpha == 1.0 else x_BTD * self.alpha

    def scaled(self) -> Iterator[Scaled]:
        """The table."""
        yield Scaled(parameter=self.weight, role=self.role, scales=self.scales)


class Norm(nn.Module, HasOps):
    """RMSNorm over the last dimension."""

    def __init__(self, config: LlamaConfig, *, in_block: bool) -> None:
        super().__init__()
        self.op_set = config.scheme.ops
        self.scales = config.scales(Role.VECTOR, fan_in=1, fan_out=config.width, in_block=in_block)
        self.gain = nn.Parameter(torch.ones(config.width)) if config.gains else None

    def forward(self, x: Tensor) -> Tensor:
        """(…, D) → (…, D)."""
        x = F.rms_norm(x, x.shape[-1:])
        return x if self.gain is None else self.ops.gain(x, self.gain)

    def scaled(self) -> Iterator[Scaled]:
        """The gain, if it is trainable."""
        if self.gain is not None:
            yield Scaled(parameter=self.gain, role=Role.VECTOR, scales=self.scales)


def rotate(x_BHTK: Tensor) -> Tensor:
    """Rotary position embedding (Su et al. 2024), halves rotated against each other."""
    *_, T, K = x_BHTK.shape
    frequency = 10000.0 ** (-torch.arange(0, K, 2, device=x_BHTK.device) / K)
    angle = torch.outer(torch.arange(T, device=x_BHTK.device), frequency)
    cos, sin = angle.cos().to(x_BHTK.dtype), angle.sin().to(x_BHTK.dtype)
    first, second = x_BHTK.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Attention(nn.Module, HasOps):
    """Causal self-attention."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.op_set, self.head_dim = config.scheme.ops, config.head_dim
        alpha = config.hyperparameters.alpha_attn_softmax
        self.multiplier = alpha * config.head_dim**config.scheme.head_dim
        self.q = Linear(config.width, config.width, config)
        self.kv_repeat = config.kv_repeat
        self.k = Linear(config.width, config.width // config.kv_repeat, config)
        self.v = Linear(config.width, config.width // config.kv_repeat, config)
        self.out = Linear(config.width, config.width, config)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        q, k, v = (
            projection(x_BTD).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for projection in (self.q, self.k, self.v)
        )
        if self.kv_repeat > 1:
            k, v = (x.repeat_interleave(self.kv_repeat, dim=1) for x in (k, v))
        heads_BHTK = self.ops.attention(rotate(q), rotate(k), v, multiplier=self.multiplier)
        out_BTD: Tensor = self.out(heads_BHTK.transpose(1, 2).flatten(-2))
        return out_BTD


class FeedForward(nn.Module, HasOps):
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


class Layer(nn.Module, HasOps):
    """Attention and FFN, each as stream ← branch · f(norm(stream)) + skip · stream.

    Where the scheme normalises a branch's output, norm(f(stream)) takes the place of f(norm(…)).
    """

    def __init__(
        self, attention: ResidualWeights, ffn: ResidualWeights, config: LlamaConfig
    ) -> None:
        super().__init__()
        self.op_set, self.weights = config.scheme.ops, (attention, ffn)
        self.is_post = config.scheme.norm == "res_post"
        self.attention_norm = Norm(config, in_block=True)
        self.attention = Attention(config)
        self.ffn_norm = Norm(config, in_block=True)
        self.ffn = FeedForward(config)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        parts = ((self.attention_norm, self.attention), (self.ffn_norm, self.ffn))
        for (norm, inner), w in zip(parts, self.weights, strict=True):
            residual, stream = self.ops.residual_split(x_BTD, branch=w.branch, skip=w.skip)
            residual = norm(inner(residual)) if self.is_post else inner(norm(residual))
            x_BTD = self.ops.residual_add(residual, stream, branch=w.branch, skip=w.skip)
        return x_BTD


class Llama(nn.Module, HasOps):
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
        self.norm = Norm(config, in_block=False)
        self.head = Readout(config, self.embedding)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """(B, T) → (B, T, V)."""
        x_BTD: Tensor = self.embedding(tokens_BT)
        for layer in self.layers:
            x_BTD = layer(x_BTD)
        logits_BTV: Tensor = self.head(self.norm(x_BTD))
        return logits_BTV

    def loss(self, tokens_BT: Tensor) -> Tensor:
        """Mean next-token cross-entropy over a (B, T + 1) batch, in nats."""
        logits_BTV: Tensor = self(tokens_BT[:, :-1])
        return self.ops.cross_entropy(
            logits_BTV.flatten(0, 1),
            tokens_BT[:, 1:].flatten(),
            alpha=self.config.hyperparameters.alpha_loss_softmax,
        )

    def scaled(self) -> Iterator[Scaled]:
        """Every parameter once, with what the scheme asks of it."""
        seen = set()
        for module in self.modules():
            if isinstance(module, Linear | Embedding | Norm):
                for each in module.scaled():
                    if each.parameter not in seen:
                        seen.add(each.parameter)
                        yield each
