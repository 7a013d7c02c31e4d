"""Models of points, sets, graphs, facts: SIREN, DeepSets, GAT, DistMult, neural ODE, DeepONet."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.last.data import (
    BUCKETS,
    ENTITIES,
    RELATIONS,
    citations,
    hashed_texts,
    operators,
    pixels,
    sets,
    spirals,
    triples,
)
from benchmarks.verdicts.layers import Embedding, LayerNorm, Linear
from benchmarks.verdicts.recipe import Family, classification_loss, squared_error
from benchmarks.verdicts.sequence_layers import HEAD_DIM


class Siren(nn.Module):
    """(N, 2) places of one picture to (N, 3) colours, by sines of sums."""

    input_multiplier = output_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.net_0, self.net_1 = Linear(2, width), Linear(width, width)
        self.net_2, self.final = Linear(width, width), Linear(width, 3)

    def forward(self, place: Tensor) -> Tensor:
        """Colours."""
        x = torch.sin(self.net_1(torch.sin(self.net_0(place))))
        colour: Tensor = self.final(torch.sin(self.net_2(x)) * self.input_multiplier)
        return colour * self.output_multiplier


class DeepSets(nn.Module):
    """(B, T, 4) members, each by itself, their mean and largest, to (B, 2) facts."""

    input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.phi_1, self.phi_2 = Linear(4, width), Linear(width, width)
        self.rho_1, self.rho_2 = Linear(2 * width, width), Linear(width, width)
        self.regressor = Linear(width, 2)

    def forward(self, members: Tensor) -> Tensor:
        """Facts."""
        x = F.elu(self.phi_2(F.elu(self.phi_1(members))))
        x = torch.cat([x.mean(1), x.amax(1)], -1)
        x = F.elu(self.rho_2(F.elu(self.rho_1(x))))
        facts: Tensor = self.regressor(x * self.input_multiplier)
        return facts


class GATLayer(nn.Module):
    """Each node's heads weigh its neighbours by one sum over both, and add their features."""

    def __init__(self, into: int, width: int) -> None:
        super().__init__()
        self.lin, self.skip = Linear(into, width, bias=False), Linear(into, width)
        count = width // HEAD_DIM
        self.att_src, self.att_dst = (
            nn.Parameter(torch.randn(count, HEAD_DIM) / HEAD_DIM**0.5) for _ in range(2)
        )

    def forward(self, x: Tensor, cites: Tensor) -> Tensor:
        """(N, in) to (N, width)."""
        h = self.lin(x).unflatten(-1, (-1, HEAD_DIM))
        source, end = ((h * each).sum(-1).T for each in (self.att_src, self.att_dst))
        energy = F.leaky_relu(end.unsqueeze(-1) + source.unsqueeze(-2), 0.2)
        share = energy.masked_fill(~cites, float("-inf")).softmax(-1)
        mixed = (share @ h.transpose(0, 1)).transpose(0, 1).flatten(1)
        y: Tensor = mixed + self.skip(x)
        return y


class GAT(nn.Module):
    """(N, 20) words of papers and who cites whom to (N, 5) logits of fields."""

    input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.conv1, self.conv2 = GATLayer(20, width), GATLayer(width, width)
        self.classify = Linear(width, 5)

    def forward(self, words: Tensor, cites: Tensor) -> Tensor:
        """Logits."""
        x = F.elu(self.conv2(F.elu(self.conv1(words, cites)), cites))
        logits: Tensor = self.classify(x * self.input_multiplier)
        return logits


def field_loss(model: GAT, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Mean cross-entropy of the fields."""
    words, cites, field = batch
    return F.cross_entropy(model(words, cites) * model.loss_multiplier, field)


class DistMult(nn.Module):
    """A fact's score: a sum over products of head, relation and tail, over the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.score_multiplier = width, 16 / width
        self.entities, self.relations = Embedding(ENTITIES, width), Embedding(RELATIONS, width)
        self.transform_1, self.transform_2 = Linear(width, width), Linear(width, width)

    def describe(self, entity: Tensor) -> Tensor:
        """(N,) entities to (N, D)."""
        x = self.entities(entity)
        result: Tensor = x + self.transform_2(torch.tanh(self.transform_1(x)))
        return result

    def forward(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        """(N,) log-odds."""
        product = self.describe(head) * self.relations(relation) * self.describe(tail)
        odds: Tensor = product.sum(-1) * self.score_multiplier
        return odds


def fact_loss(model: DistMult, batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
    """Mean binary cross-entropy of facts and of what is none."""
    head, relation, tail, none = batch
    good, bad = model(head, relation, tail), model(head, relation, none)
    result: Tensor = F.softplus(-good).mean() + F.softplus(bad).mean()
    return result


class Flow(nn.Module):
    """The speed of a state at a time."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.time = Linear(width, width), Linear(1, width, bias=False)
        self.outer = Linear(width, width)

    def forward(self, x: Tensor, time: float) -> Tensor:
        """Shape stays."""
        at = torch.full((len(x), 1), time)
        y: Tensor = self.outer(torch.tanh(self.inner(x) + self.time(at)))
        return y


class NeuralODE(nn.Module):
    """(N, 12) points to (N, 3) logits: a state that flows for one unit, in four Euler steps."""

    branch = input_multiplier = output_multiplier = loss_multiplier = 1.0
    STEPS = 4

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.lift, self.flow = Linear(12, width), Flow(width)
        self.readout = Linear(width, 3, bias=False)

    def forward(self, points: Tensor) -> Tensor:
        """Logits."""
        x = self.lift(points)
        for step in range(self.STEPS):
            x = x + self.branch * self.flow(x, step / self.STEPS) / self.STEPS
        logits: Tensor = self.readout(x.tanh() * self.input_multiplier)
        return logits * self.output_multiplier


class BagOfGrams(nn.Module):
    """(B, T) hashed n-grams to (B, 4) topics: the mean of their rows, two layers."""

    input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.table, self.norm = nn.EmbeddingBag(BUCKETS, width), LayerNorm(width)
        self.hidden_1, self.hidden_2 = Linear(width, width), Linear(width, width)
        self.topics = Linear(width, 4)

    def forward(self, grams: Tensor) -> Tensor:
        """Logits."""
        x = F.relu(self.hidden_1(self.norm(self.table(grams))))
        x = F.relu(self.hidden_2(x))
        logits: Tensor = self.topics(x * self.input_multiplier)
        return logits


class DeepONet(nn.Module):
    """Samples of a function and a place to a value: two networks' product, over the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.product_multiplier = width, 4 / width
        self.branch_1, self.branch_2 = Linear(20, width), Linear(width, width)
        self.branch_3 = Linear(width, width)
        self.trunk_1, self.trunk_2 = Linear(1, width), Linear(width, width)
        self.offset = nn.Parameter(torch.zeros(1))

    def forward(self, values: Tensor, place: Tensor) -> Tensor:
        """(N, 20) samples and (N, 1) places to (N, 1)."""
        branch = self.branch_3(F.silu(self.branch_2(F.silu(self.branch_1(values)))))
        trunk = torch.tanh(self.trunk_2(torch.tanh(self.trunk_1(2 * place - 1))))
        product: Tensor = (branch * trunk).sum(-1, keepdim=True) * self.product_multiplier
        return product + self.offset


def operator_loss(model: DeepONet, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Mean squared error."""
    values, place, integral = batch
    return F.mse_loss(model(values, place), integral)


WIDTHS = (64, 128, 256, 512)
_RELU = 2**0.5
SIREN = Family(
    name="siren",
    network=Siren,
    loss=squared_error,
    batches=pixels,
    widths=WIDTHS,
    base=64,
    sizes={"final": 0.25, "net_0": 4.0, "net_?": 1.4},
    rates={"sgd": 0.5, "momentum": 0.25},
)
DEEP_SETS = Family(
    name="deep-sets",
    network=DeepSets,
    loss=squared_error,
    batches=sets,
    widths=WIDTHS,
    base=64,
    sizes={"regressor": 0.25},
    rates={"sgd": 0.1, "momentum": 0.05},
)
GAT_FAMILY = Family(
    name="gat",
    network=GAT,
    loss=field_loss,
    batches=citations,
    widths=WIDTHS,
    base=64,
    sizes={"classify": 0.25},
    layout={"*.att_*": (0, ())},
)
DIST_MULT = Family(
    name="dist-mult",
    network=DistMult,
    loss=fact_loss,
    batches=triples,
    widths=WIDTHS,
    base=64,
    sizes={"relations": 1.0, "entities": 0.7},
)
NEURAL_ODE = Family(
    name="neural-ode",
    network=NeuralODE,
    loss=classification_loss,
    batches=spirals,
    widths=WIDTHS,
    base=64,
    sizes={"readout": 0.25, "flow.outer": 2.0},
)
BAG = Family(
    name="embedding-bag",
    network=BagOfGrams,
    loss=classification_loss,
    batches=hashed_texts,
    widths=WIDTHS,
    base=64,
    sizes={"topics": 0.25, "table": BUCKETS**0.5, "hidden_?": _RELU},
    layout={"table": (1, (0,))},
)
DEEP_O_NET = Family(
    name="deep-o-net",
    network=DeepONet,
    loss=operator_loss,
    batches=operators,
    widths=(128, 256, 512),
    layout={"offset": (0, ())},
    rates={"adam": 0.25, "adamw": 0.25, "muon-kimi": 0.25},
)
