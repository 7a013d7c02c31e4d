"""Models that act, foresee and read tables: actor-critic, an ensemble, a tabular transformer."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.fresh.data import rollouts, tables, transitions
from benchmarks.verdicts.layers import LayerNorm, Linear
from benchmarks.verdicts.recipe import Family
from benchmarks.verdicts.sequence_layers import SMALL_HEAD, Attention


class ActorCritic(nn.Module):
    """(N, 24) observations to (N, 6) logits of actions and (N,) values, by one trunk."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.observe, self.shared = Linear(24, width), Linear(width, width)
        self.actor, self.critic = Linear(width, width), Linear(width, width)
        self.policy, self.value = Linear(width, 6), Linear(width, 1)

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and values."""
        x = torch.tanh(self.shared(torch.tanh(self.observe(observations))))
        logits = self.policy(torch.tanh(self.actor(x)))
        return logits, self.value(torch.tanh(self.critic(x))).squeeze(-1)


def advantage_loss(model: ActorCritic, batch: dict[str, Tensor]) -> Tensor:
    """Policy gradient, half the value's squared error, and a little less than entropy."""
    logits, values = model(batch["obs"])
    chances = logits.log_softmax(-1)
    chosen = chances.gather(1, batch["action"].unsqueeze(-1)).squeeze(-1)
    policy = -(batch["advantage"] * chosen).mean()
    value = F.mse_loss(values, batch["return"]) / 2
    entropy = -(chances.exp() * chances).sum(-1).mean()
    result: Tensor = policy + value - 0.01 * entropy
    return result


class Ensemble(nn.Module):
    """Five networks in stacked weights: states and actions to means and variances of changes."""

    MEMBERS = 5

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.output_multiplier = width, 1.0
        E = self.MEMBERS
        self.weight_0 = nn.Parameter(torch.empty(E, 10, width))
        self.weight_1, self.weight_2 = (
            nn.Parameter(torch.empty(E, width, width)) for _ in range(2)
        )
        self.weight_3 = nn.Parameter(torch.empty(E, width, 12))
        self.offset_0, self.offset_1, self.offset_2 = (
            nn.Parameter(torch.zeros(E, 1, width)) for _ in range(3)
        )
        self.offset_3 = nn.Parameter(torch.zeros(E, 1, 12))
        self.max_logvar = nn.Parameter(torch.full((1, 6), 0.5))
        self.min_logvar = nn.Parameter(torch.full((1, 6), -5.0))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(E, N, 10) to means and log-variances, (E, N, 6) each."""
        x = F.silu(torch.baddbmm(self.offset_0, x, self.weight_0))
        x = F.silu(torch.baddbmm(self.offset_1, x, self.weight_1))
        x = F.silu(torch.baddbmm(self.offset_2, x, self.weight_2))
        out = torch.bmm(x, self.weight_3) * self.output_multiplier + self.offset_3
        mean, logvar = out.chunk(2, -1)
        logvar = self.max_logvar - F.softplus(self.max_logvar - logvar)
        return mean, self.min_logvar + F.softplus(logvar - self.min_logvar)


def gaussian_loss(model: Ensemble, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Negative log-likelihood of a Gaussian, and a little for the bounds of its variance."""
    x, change = batch
    mean, logvar = model(x)
    likelihood = ((mean - change).square() * torch.exp(-logvar) + logvar).mean()
    bounds = model.max_logvar.sum() - model.min_logvar.sum()
    result: Tensor = likelihood + 0.01 * bounds
    return result


class TokenBlock(nn.Module):
    """Pre-norm attention over a row's features, and a FFN gated by ReLU."""

    branch = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention_norm, self.attention = LayerNorm(width), Attention(width)
        self.ffn_norm = LayerNorm(width)
        self.ffn_in, self.ffn_out = Linear(width, 2 * width), Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        x = x + self.branch * self.attention(self.attention_norm(x))
        wide, gate = self.ffn_in(self.ffn_norm(x)).chunk(2, -1)
        result: Tensor = x + self.branch * self.ffn_out(wide * F.relu(gate))
        return result


class TabularTransformer(nn.Module):
    """A token for each feature of a row, and one more from which three classes are read."""

    input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.numeric, self.numeric_offset = (nn.Parameter(torch.empty(6, width)) for _ in range(2))
        self.categories, self.row_token = (
            nn.Embedding(15, width),
            nn.Parameter(torch.empty(1, 1, width)),
        )
        self.blocks = nn.Sequential(TokenBlock(width), TokenBlock(width))
        self.norm, self.head = LayerNorm(width), Linear(width, 3)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """(N, 6) numbers and (N, 3) categories to (N, 3) logits."""
        tokens = [
            self.row_token.expand(len(numbers), -1, -1),
            numbers.unsqueeze(-1) * self.numeric + self.numeric_offset,
            self.categories(categories + 5 * torch.arange(3)),
        ]
        x = F.relu(self.norm(self.blocks(torch.cat(tokens, 1))[:, 0]))
        logits: Tensor = self.head(x * self.input_multiplier)
        return logits


def row_loss(model: TabularTransformer, batch: dict[str, Tensor]) -> Tensor:
    """Mean cross-entropy, a tenth smoothed."""
    logits = model(batch["numbers"], batch["categories"]) * model.loss_multiplier
    return F.cross_entropy(logits, batch["classes"], label_smoothing=0.1)


WIDTHS = (64, 128, 256, 512)
ACTOR_CRITIC = Family(
    name="actor-critic",
    network=ActorCritic,
    loss=advantage_loss,
    batches=rollouts,
    widths=WIDTHS,
    base=64,
    sizes={"policy": 0.1, "value": 0.25},
)
ENSEMBLE = Family(
    name="ensemble",
    network=Ensemble,
    loss=gaussian_loss,
    batches=transitions,
    widths=WIDTHS,
    base=64,
    sizes={"weight_3": 0.25},
    layout={"weight_?": (2, (1,)), "offset_?": (0, ()), "m??_logvar": (0, ())},
    places={"weight_3": ("", "output_multiplier")},
)
TABULAR = Family(
    name="tabular",
    network=TabularTransformer,
    loss=row_loss,
    batches=tables,
    widths=WIDTHS,
    base=64,
    rates={"sgd": 0.5, "momentum": 0.25},
    sizes={**SMALL_HEAD, "numeric*": 6**0.5 / 2, "categories": 0.5, "row_token": 0.5},
    layout={"numeric*": (1, (0,)), "row_token": (2, (0, 1))},
    expected={"*.key.bias": (-9.0, 9.0)},
    why="softmax takes a key's bias away again: its gradient is rounding error",
)
