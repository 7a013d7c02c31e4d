"""Models of what is neither text nor image: graphs, clicks, pairs of views, a variational code."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.data import CLASSES, FEATURES
from benchmarks.verdicts.layers import Linear, RMSNorm
from benchmarks.verdicts.recipe import Family
from benchmarks.verdicts.untouched.data import ROWS, TABLES, clicks, graphs, vectors, views

SMALL_HEAD = {"head": 0.25}


class GraphNetwork(nn.Module):
    """Two rounds of messages from neighbours, and a class for each node."""

    branch = input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.encode = Linear(FEATURES, width)
        self.own = nn.ModuleList(Linear(width, width) for _ in range(2))
        self.message = nn.ModuleList(Linear(width, width, bias=False) for _ in range(2))
        self.norms = nn.ModuleList(RMSNorm(width) for _ in range(3))
        self.head = Linear(width, CLASSES)

    def forward(self, graph: tuple[Tensor, Tensor]) -> Tensor:
        """(N, FEATURES) nodes and (N, N) edges to (N, CLASSES)."""
        nodes, edges = graph
        x = self.encode(nodes)
        for index, (own, message) in enumerate(zip(self.own, self.message, strict=True)):
            h = self.norms[index](x)
            x = x + self.branch * F.relu(own(h) + edges @ message(h))
        logits: Tensor = self.head(self.norms[2](x) * self.input_multiplier)
        return logits


def node_loss(model: GraphNetwork, batch: tuple[tuple[Tensor, Tensor], Tensor]) -> Tensor:
    """Mean cross-entropy of the nodes' classes."""
    graph, classes = batch
    return F.cross_entropy(model(graph) * model.loss_multiplier, classes)


class DLRM(nn.Module):
    """Bags of embeddings and a bottom MLP, all their products by pairs, and a top MLP."""

    input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.interaction = 1 / width  # of products over the width, as of queries and keys
        self.tables = nn.ModuleList(
            nn.EmbeddingBag(ROWS, width, mode="mean") for _ in range(TABLES)
        )
        self.bottom_1, self.bottom_2 = Linear(FEATURES, width), Linear(width, width)
        pairs = (TABLES + 1) * (TABLES + 2) // 2
        self.top_dense, self.top_pairs = Linear(width, width), Linear(pairs, width, bias=False)
        self.top = Linear(width, width)
        self.head = Linear(width, 1, bias=False)

    def forward(self, dense: Tensor, rows: Tensor) -> Tensor:
        """(N, FEATURES) numbers and (N, TABLES, 2) rows to (N,) log-odds."""
        bottom = self.bottom_2(F.relu(self.bottom_1(dense)))
        bags = [table(rows[:, index]) for index, table in enumerate(self.tables)]
        vectors_NVD = torch.stack([bottom, *bags], 1)
        products = vectors_NVD @ vectors_NVD.mT * self.interaction
        first, second = torch.triu_indices(products.shape[1], products.shape[1])
        h = F.relu(self.top_dense(bottom) + self.top_pairs(products[:, first, second]))
        odds: Tensor = self.head(F.relu(self.top(h)) * self.input_multiplier)
        return odds.squeeze(-1)


def click_loss(model: DLRM, batch: tuple[tuple[Tensor, Tensor], Tensor]) -> Tensor:
    """Mean binary cross-entropy."""
    (dense, rows), clicked = batch
    odds = model(dense, rows) * model.loss_multiplier
    return F.binary_cross_entropy_with_logits(odds, clicked)


class TwoTowers(nn.Module):
    """Each view to a unit vector of the width; the logits are cosines times a learned scale."""

    loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.left_1, self.left_2 = Linear(FEATURES, width), Linear(width, width)
        self.left_out = Linear(width, width, bias=False)
        self.right_1, self.right_2 = Linear(FEATURES, width), Linear(width, width)
        self.right_out = Linear(width, width, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """(N, FEATURES) each, to (N, N)."""
        left = self.left_out(F.relu(self.left_2(F.relu(self.left_1(left)))))
        right = self.right_out(F.relu(self.right_2(F.relu(self.right_1(right)))))
        cosines = F.normalize(left, dim=-1) @ F.normalize(right, dim=-1).T
        result: Tensor = cosines * self.log_scale.exp()
        return result


def contrastive_loss(model: TwoTowers, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean cross-entropy of the right partner, both ways."""
    logits = model(*batch) * model.loss_multiplier
    right = torch.arange(len(logits))
    return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2


class VAE(nn.Module):
    """A code of half the width, drawn around what the encoder says."""

    loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.encode_1, self.encode_2 = Linear(FEATURES, width), Linear(width, width)
        self.mean, self.log_variance = Linear(width, width // 2), Linear(width, width // 2)
        self.decode_1, self.decode_2 = Linear(width // 2, width), Linear(width, width)
        self.head = Linear(width, FEATURES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, FEATURES) to its reconstruction, and the codes' means and log-variances."""
        h = F.relu(self.encode_2(F.relu(self.encode_1(x))))
        mean, log_variance = self.mean(h), self.log_variance(h)
        code = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        out: Tensor = self.head(F.relu(self.decode_2(F.relu(self.decode_1(code)))))
        return out, mean, log_variance


def evidence_loss(model: VAE, x: Tensor) -> Tensor:
    """Squared error of the reconstruction and the divergence of the code from a unit normal."""
    out, mean, log_variance = model(x)
    divergence = (mean.square() + log_variance.exp() - 1 - log_variance).mean() / 2
    result: Tensor = (out * model.loss_multiplier - x).square().mean() + divergence / 10
    return result


_RELU = {"*_1": 2**0.5, "*_2": 2**0.5}
GRAPH = Family(name="graph", network=GraphNetwork, loss=node_loss, batches=graphs, sizes=SMALL_HEAD)
DLRM_FAMILY = Family(
    name="dlrm",
    network=DLRM,
    loss=click_loss,
    batches=clicks,
    sizes={**SMALL_HEAD, "tables.*": ROWS**0.5, "bottom_1": 2**0.5, "top": 2**0.5},
    layout={"tables.*": (1, (0,))},
    expected={"tables.*": (-1.3, 0.3)},
    why="only the products by pairs reach the tables, and what comes back to those from above is a "
    "sum over the width that is not aligned at init: n^-½ too small, twice under SGD",
)
TWO_TOWERS = Family(
    name="two-towers",
    network=TwoTowers,
    loss=contrastive_loss,
    batches=views,
    sizes={**_RELU},
    expected={"log_scale": (-3.5, 3.5)},
    why="a scalar's first gradient is one sum over what is not aligned at init: a single random "
    "number, whose logarithm has hardly a slope",
)
VAE_FAMILY = Family(
    name="vae",
    network=VAE,
    loss=evidence_loss,
    batches=vectors,
    sizes={**_RELU, "log_variance": 0.25, "head": 0.1},
    rates={"sgd": 0.1, "momentum": 0.1},
)
