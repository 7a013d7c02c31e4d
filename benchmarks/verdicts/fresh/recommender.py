"""A recommender of next items, whose table of items is also what they are scored with."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.fresh.data import ITEMS, purchases
from benchmarks.verdicts.layers import Embedding, LayerNorm, Linear
from benchmarks.verdicts.recipe import Family
from benchmarks.verdicts.sequence_layers import Attention


class PurchaseBlock(nn.Module):
    """Pre-norm causal attention and a FFN of the same width, as of SASRec."""

    branch = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention_norm = LayerNorm(width)
        self.attention = Attention(width, bias=False, causal=True)
        self.ffn_norm = LayerNorm(width)
        self.ffn_1, self.ffn_2 = Linear(width, width), Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        x = x + self.branch * self.attention(self.attention_norm(x))
        y = self.ffn_2(F.relu(self.ffn_1(self.ffn_norm(x))))
        result: Tensor = x + self.branch * y
        return result


class SASRec(nn.Module):
    """(B, T) items bought to (B, T, D) states; a score is a state times an item's row, over D."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.readout = width, 16 / width
        self.items, self.places = Embedding(ITEMS, width), Embedding(8, width)
        self.blocks = nn.Sequential(PurchaseBlock(width), PurchaseBlock(width))
        self.norm = LayerNorm(width)

    def forward(self, items: Tensor) -> Tensor:
        """States."""
        x = self.items(items) + self.places(torch.arange(items.shape[1]))
        states: Tensor = self.norm(self.blocks(x))
        return states

    def score(self, states: Tensor, items: Tensor) -> Tensor:
        """(B, T, D) states and (B, T) items to (B, T) log-odds."""
        odds: Tensor = (states * self.items(items)).sum(-1) * self.readout
        return odds


def purchase_loss(model: SASRec, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Mean binary cross-entropy of what was bought next and of something that was not."""
    items, bought, other = batch
    states = model(items)
    good, bad = model.score(states, bought), model.score(states, other)
    result: Tensor = F.softplus(-good).mean() + F.softplus(bad).mean()
    return result


RECOMMENDER = Family(
    name="recommender",
    network=SASRec,
    loss=purchase_loss,
    batches=purchases,
    widths=(64, 128, 256, 512),
    base=64,
    sizes={"items": 0.5, "places": 0.5},
)
