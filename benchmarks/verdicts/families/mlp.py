"""A classifier of vectors: ReLU, biases, a readout with a bias."""

import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.data import CLASSES, FEATURES, labelled_vectors
from benchmarks.verdicts.layers import Linear
from benchmarks.verdicts.recipe import Family, classification_loss


class MLP(nn.Module):
    """(B, FEATURES) to (B, CLASSES)."""

    input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.first = Linear(FEATURES, width)
        self.second = Linear(width, width)
        self.third = Linear(width, width)
        self.head = Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        for layer in (self.first, self.second, self.third):
            x = F.relu(layer(x))
        logits: Tensor = self.head(x * self.input_multiplier)
        return logits


FAMILY = Family(
    name="mlp",
    network=MLP,
    loss=classification_loss,
    batches=labelled_vectors,
    widths=(128, 256, 512, 1024),
    sizes={"first": 2**0.5, "second": 2**0.5, "third": 2**0.5, "head": 0.25},
)
