"""Models of text: OLMo 2, Transformer-XL, a tied minGRU, an LSTM by hand, a tagger, gMLP."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.last.data import TAGS, corrupted_bytes, tagged_words
from benchmarks.verdicts.layers import Embedding, LayerNorm, Linear, RMSNorm
from benchmarks.verdicts.recipe import Family
from benchmarks.verdicts.sequence_layers import (
    HEAD_DIM,
    SMALL_HEAD,
    VOCABULARY,
    GatedFFN,
    attend,
    heads,
    rotated,
)


class OlmoLayer(nn.Module):
    """Norms behind each branch and over all queries and keys; each head has its temperature."""

    branch = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = HEAD_DIM**-0.5
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (
            Linear(width, width, bias=False) for _ in range(4)
        )
        self.q_norm, self.k_norm = RMSNorm(width), RMSNorm(width)
        self.temperature = nn.Parameter(torch.ones(width // HEAD_DIM))
        self.mlp = GatedFFN(width)
        self.post_attention_norm, self.post_mlp_norm = RMSNorm(width), RMSNorm(width)

    def attend(self, x: Tensor) -> Tensor:
        """Causal, with rotary positions."""
        q = rotated(heads(self.q_norm(self.q_proj(x)))) * self.temperature[:, None, None]
        k, v = rotated(heads(self.k_norm(self.k_proj(x)))), heads(self.v_proj(x))
        y: Tensor = self.o_proj(attend(q, k, v, scale=self.scale, causal=True))
        return y

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        x = x + self.branch * self.post_attention_norm(self.attend(x))
        result: Tensor = x + self.branch * self.post_mlp_norm(self.mlp(x))
        return result


class Olmo(nn.Module):
    """(B, T) tokens to (B, T, V) logits."""

    input_multiplier = output_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.embed_tokens = Embedding(VOCABULARY, width)
        self.layers = nn.Sequential(OlmoLayer(width), OlmoLayer(width))
        self.norm = RMSNorm(width)
        self.lm_head = Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits."""
        x = self.norm(self.layers(self.embed_tokens(tokens)))
        logits: Tensor = self.lm_head(x * self.input_multiplier)
        return logits * self.output_multiplier


class MemoryLayer(nn.Module):
    """Post-norm attention over a remembered segment too, by content and by distance."""

    branch = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale, count = HEAD_DIM**-0.5, width // HEAD_DIM
        self.q_net, self.kv_net = Linear(width, width, bias=False), Linear(width, 2 * width)
        self.r_net, self.o_net = Linear(12, width, bias=False), Linear(width, width, bias=False)
        self.content_bias, self.distance_bias = (
            nn.Parameter(torch.zeros(count, HEAD_DIM)) for _ in range(2)
        )
        self.attention_norm, self.ff_norm = LayerNorm(width), LayerNorm(width)
        self.ff_1, self.ff_2 = Linear(width, 2 * width), Linear(2 * width, width)

    def attend(self, x: Tensor, memory: Tensor) -> Tensor:
        """(B, T, D) tokens over (B, M, D) remembered and themselves."""
        seen = torch.cat([memory, x], 1)
        q = heads(self.q_net(x))
        k, v = (heads(part) for part in self.kv_net(seen).chunk(2, -1))
        place = torch.arange(seen.shape[1])
        age = place[memory.shape[1] :, None] - place
        octave = 2.0 ** -torch.arange(6)
        angle = age.clamp(min=0).unsqueeze(-1) * octave
        far = self.r_net(torch.cat([angle.sin(), angle.cos()], -1)).unflatten(-1, (-1, HEAD_DIM))
        by_content = (q + self.content_bias.unsqueeze(1)) @ k.mT
        by_distance = torch.einsum("bhtd,tshd->bhts", q + self.distance_bias.unsqueeze(1), far)
        logits = (by_content + by_distance) * self.scale
        mixed = logits.masked_fill(age < 0, float("-inf")).softmax(-1) @ v
        y: Tensor = self.o_net(mixed.transpose(1, 2).flatten(2))
        return y

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """Shape of the tokens stays."""
        x = self.attention_norm(x + self.branch * self.attend(x, memory))
        y = self.ff_2(F.relu(self.ff_1(x)))
        result: Tensor = self.ff_norm(x + self.branch * y)
        return result


class TransformerXL(nn.Module):
    """(B, T) tokens in two segments, of which the second remembers the first, to logits."""

    input_multiplier = loss_multiplier = 1.0
    SEGMENT = 4

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.word_emb = Embedding(VOCABULARY, width)
        self.layers = nn.ModuleList([MemoryLayer(width), MemoryLayer(width)])
        self.out_layer = Linear(width, VOCABULARY)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits."""
        memories, out = [tokens.new_zeros(len(tokens), 0, self.width).float()] * 2, []
        for segment in tokens.split(self.SEGMENT, 1):
            x, new = self.word_emb(segment), []
            for layer, memory in zip(self.layers, memories, strict=True):
                new.append(x.detach())
                x = layer(x, memory)
            memories = new
            out.append(x)
        logits: Tensor = self.out_layer(torch.cat(out, 1) * self.input_multiplier)
        return logits


class MinGRULayer(nn.Module):
    """Pre-norm: gates and candidates see the input alone, so that all steps are one scan."""

    branch = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = RMSNorm(width), RMSNorm(width)
        self.to_gate, self.to_new, self.to_out = (
            Linear(width, width, bias=False) for _ in range(3)
        )
        self.ffn = GatedFFN(width)

    def scan(self, x: Tensor) -> Tensor:
        """h_t = (1 − z_t) h_(t−1) + z_t n_t for all t at once, in logarithms."""
        gate = self.to_gate(x)
        kept = F.logsigmoid(-gate).cumsum(1)
        late = kept.unsqueeze(2) - kept.unsqueeze(1)
        future = torch.ones(late.shape[1:3], dtype=torch.bool).triu(1)
        fading = late.masked_fill(future[..., None], float("-inf")).exp()
        state = torch.einsum("btsd,bsd->btd", fading, gate.sigmoid() * self.to_new(x))
        y: Tensor = self.to_out(state)
        return y

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        x = x + self.branch * self.scan(self.norm_1(x))
        result: Tensor = x + self.branch * self.ffn(self.norm_2(x))
        return result


class MinGRU(nn.Module):
    """(B, T) tokens to (B, T, V) logits, read out with the embedding, over the width."""

    loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.readout = width, 16 / width
        self.embedding = Embedding(VOCABULARY, width)
        self.layers = nn.Sequential(MinGRULayer(width), MinGRULayer(width))
        self.norm = RMSNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits."""
        x = self.norm(self.layers(self.embedding(tokens)))
        return F.linear(x * self.readout, self.embedding.weight)


class HandLSTM(nn.Module):
    """(B, T) tokens to (B, T, V) logits by one LSTM written out, all of it bare parameters."""

    input_multiplier = output_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.embed = nn.Parameter(torch.empty(VOCABULARY, width))
        self.w_x, self.w_h = (nn.Parameter(torch.empty(width, 4 * width)) for _ in range(2))
        self.b = nn.Parameter(torch.zeros(4 * width))
        self.w_out = nn.Parameter(torch.empty(width, VOCABULARY))

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits."""
        states = []
        hidden = cell = self.embed.new_zeros(len(tokens), self.width)
        for x in self.embed[tokens].unbind(1):
            let_in, keep, new, out = (x @ self.w_x + hidden @ self.w_h + self.b).chunk(4, -1)
            cell = (keep + 1).sigmoid() * cell + let_in.sigmoid() * new.tanh()
            hidden = out.sigmoid() * cell.tanh()
            states.append(hidden)
        x = 2 * torch.stack(states, 1)
        return (x * self.input_multiplier) @ self.w_out * self.output_multiplier


class Tagger(nn.Module):
    """(B, T) words to (B, T, TAGS), by an LSTM in either direction."""

    input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.words = Embedding(VOCABULARY, width)
        self.lstm = nn.LSTM(width, width, batch_first=True, bidirectional=True)
        self.between, self.tags = Linear(2 * width, width), Linear(width, TAGS)

    def forward(self, words: Tensor) -> Tensor:
        """Logits."""
        x = torch.tanh(self.between(2 * self.lstm(self.words(words))[0]))
        logits: Tensor = self.tags(x * self.input_multiplier)
        return logits


def tag_loss(model: Tagger, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean cross-entropy of the tags."""
    words, tags = batch
    return F.cross_entropy((model(words) * model.loss_multiplier).flatten(0, 1), tags.flatten())


class SpatialGate(nn.Module):
    """Half of the channels gate the other half, mixed over positions by one matrix for all."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = LayerNorm(width)
        self.positions = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 8, 2D) to (B, 8, D)."""
        still, gate = x.chunk(2, -1)
        result: Tensor = still * (1 + self.positions(self.norm(gate).mT).mT)
        return result


class GMLPBlock(nn.Module):
    """Pre-norm, channels up, GELU, the spatial gate, channels down."""

    branch = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.proj_1 = LayerNorm(width), Linear(width, 2 * width)
        self.gate, self.proj_2 = SpatialGate(width), Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        y = self.proj_2(self.gate(F.gelu(self.proj_1(self.norm(x)))))
        result: Tensor = x + self.branch * y
        return result


class GMLP(nn.Module):
    """(B, 8) bytes with errors to (B, 8, V) logits of the right ones."""

    input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = Embedding(VOCABULARY, width)
        self.blocks = nn.Sequential(GMLPBlock(width), GMLPBlock(width))
        self.norm, self.head = LayerNorm(width), Linear(width, VOCABULARY)

    def forward(self, given: Tensor) -> Tensor:
        """Logits."""
        x = self.norm(self.blocks(self.embedding(given)))
        logits: Tensor = self.head(x * self.input_multiplier)
        return logits


def correction_loss(model: GMLP, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean cross-entropy of every byte."""
    given, clean = batch
    return F.cross_entropy((model(given) * model.loss_multiplier).flatten(0, 1), clean.flatten())


WIDTHS = (64, 128, 256, 512)
OLMO = Family(
    name="olmo",
    network=Olmo,
    widths=WIDTHS,
    base=64,
    sizes={"lm_head": 0.25},
    expected={"*.temperature": (-1.0, 1.0)},
    why="few temperatures, and the gradient of each is one sum of what is not aligned at init",
)
XL = Family(
    name="transformer-xl",
    network=TransformerXL,
    widths=WIDTHS,
    base=64,
    sizes={"out_layer": 0.25, "*.r_net": 2**0.5},
    layout={"*.content_bias": (0, ()), "*.distance_bias": (0, ())},
)
MIN_GRU = Family(name="min-gru", network=MinGRU, widths=WIDTHS, base=64, sizes={"embedding": 0.5})
HAND_LSTM = Family(
    name="hand-lstm",
    network=HandLSTM,
    widths=WIDTHS,
    base=64,
    sizes={"w_out": 0.25, "embed": VOCABULARY**0.5},
    layout={"w_*": (1, (0,)), "embed": (1, (0,))},
    places={"w_out": ("", "output_multiplier")},
)
TAGGER = Family(
    name="tagger",
    network=Tagger,
    loss=tag_loss,
    batches=tagged_words,
    widths=WIDTHS,
    base=64,
    sizes={"tags": 0.25},
    layout={"lstm.weight_*": (0, (1,))},
)
GMLP_FAMILY = Family(
    name="gmlp",
    network=GMLP,
    loss=correction_loss,
    batches=corrupted_bytes,
    widths=WIDTHS,
    base=64,
    sizes=SMALL_HEAD,
    expected={"*.gate.positions*": (-1.4, 0.3)},
    why="one matrix for all channels: its gradient is a sum over the width that is not aligned at "
    "init: n^-½ too small, twice under SGD",
)
