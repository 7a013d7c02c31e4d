"""Models of text: BERT, Gemma, BLOOM, Griffin, sentence pairs, a convolutional tagger."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.fresh.data import (
    LABELS,
    MASK,
    RELATIONS,
    masked_tokens,
    sentence_pairs,
    tagged_tokens,
)
from benchmarks.verdicts.layers import Embedding, LayerNorm, Linear
from benchmarks.verdicts.recipe import Family
from benchmarks.verdicts.sequence_layers import (
    HEAD_DIM,
    SMALL_HEAD,
    VOCABULARY,
    Attention,
    Conv1d,
    GatedFFN,
    heads,
    rotated,
)


class BertLayer(nn.Module):
    """Post-norm attention and FFN with biases."""

    branch = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention, self.attention_norm = Attention(width), LayerNorm(width)
        self.intermediate, self.output = Linear(width, 2 * width), Linear(2 * width, width)
        self.output_norm = LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        x = self.attention_norm(x + self.branch * self.attention(x))
        y = self.output(F.gelu(self.intermediate(x)))
        result: Tensor = self.output_norm(x + self.branch * y)
        return result


class Bert(nn.Module):
    """Words, places and segments summed and normed; a transform before the decoder."""

    input_multiplier = output_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.words, self.places = Embedding(MASK + 1, width), Embedding(8, width)
        self.segments, self.norm = Embedding(2, width), LayerNorm(width)
        self.layers = nn.Sequential(BertLayer(width), BertLayer(width))
        self.transform, self.transform_norm = Linear(width, width), LayerNorm(width)
        self.decoder = Linear(width, VOCABULARY)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) tokens to (B, T, V) logits."""
        place = torch.arange(tokens.shape[1])
        x = self.words(tokens) + self.places(place) + self.segments((place > 3).long())
        x = self.layers(self.norm(x))
        x = self.transform_norm(F.gelu(self.transform(x)))
        logits: Tensor = self.decoder(x * self.input_multiplier)
        return logits


def masked_loss(model: Bert, batch: dict[str, Tensor]) -> Tensor:
    """Mean cross-entropy of the words that are hidden."""
    logits = model(batch["input_ids"]) * model.loss_multiplier
    return F.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), ignore_index=-100)


class PlusOneNorm(nn.Module):
    """Root-mean-square norm whose gain is one more than its parameter."""

    multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same."""
        return F.rms_norm(x, x.shape[-1:], 1 + self.gain, eps=1e-6) * self.multiplier


class GemmaLayer(nn.Module):
    """Norms before and after each branch, rotary positions, attention logits softly capped."""

    branch, CAP = 1.0, 50.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = HEAD_DIM**-0.5
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (
            Linear(width, width, bias=False) for _ in range(4)
        )
        self.mlp = GatedFFN(width)
        self.pre_attention, self.post_attention = PlusOneNorm(width), PlusOneNorm(width)
        self.pre_mlp, self.post_mlp = PlusOneNorm(width), PlusOneNorm(width)

    def attend(self, x: Tensor) -> Tensor:
        """Causal."""
        q, k, v = (heads(layer(x)) for layer in (self.q_proj, self.k_proj, self.v_proj))
        logits = rotated(q) @ rotated(k).mT * self.scale
        logits = self.CAP * torch.tanh(logits / self.CAP)
        future = torch.ones(logits.shape[-2:], dtype=torch.bool).triu(1)
        mixed = logits.masked_fill(future, float("-inf")).softmax(-1) @ v
        y: Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))
        return y

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        x = x + self.branch * self.post_attention(self.attend(self.pre_attention(x)))
        result: Tensor = x + self.branch * self.post_mlp(self.mlp(self.pre_mlp(x)))
        return result


class Gemma(nn.Module):
    """(B, T) tokens to (B, T, V) logits, softly capped."""

    input_multiplier = loss_multiplier = 1.0
    CAP = 30.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.embed_tokens = Embedding(VOCABULARY, width)
        self.layers = nn.Sequential(GemmaLayer(width), GemmaLayer(width))
        self.norm = PlusOneNorm(width)
        self.head = Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits."""
        x = self.norm(self.layers(self.embed_tokens(tokens)))
        logits = self.head(x * self.input_multiplier)
        return self.CAP * torch.tanh(logits / self.CAP)


class BloomBlock(nn.Module):
    """Pre-norm; queries, keys and values from one layer, head by head; distance lowers logits."""

    branch = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale, count = HEAD_DIM**-0.5, width // HEAD_DIM
        self.input_layernorm, self.post_layernorm = LayerNorm(width), LayerNorm(width)
        self.query_key_value, self.dense = Linear(width, 3 * width), Linear(width, width)
        self.h_to_4h, self.four_h_to_h = Linear(width, 4 * width), Linear(4 * width, width)
        self.register_buffer("slopes", 2 ** (-8 * (torch.arange(count) + 1) / count))

    def attend(self, x: Tensor) -> Tensor:
        """Causal."""
        fused = self.query_key_value(x).unflatten(-1, (-1, 3, HEAD_DIM)).transpose(1, 2)
        q, k, v = fused.unbind(-2)
        place = torch.arange(x.shape[1])
        age = (place[:, None] - place).float()
        bias = -self.slopes[:, None, None] * age  # type: ignore[index]
        logits = (q @ k.mT * self.scale + bias).masked_fill(age < 0, float("-inf"))
        y: Tensor = self.dense((logits.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return y

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        x = x + self.branch * self.attend(self.input_layernorm(x))
        y = self.four_h_to_h(F.gelu(self.h_to_4h(self.post_layernorm(x))))
        result: Tensor = x + self.branch * y
        return result


class Bloom(nn.Module):
    """A norm right behind the embedding; no positions but those of attention."""

    input_multiplier = output_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.word_embeddings, self.embedding_norm = Embedding(VOCABULARY, width), LayerNorm(width)
        self.h = nn.Sequential(BloomBlock(width), BloomBlock(width))
        self.ln_f = LayerNorm(width)
        self.head = Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) tokens to (B, T, V) logits."""
        x = self.ln_f(self.h(self.embedding_norm(self.word_embeddings(tokens))))
        logits: Tensor = self.head(x * self.input_multiplier)
        return logits * self.output_multiplier


class GatedRecurrence(nn.Module):
    """Griffin's: a short kernel a channel, then a state that gates let in and let fade."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_x, self.linear_y = Linear(width, width), Linear(width, width)
        self.conv = Conv1d(width, width, 4, groups=width)
        self.gate_a, self.gate_x = Linear(width, width), Linear(width, width)
        self.linear_out = Linear(width, width)
        self.fade = nn.Parameter(torch.linspace(-4.0, -1.0, width))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Shape stays."""
        beside = F.gelu(self.linear_y(x_BTD))
        x = self.conv(F.pad(self.linear_x(x_BTD).mT, (3, 0))).mT
        log_keep = -8 * F.softplus(self.fade) * self.gate_a(x).sigmoid()
        let_in = (1 - (2 * log_keep).exp()).sqrt() * self.gate_x(x).sigmoid() * x
        state, states = torch.zeros_like(x[:, 0]), []
        for keep, new in zip(log_keep.exp().unbind(1), let_in.unbind(1), strict=True):
            state = keep * state + new
            states.append(state)
        y: Tensor = self.linear_out(torch.stack(states, 1) * beside)
        return y


class GriffinBlock(nn.Module):
    """Pre-norm recurrence and gated FFN."""

    branch = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.temporal_norm, self.channel_norm = PlusOneNorm(width), PlusOneNorm(width)
        self.recurrence, self.mlp = GatedRecurrence(width), GatedFFN(width)

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        x = x + self.branch * self.recurrence(self.temporal_norm(x))
        result: Tensor = x + self.branch * self.mlp(self.channel_norm(x))
        return result


class Griffin(nn.Module):
    """(B, T) tokens to (B, T, V) logits."""

    input_multiplier = output_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedder = Embedding(VOCABULARY, width)
        self.blocks = nn.Sequential(GriffinBlock(width), GriffinBlock(width))
        self.final_norm = PlusOneNorm(width)
        self.head = Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits."""
        x = self.final_norm(self.blocks(self.embedder(tokens)))
        logits: Tensor = self.head(x * self.input_multiplier)
        return logits * self.output_multiplier


class SentencePair(nn.Module):
    """Two sentences by one encoder; both, their difference and product decide how they relate."""

    input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = Embedding(VOCABULARY, width)
        self.encode_1, self.encode_2 = Linear(width, width), Linear(width, width)
        self.compare = Linear(4 * width, width)
        self.head = Linear(width, RELATIONS)

    def encode(self, tokens: Tensor) -> Tensor:
        """(B, T) tokens to (B, D)."""
        x = torch.tanh(self.encode_1(self.embedding(tokens)))
        pooled: Tensor = torch.tanh(self.encode_2(x)).mean(1) * 2
        return pooled

    def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:
        """Logits of the relations."""
        u, v = self.encode(pair[0]), self.encode(pair[1])
        x = F.relu(self.compare(torch.cat([u, v, (u - v).abs(), u * v], -1)))
        logits: Tensor = self.head(x * self.input_multiplier)
        return logits


def pair_loss(model: SentencePair, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Mean cross-entropy of the relation."""
    first, second, relation = batch
    return F.cross_entropy(model((first, second)) * model.loss_multiplier, relation)


class TextCNN(nn.Module):
    """Kernels over two, three and four words, each one's largest value, then tags."""

    input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = Embedding(VOCABULARY, width)
        self.convs = nn.ModuleList(Conv1d(width, width, size) for size in (2, 3, 4))
        self.head = Linear(3 * width, LABELS)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) tokens to (B, LABELS) log-odds."""
        x = self.embedding(tokens).mT
        peaks = [F.relu(conv(x)).amax(-1) for conv in self.convs]
        odds: Tensor = self.head(torch.cat(peaks, -1) * self.input_multiplier)
        return odds


def tag_loss(model: TextCNN, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean binary cross-entropy of every tag."""
    tokens, tags = batch
    return F.binary_cross_entropy_with_logits(model(tokens) * model.loss_multiplier, tags)


WIDTHS = (64, 128, 256, 512)
BERT = Family(
    name="bert",
    network=Bert,
    loss=masked_loss,
    batches=masked_tokens,
    widths=WIDTHS,
    base=64,
    sizes={"decoder": 0.25},
    expected={"*.key.bias": (-9.0, 9.0)},
    why="softmax takes a key's bias away again: its gradient is rounding error",
)
GEMMA = Family(name="gemma", network=Gemma, widths=WIDTHS, base=64, sizes=SMALL_HEAD)
BLOOM = Family(name="bloom", network=Bloom, widths=WIDTHS, base=64, sizes=SMALL_HEAD)
GRIFFIN = Family(
    name="griffin",
    network=Griffin,
    widths=WIDTHS,
    base=64,
    sizes=SMALL_HEAD,
    rates={"momentum": 0.25},
    expected={"*.fade": (-0.25, 0.5)},
    why="the gradient of a channel's decay is a product of what several random layers bring: under "
    "SGD the mean of its square over few channels is most often too small",
)
SENTENCE_PAIR = Family(
    name="sentence-pair",
    network=SentencePair,
    loss=pair_loss,
    batches=sentence_pairs,
    widths=WIDTHS,
    base=64,
    sizes=SMALL_HEAD,
)
TEXT_CNN = Family(
    name="text-cnn",
    network=TextCNN,
    loss=tag_loss,
    batches=tagged_tokens,
    widths=WIDTHS,
    base=64,
    sizes=SMALL_HEAD,
)
