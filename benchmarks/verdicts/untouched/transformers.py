"""Transformers of kinds that the dev families lack: norms elsewhere, blocks, biases, low rank."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.data import FEATURES
from benchmarks.verdicts.layers import Embedding, LayerNorm, Linear, RMSNorm
from benchmarks.verdicts.recipe import Family
from benchmarks.verdicts.untouched.data import captioned_vectors
from benchmarks.verdicts.untouched.layers import (
    FFN,
    HEAD_DIM,
    VOCABULARY,
    Decoder,
    Residual,
    SelfAttention,
    attend,
    heads,
)

SMALL_HEAD = {"head": 0.25}
#: A gain shared by all heads sums, over more heads, what is not aligned at init.
UNALIGNED = (-1.6, 0.5)


class QKNormAttention(SelfAttention):
    """Queries and keys are normed in each head, with a gain that all heads share."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.q_norm, self.k_norm = RMSNorm(HEAD_DIM), RMSNorm(HEAD_DIM)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Shape stays."""
        q, k, v = (heads(layer(x_BTD)) for layer in (self.q, self.k, self.v))
        q, k = self.q_norm(q), self.k_norm(k)
        y: Tensor = self.out(attend(q, k, v, scale=self.scale, causal=True))
        return y


class PostNormBlock(nn.Module):
    """The norm comes after the sum, as in the first transformer."""

    branch = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = SelfAttention(width, bias=True)
        self.ffn = FFN(width, bias=True)
        self.norm_1, self.norm_2 = LayerNorm(width), LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        x = self.norm_1(x + self.branch * self.attention(x))
        result: Tensor = self.norm_2(x + self.branch * self.ffn(x))
        return result


class ParallelBlock(nn.Module):
    """Attention and FFN side by side from one norm and one fused projection."""

    branch = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = HEAD_DIM**-0.5
        self.norm = nn.LayerNorm(width, bias=False)
        self.into = Linear(width, 5 * width, bias=False)
        self.out = Linear(width, width, bias=False)
        self.down = Linear(2 * width, width, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Shape stays."""
        D = x_BTD.shape[-1]
        q, k, v, wide = self.into(self.norm(x_BTD)).split([D, D, D, 2 * D], dim=-1)
        mixed = attend(heads(q), heads(k), heads(v), scale=self.scale, causal=True)
        result: Tensor = x_BTD + self.branch * (self.out(mixed) + self.down(F.gelu(wide)))
        return result


class RelativeEncoder(nn.Module):
    """T5's encoder: a learned bias for each distance and head, shared by the layers; ReLU."""

    branch = output_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.scale = width, HEAD_DIM**-0.5
        self.embedding = Embedding(VOCABULARY, width)
        self.distances = Embedding(2 * 8 - 1, width // HEAD_DIM)
        self.norms = nn.ModuleList(RMSNorm(width) for _ in range(4))
        self.qkv = nn.ModuleList(Linear(width, 3 * width, bias=False) for _ in range(2))
        self.out = nn.ModuleList(Linear(width, width, bias=False) for _ in range(2))
        self.up = nn.ModuleList(Linear(width, 2 * width, bias=False) for _ in range(2))
        self.down = nn.ModuleList(Linear(2 * width, width, bias=False) for _ in range(2))
        self.norm = RMSNorm(width)
        self.head = Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) tokens to (B, T, V) logits; every position sees all others."""
        places = torch.arange(tokens.shape[1])
        distance = (places[:, None] - places).clamp(-7, 7) + 7
        bias = self.distances(distance).permute(2, 0, 1)
        x = self.embedding(tokens)
        for layer in range(2):
            q, k, v = (
                heads(part) for part in self.qkv[layer](self.norms[2 * layer](x)).chunk(3, dim=-1)
            )
            weights = (q @ k.mT * self.scale + bias).softmax(-1)
            x = x + self.branch * self.out[layer]((weights @ v).transpose(1, 2).flatten(2))
            wide = F.relu(self.up[layer](self.norms[2 * layer + 1](x)))
            x = x + self.branch * self.down[layer](wide)
        logits: Tensor = self.head(self.norm(x)) * self.output_multiplier
        return logits


class SandwichBlock(nn.Module):
    """A norm before and after each branch, and a learned scale for each channel of it."""

    branch = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before_1, self.after_1 = RMSNorm(width), RMSNorm(width)
        self.before_2, self.after_2 = RMSNorm(width), RMSNorm(width)
        self.attention, self.ffn = SelfAttention(width), FFN(width)
        self.scale_1 = nn.Parameter(torch.full((width,), 0.5))
        self.scale_2 = nn.Parameter(torch.full((width,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        x = x + self.branch * self.scale_1 * self.after_1(self.attention(self.before_1(x)))
        y = self.branch * self.scale_2 * self.after_2(self.ffn(self.before_2(x)))
        result: Tensor = x + y
        return result


class LatentAttention(nn.Module):
    """Queries, keys and values through normed latents of half the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale, rank = HEAD_DIM**-0.5, width // 2
        self.q_down, self.kv_down = (Linear(width, rank, bias=False) for _ in range(2))
        self.q_norm, self.kv_norm = RMSNorm(rank), RMSNorm(rank)
        self.q_up = Linear(rank, width, bias=False)
        self.kv_up = Linear(rank, 2 * width, bias=False)
        self.out = Linear(width, width, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Shape stays."""
        q = heads(self.q_up(self.q_norm(self.q_down(x_BTD))))
        k, v = self.kv_up(self.kv_norm(self.kv_down(x_BTD))).chunk(2, dim=-1)
        y: Tensor = self.out(attend(q, heads(k), heads(v), scale=self.scale, causal=True))
        return y


class Captioner(nn.Module):
    """torch's attention twice: over the tokens, and over context whose size does not grow."""

    branch = output_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(VOCABULARY, width)
        count = width // HEAD_DIM
        self.over_tokens = nn.MultiheadAttention(width, count, batch_first=True)
        self.over_context = nn.MultiheadAttention(
            width, count, kdim=FEATURES, vdim=FEATURES, batch_first=True
        )
        self.norm_1, self.norm_2, self.norm_3, self.norm = (nn.LayerNorm(width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.head = Linear(width, VOCABULARY, bias=False)

    def forward(self, context_BSF: Tensor, tokens: Tensor) -> Tensor:
        """(B, S, FEATURES) and (B, T) tokens to (B, T, V) logits."""
        x = self.embedding(tokens)
        future = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool).triu(1)
        h = self.norm_1(x)
        x = x + self.branch * self.over_tokens(h, h, h, attn_mask=future, need_weights=False)[0]
        h = self.norm_2(x)
        y, _ = self.over_context(h, context_BSF, context_BSF, need_weights=False)
        x = x + self.branch * y
        x = x + self.branch * self.down(F.gelu(self.up(self.norm_3(x))))
        logits: Tensor = self.head(self.norm(x)) * self.output_multiplier
        return logits


def caption_loss(model: Captioner, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean cross-entropy of each next token."""
    context, tokens = batch
    logits = model(context, tokens[:, :-1]) * model.loss_multiplier
    return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


class Adapted(nn.Module):
    """A layer that stays as it is, and a trained product of two thin matrices beside it."""

    RANK = 8

    def __init__(self, width: int) -> None:
        super().__init__()
        self.base = Linear(width, width, bias=False)
        self.a, self.b = Linear(width, self.RANK, bias=False), Linear(self.RANK, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        y: Tensor = self.base(x) + self.b(self.a(x))
        return y


class AdaptedAttention(SelfAttention):
    """LoRA on queries and values."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.q, self.v = Adapted(width), Adapted(width)  # type: ignore[assignment]


class DroppedOut(Residual):
    """Dropout at the end of each branch, with attention of biases."""

    def __init__(self, width: int) -> None:
        super().__init__(
            width,
            lambda n: nn.Sequential(SelfAttention(n, bias=True), nn.Dropout(0.1)),
            ffn=lambda n: nn.Sequential(FFN(n, bias=True), nn.Dropout(0.1)),
            norm=LayerNorm,
        )


def _family(name: str, block: type[nn.Module], **more: object) -> Family:
    norm = more.pop("norm", RMSNorm)
    fields: dict[str, object] = {"sizes": SMALL_HEAD, **more}
    return Family(name=name, network=partial(Decoder, block=block, norm=norm), **fields)  # type: ignore[arg-type]


QK_NORM = Family(
    name="qk-norm",
    network=partial(Decoder, block=partial(Residual, mix=QKNormAttention)),
    sizes=SMALL_HEAD,
    expected={"*.q_norm.weight": UNALIGNED, "*.k_norm.weight": UNALIGNED},
    why="gains that all heads share do not grow: their first gradient sums over more heads what is "
    "not aligned, and is n^-½ too small, once under Adam and twice under SGD",
)
KEY_BIAS = {"*.k.bias": (-9.0, 9.0)}
WHY_KEY_BIAS = "softmax takes a key's bias away again: its gradient is rounding error"
POST_NORM = _family(
    "post-norm",
    PostNormBlock,
    norm=lambda _: nn.Identity(),
    expected=KEY_BIAS,
    why=WHY_KEY_BIAS,
)
PARALLEL = _family("parallel", ParallelBlock, norm=nn.LayerNorm)
RELATIVE = Family(
    name="relative",
    network=RelativeEncoder,
    sizes={**SMALL_HEAD, "distances": 0.5},
)
SANDWICH = _family("sandwich", SandwichBlock)
LATENT = Family(
    name="latent",
    network=partial(Decoder, block=partial(Residual, mix=LatentAttention)),
    sizes=SMALL_HEAD,
)
CAPTIONER = Family(
    name="captioner",
    network=Captioner,
    loss=caption_loss,
    batches=captioned_vectors,
    sizes=SMALL_HEAD,
    layout={"*_proj_weight": (0, (1,))},
)
LORA = Family(
    name="lora",
    network=partial(Decoder, block=partial(Residual, mix=AdaptedAttention)),
    sizes={**SMALL_HEAD},
    frozen=("embedding", "head", "*norm*", "*.base", "*.k", "*.out", "*.up", "*.down"),
    expected={"*.a": (-0.8, 0.8)},
    why="the first thin matrix learns through what the second took from 32 tokens: noisy",
)
DROPOUT = Family(
    name="dropout",
    network=partial(Decoder, block=DroppedOut, norm=LayerNorm),
    sizes=SMALL_HEAD,
    expected=KEY_BIAS,
    why=WHY_KEY_BIAS,
)
