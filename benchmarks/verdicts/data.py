"""Batches for subjects that do not read text: deterministic, and the same at every width."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

Pair = tuple[Tensor, Tensor]

CLASSES = 10
FEATURES = 24
PIXELS = 8


def fixed(*shape: int, seed: int = 0) -> Tensor:
    """The same normal numbers always."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def labelled_vectors(*, batch_size: int, seq_len: int, seed: int) -> Iterator[Pair]:
    """(B·T, FEATURES) noisy members of `CLASSES` clusters, with their classes."""
    random = torch.Generator().manual_seed(seed)
    centres = fixed(CLASSES, FEATURES)
    while True:
        classes = torch.randint(CLASSES, (batch_size * seq_len,), generator=random)
        noise = torch.randn(len(classes), FEATURES, generator=random)
        yield (centres[classes] + noise) / 2**0.5, classes


def labelled_images(*, batch_size: int, seq_len: int, seed: int) -> Iterator[Pair]:
    """(B·T/4, 3, PIXELS, PIXELS) noisy members of `CLASSES` textures, with their classes."""
    random = torch.Generator().manual_seed(seed)
    shape = (CLASSES, 3, PIXELS, PIXELS)
    textures = fixed(*shape)
    while True:
        classes = torch.randint(CLASSES, (batch_size * seq_len // 4,), generator=random)
        noise = torch.randn(len(classes), *shape[1:], generator=random)
        yield (textures[classes] + noise) / 2**0.5, classes


def noisy_images(*, batch_size: int, seq_len: int, seed: int) -> Iterator[Pair]:  # noqa: ARG001
    """(B, 3, PIXELS, PIXELS) images with noise, and the images themselves: smooth, of unit size."""
    random = torch.Generator().manual_seed(seed)
    places = torch.linspace(0, 3.14159, PIXELS)
    while True:
        phase = torch.rand(batch_size, 3, 1, 1, generator=random) * 6
        clean = torch.sin(places[:, None] + phase) + torch.cos(places + phase)
        yield clean + torch.randn(clean.shape, generator=random), clean


def functions(*, batch_size: int, seq_len: int, seed: int) -> Iterator[Pair]:
    """(B·T, FEATURES) unit-size vectors and three smooth functions of them."""
    random = torch.Generator().manual_seed(seed)
    directions = normalize(fixed(3, FEATURES), dim=1)
    while True:
        x = torch.randn(batch_size * seq_len, FEATURES, generator=random)
        yield x, torch.sin(x @ directions.T * 2)
