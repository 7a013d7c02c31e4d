"""Batches of the fresh families: deterministic, and the same at every width."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from benchmarks.verdicts.data import fixed

MASK = 256
ITEMS, LABELS, RELATIONS = 100, 6, 3
Batch = Iterator[tuple[Tensor, ...]]


def masked_tokens(*, batch_size: int, seq_len: int, seed: int) -> Iterator[dict[str, Tensor]]:
    """(B, T) tokens that count up, three in ten hidden by `MASK`; labels are -100 elsewhere."""
    random = torch.Generator().manual_seed(seed)
    while True:
        first = torch.randint(200, (batch_size, 1), generator=random)
        step = torch.randint(1, 5, (batch_size, 1), generator=random)
        tokens = first + step * torch.arange(seq_len)
        hidden = torch.rand(tokens.shape, generator=random) < 0.3
        hidden[:, 1] = True
        labels = torch.where(hidden, tokens, -100)
        yield {"input_ids": tokens.masked_fill(hidden, MASK), "labels": labels}


def sentence_pairs(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """Two (2B, T) sentences: another (0), the same words with some changed (1), in order (2)."""
    random = torch.Generator().manual_seed(seed)
    shape = (2 * batch_size, seq_len)
    while True:
        first = torch.randint(256, shape, generator=random)
        other = torch.randint(256, shape, generator=random)
        relation = torch.randint(RELATIONS, (len(first),), generator=random)
        kept = torch.rand(shape, generator=random) < relation.unsqueeze(-1) / 2
        yield first, torch.where(kept, first, other), relation


def tagged_tokens(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(2B, T) tokens and (2B, LABELS) tags: whether one of a tag's tokens occurs."""
    random = torch.Generator().manual_seed(seed)
    while True:
        tokens = torch.randint(256, (2 * batch_size, seq_len), generator=random)
        yield tokens, one_hot(tokens % 16, 16).amax(1)[:, :LABELS].float()


def spectrograms(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(B, 4T, 16) frames of four sounds in turn, and their (B, 4) labels from 1."""
    random = torch.Generator().manual_seed(seed)
    sounds = fixed(12, 16)
    while True:
        labels = torch.randint(1, 12, (batch_size, 4), generator=random)
        frames = sounds[labels].repeat_interleave(seq_len, 1)
        yield (frames + torch.randn(frames.shape, generator=random)) / 2**0.5, labels


def recordings(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(2B, 1, 20T) waves of one of ten pitches at any phase, with noise, and the pitch."""
    random = torch.Generator().manual_seed(seed)
    time = torch.arange(20 * seq_len)
    while True:
        pitch = torch.randint(10, (2 * batch_size, 1), generator=random)
        phase = torch.rand(pitch.shape, generator=random) * 6.28
        wave = torch.sin(0.15 * (pitch + 1) * time + phase)
        noise = torch.randn(wave.shape, generator=random) / 2
        yield (wave + noise).unsqueeze(1), pitch.flatten()


def series(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(2B, 6T) values of a trend with two seasons, and the (2B, 12) that follow."""
    random = torch.Generator().manual_seed(seed)
    time = torch.arange(6 * seq_len + 12)
    while True:
        shape = (2 * batch_size, 1)
        level, trend, phase = (torch.randn(shape, generator=random) for _ in range(3))
        season = torch.sin(time / 3 + 3 * phase) + torch.sin(time / 7 + phase) / 2
        noise = torch.randn(season.shape, generator=random) / 4
        values = 3 * level + trend * time / 20 + season + noise
        yield values[:, :-12], values[:, -12:]


def scenes(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """Images (B, 3, T, T), a class or 0 in each of the cells (B, T/2, T/2), and boxes of four.

    Five colours stand for the classes; a box says how far its object sticks out of its cell.
    """
    random = torch.Generator().manual_seed(seed)
    colours = torch.cat([torch.zeros(1, 3), 2 * fixed(5, 3)])
    shape = (batch_size, seq_len // 2, seq_len // 2)
    while True:
        there = torch.rand(shape, generator=random) < 0.4
        classes = torch.randint(1, 6, shape, generator=random) * there
        boxes = torch.rand(*shape, 4, generator=random)
        painted = colours[classes] * boxes.sum(-1, keepdim=True)
        image = painted.permute(0, 3, 1, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
        yield image + torch.randn(image.shape, generator=random) / 2, classes, boxes


def diffused(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(B·T, 24) members of clusters on their way to noise, how far (B·T,), and the noise."""
    random = torch.Generator().manual_seed(seed)
    centres, count = fixed(10, 24), batch_size * seq_len
    while True:
        clean = centres[torch.randint(10, (count,), generator=random)]
        time = torch.rand(count, generator=random)
        noise = torch.randn(clean.shape, generator=random)
        angle = time.unsqueeze(-1) * 1.5708
        yield angle.cos() * clean + angle.sin() * noise, time, noise


def curves(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(2B·T, 8) points near a bent sheet, of about half the size of a unit normal's."""
    random = torch.Generator().manual_seed(seed)
    directions = fixed(3, 8)
    while True:
        x = torch.randn(2 * batch_size * seq_len, 3, generator=random)
        noise = torch.randn(len(x), 8, generator=random) / 3
        yield ((torch.sin(x @ directions) * 1.3 + noise) / 2,)


def molecules(*, batch_size: int, seq_len: int, seed: int) -> Iterator[dict[str, Tensor]]:
    """2B molecules of T atoms as one graph: kinds, edges with lengths, three properties."""
    random = torch.Generator().manual_seed(seed)
    count, kinds = 2 * batch_size * seq_len, 8
    worth = fixed(kinds, 3)
    while True:
        kind = torch.randint(kinds, (count,), generator=random)
        molecule = torch.arange(count) // seq_len
        start = torch.arange(count).repeat(2)
        end = molecule.repeat(2) * seq_len + torch.randint(seq_len, (2 * count,), generator=random)
        length = torch.rand(2 * count, generator=random)
        share = worth[kind[start]] * (1 - length.unsqueeze(-1))
        target = torch.zeros(2 * batch_size, 3).index_add(0, molecule[start], share)
        yield {
            "kind": kind,
            "molecule": molecule,
            "source": torch.cat([start, end]),
            "target": torch.cat([end, start]),
            "length": length.repeat(2),
            "properties": target / seq_len**0.5,
        }


def clouds(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(2B, 4T, 3) points on ellipsoids of eight kinds, turned about one axis, and the kind."""
    random = torch.Generator().manual_seed(seed)
    axes = 0.5 + torch.rand(8, 3, generator=torch.Generator().manual_seed(0)) * 1.5
    while True:
        kind = torch.randint(8, (2 * batch_size,), generator=random)
        points = torch.randn(len(kind), 4 * seq_len, 3, generator=random)
        points = torch.nn.functional.normalize(points, dim=-1) * axes[kind].unsqueeze(1)
        turn = torch.rand(len(kind), 1, generator=random) * 6.28
        x, y, z = points.unbind(-1)
        turned = x * turn.cos() - y * turn.sin(), x * turn.sin() + y * turn.cos(), z
        yield torch.stack(turned, -1), kind


def places_and_times(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(B·T, 2) places and times within, as many at the start, and what is known there."""
    random = torch.Generator().manual_seed(seed)
    while True:
        inside, start = (
            torch.rand(batch_size * seq_len, 2, generator=random) * 2 - 1 for _ in range(2)
        )
        start[:, 1] = 0
        yield inside, start, -torch.sin(3.14159 * start[:, :1])


def rays(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(2B, T, 3) places along rays, (2B, 3) their directions, and (2B, 3) colours seen."""
    random = torch.Generator().manual_seed(seed)
    while True:
        origin, direction = (torch.randn(2 * batch_size, 3, generator=random) for _ in range(2))
        direction = torch.nn.functional.normalize(direction, dim=-1)
        depth = torch.linspace(0, 2, seq_len).unsqueeze(-1)
        places = origin.unsqueeze(1) + depth * direction.unsqueeze(1)
        yield places, direction, torch.sigmoid(origin + direction + 1)


def rollouts(*, batch_size: int, seq_len: int, seed: int) -> Iterator[dict[str, Tensor]]:
    """B·T steps: (., 24) observations, actions of six, advantages of unit size, returns."""
    random = torch.Generator().manual_seed(seed)
    wishes, count = fixed(24, 6) / 24**0.5, batch_size * seq_len
    while True:
        observations = torch.randn(count, 24, generator=random)
        action = torch.randint(6, (count,), generator=random)
        gain = (observations @ wishes).gather(1, action.unsqueeze(-1)).flatten()
        advantage = (gain - gain.mean()) / gain.std()
        returns = observations[:, :4].sum(-1) / 2
        yield {"obs": observations, "action": action, "advantage": advantage, "return": returns}


def transitions(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(5, B·T, 10) states with actions, drawn for each of five models, and (5, B·T, 6) changes."""
    random = torch.Generator().manual_seed(seed)
    directions = fixed(10, 6) / 10**0.5
    while True:
        x = torch.randn(5, batch_size * seq_len, 10, generator=random)
        noise = torch.randn(5, batch_size * seq_len, 6, generator=random) / 4
        yield x, torch.sin(2 * x @ directions) + noise


def tables(*, batch_size: int, seq_len: int, seed: int) -> Iterator[dict[str, Tensor]]:
    """B·T/2 rows of six numbers and three categories of five, and one of three classes."""
    random = torch.Generator().manual_seed(seed)
    wishes = fixed(6, 3)
    while True:
        numbers = torch.randn(batch_size * seq_len // 2, 6, generator=random)
        categories = torch.randint(5, (len(numbers), 3), generator=random)
        classes = (numbers @ wishes + categories - 2).argmax(-1)
        yield {"numbers": numbers, "categories": categories, "classes": classes}


def activations(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(2B·T, 24) sums of a few of forty directions, of about unit size."""
    random = torch.Generator().manual_seed(seed)
    directions = fixed(40, 24)
    while True:
        there = torch.rand(2 * batch_size * seq_len, 40, generator=random)
        there = there * (torch.rand(there.shape, generator=random) < 0.08)
        yield (there @ directions,)


def purchases(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(B, T) items by which each buyer steps ahead, the (B, T) bought next, and (B, T) others."""
    random = torch.Generator().manual_seed(seed)
    while True:
        first = torch.randint(ITEMS, (batch_size, 1), generator=random)
        step = torch.randint(1, 5, (batch_size, 1), generator=random)
        items = (first + step * torch.arange(seq_len + 1)) % ITEMS
        other = torch.randint(ITEMS, (batch_size, seq_len), generator=random)
        yield items[:, :-1], items[:, 1:], other
