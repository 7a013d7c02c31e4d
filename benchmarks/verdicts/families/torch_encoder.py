"""torch's own `nn.TransformerEncoder`, used as it comes: bare fused projections, no multipliers."""

import torch
from torch import Tensor, nn

from benchmarks.verdicts.recipe import Family

VOCABULARY, HEAD_DIM, DEPTH = 256, 16, 2


class EncoderLM(nn.Module):
    """(B, T) tokens to (B, T, V) logits, with a causal mask; dropout stays off."""

    output_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(VOCABULARY, width)
        layer = nn.TransformerEncoderLayer(
            width, width // HEAD_DIM, 2 * width, 0.0, batch_first=True, norm_first=True
        )
        norm = nn.LayerNorm(width)
        self.encoder = nn.TransformerEncoder(layer, DEPTH, norm, enable_nested_tensor=False)
        self.head = nn.Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits."""
        future = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool).triu(1)
        logits: Tensor = self.head(self.encoder(self.embedding(tokens), mask=future))
        return logits * self.output_multiplier


FAMILY = Family(
    name="torch-encoder",
    network=EncoderLM,
    sizes={"head": 0.25},
    layout={"*.in_proj_weight": (0, (1,))},
    places={"head": ("", "output_multiplier")},
)
