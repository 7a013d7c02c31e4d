"""Batches that neither text nor `benchmarks.verdicts.data` provide; the same at every width."""

from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.verdicts.data import CLASSES, FEATURES

ROWS, TABLES = 50, 3


def _directions(outputs: int) -> Tensor:
    random = torch.Generator().manual_seed(0)
    directions: Tensor = torch.randn(FEATURES, outputs, generator=random) / FEATURES**0.5
    return directions


def captioned_vectors(
    *, batch_size: int, seq_len: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """(B, 4, FEATURES) contexts, and (B, T + 1) tokens that count up from what each says."""
    random = torch.Generator().manual_seed(seed)
    while True:
        context = torch.randn(batch_size, 4, FEATURES, generator=random)
        first = (context.mean(1) @ _directions(256)).argmax(-1)
        step = torch.randint(1, 5, (batch_size, 1), generator=random)
        yield context, (first[:, None] + step * torch.arange(seq_len + 1)) % 256


def graphs(
    *, batch_size: int, seq_len: int, seed: int
) -> Iterator[tuple[tuple[Tensor, Tensor], Tensor]]:
    """Nodes (B·T, FEATURES), edges (B·T, B·T) whose rows sum to 1, and the nodes' classes.

    Two nodes of one class are joined three times as often as others, and each to itself.
    """
    random = torch.Generator().manual_seed(seed)
    count = batch_size * seq_len
    while True:
        classes = torch.randint(CLASSES, (count,), generator=random)
        alike = (classes[:, None] == classes).float()
        joined = torch.rand(count, count, generator=random) < 0.15 + 0.3 * alike
        edges = (joined | joined.T | torch.eye(count, dtype=torch.bool)).float()
        nodes = torch.randn(count, FEATURES, generator=random) + _directions(CLASSES).T[classes]
        yield (nodes, edges / edges.sum(-1, keepdim=True)), classes


def clicks(
    *, batch_size: int, seq_len: int, seed: int
) -> Iterator[tuple[tuple[Tensor, Tensor], Tensor]]:
    """(B·T, FEATURES) numbers, (B·T, TABLES, 2) rows of tables, and (B·T,) clicks, 0 or 1."""
    random = torch.Generator().manual_seed(seed)
    count = batch_size * seq_len
    while True:
        dense = torch.randn(count, FEATURES, generator=random)
        rows = torch.randint(ROWS, (count, TABLES, 2), generator=random)
        liking = (dense @ _directions(1)).flatten() + (rows[:, 0] % 3 - 1).float().mean(-1)
        yield (dense, rows), (liking > 0).float()


def views(*, batch_size: int, seq_len: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Two noisy (B·T, FEATURES) views of the same things."""
    random = torch.Generator().manual_seed(seed)
    while True:
        shape = (batch_size * seq_len, FEATURES)
        thing = torch.randn(shape, generator=random)
        one, other = (thing + torch.randn(shape, generator=random) for _ in range(2))
        yield one / 2**0.5, other @ _directions(FEATURES) / 2**0.5


def vectors(*, batch_size: int, seq_len: int, seed: int) -> Iterator[Tensor]:
    """(B·T, FEATURES) vectors that lie near four directions, around a point that is not zero."""
    random = torch.Generator().manual_seed(seed)
    centre = torch.linspace(-1, 1, FEATURES)
    while True:
        hidden = torch.randn(batch_size * seq_len, 4, generator=random)
        noise = torch.randn(batch_size * seq_len, FEATURES, generator=random)
        yield hidden @ _directions(4).T * 2 + noise / 4 + centre
