"""Batches of the last families: deterministic, and the same at every width."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.verdicts.data import fixed

TAGS, CORNERS, LEVELS = 7, 4, 8
ENTITIES, RELATIONS, BUCKETS = 60, 5, 400
Batch = Iterator[tuple[Tensor, ...]]
Fields = Iterator[dict[str, Tensor]]
_fixed = partial(fixed, seed=1)


def tagged_words(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(B, T) words, and the (B, T) tag of each, which hangs on the word before it too."""
    random = torch.Generator().manual_seed(seed)
    while True:
        words = torch.randint(256, (batch_size, seq_len), generator=random)
        yield words, (words // 3 + words.roll(1, 1) % 2) % TAGS


def reversed_words(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(B, T) words of forty, what a decoder is given, (B, T), and what it is to say: backwards."""
    random = torch.Generator().manual_seed(seed)
    while True:
        words = torch.randint(1, 40, (batch_size, seq_len), generator=random)
        backwards = words.flip(1)
        given = torch.cat([torch.zeros(batch_size, 1, dtype=torch.long), backwards[:, :-1]], 1)
        yield words, given, backwards


def corrupted_bytes(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(B, T) bytes that count up with one in five replaced, and the bytes as they were."""
    random = torch.Generator().manual_seed(seed)
    while True:
        first = torch.randint(200, (batch_size, 1), generator=random)
        clean = first + torch.arange(seq_len)
        other = torch.randint(256, clean.shape, generator=random)
        wrong = torch.rand(clean.shape, generator=random) < 0.2
        yield torch.where(wrong, other, clean), clean


def cornered_images(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(2B, 3, T, T) images with an object of six kinds, or none, in each corner, and the kinds."""
    random = torch.Generator().manual_seed(seed)
    paint = _fixed(CORNERS + 3, 3)
    while True:
        kind = torch.randint(CORNERS + 3, (2 * batch_size, CORNERS), generator=random)
        cells = paint[kind].mT.unflatten(-1, (2, 2))
        image = cells.repeat_interleave(seq_len // 2, 2).repeat_interleave(seq_len // 2, 3)
        yield image + torch.randn(image.shape, generator=random) / 2, kind


def grey_images(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(B, T, T) pictures of smooth waves in `LEVELS` greys."""
    random = torch.Generator().manual_seed(seed)
    place = torch.arange(seq_len) * 0.7
    while True:
        phase = torch.rand(2, batch_size, 1, 1, generator=random) * 6.28
        wave = torch.sin(place[:, None] + phase[0]) + torch.sin(place + phase[1])
        yield (((wave + 2) * LEVELS / 4).long().clamp(0, LEVELS - 1),)


def pixels(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(B·T, 2) places of one picture and their (B·T, 3) colours."""
    random = torch.Generator().manual_seed(seed)
    directions = 3 * _fixed(2, 3)
    while True:
        place = torch.rand(batch_size * seq_len, 2, generator=random) * 2 - 1
        yield place, 0.5 + torch.sin(place @ directions) / 2


def utterances(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(2B, 16, 2T) frames of one of twelve voices, and which: each with its mean and its spread."""
    random = torch.Generator().manual_seed(seed)
    centres, spreads = _fixed(12, 16, 1), (_fixed(12, 16, 2)[..., 1:] / 2).exp()
    while True:
        voice = torch.randint(12, (2 * batch_size,), generator=random)
        noise = torch.randn(len(voice), 16, 2 * seq_len, generator=random)
        yield (centres[voice] + spreads[voice] * noise) / 2**0.5, voice


def sets(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(2B, T, 4) members of sets, and (2B, 2) facts of each: a spread, and a largest."""
    random = torch.Generator().manual_seed(seed)
    while True:
        size = 0.5 + torch.rand(2 * batch_size, 1, 1, generator=random)
        members = torch.randn(len(size), seq_len, 4, generator=random) * size
        facts = members[..., 0].std(1), members[..., 1].amax(1)
        yield members, torch.stack(facts, -1)


def citations(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """B·T papers: (N, 20) words, (N, N) who cites whom and itself, and one of five fields."""
    random = torch.Generator().manual_seed(seed)
    words, count = _fixed(5, 20), batch_size * seq_len
    while True:
        field = torch.randint(5, (count,), generator=random)
        same = field == field[:, None]
        cites = torch.rand(count, count, generator=random) < torch.where(same, 0.3, 0.03)
        noise = torch.randn(count, 20, generator=random)
        yield (words[field] + 2 * noise) / 5**0.5, cites | torch.eye(count, dtype=torch.bool), field


def triples(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(N,) heads, relations and tails of facts, and (N,) tails of none."""
    random = torch.Generator().manual_seed(seed)
    count = batch_size * seq_len
    while True:
        head = torch.randint(ENTITIES, (count,), generator=random)
        relation = torch.randint(RELATIONS, (count,), generator=random)
        none = torch.randint(ENTITIES, (count,), generator=random)
        yield head, relation, (head + 7 * relation + 1) % ENTITIES, none


def spirals(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(B·T, 12) points whose first two lie on one of three spirals, and on which."""
    random = torch.Generator().manual_seed(seed)
    while True:
        arm = torch.randint(3, (batch_size * seq_len,), generator=random)
        points = torch.randn(len(arm), 12, generator=random)
        far = torch.rand(len(arm), generator=random) * 2
        angle = 2.1 * arm + 2 * far
        points[:, 0], points[:, 1] = far * angle.cos(), far * angle.sin()
        yield points, arm


def augmented(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """Two (B·T, 24) noisy views of the same members of clusters."""
    random = torch.Generator().manual_seed(seed)
    centres, count = _fixed(10, 24), batch_size * seq_len
    while True:
        member = centres[torch.randint(10, (count,), generator=random)]
        views = (member + torch.randn(member.shape, generator=random) for _ in range(2))
        first, second = (view / 2**0.5 for view in views)
        yield first, second


def episodes(*, batch_size: int, seq_len: int, seed: int) -> Fields:
    """(B, T, .) observations of 12, actions of three, rewards, and noise for latents of eight."""
    random = torch.Generator().manual_seed(seed)
    sight, push = _fixed(4, 12), _fixed(3, 4)
    while True:
        action = torch.randn(batch_size, seq_len, 3, generator=random)
        state = torch.tanh((action @ push).cumsum(1) / 2)
        noise = torch.randn(batch_size, seq_len, 12, generator=random) / 4
        yield {
            "observation": state @ sight / 2 + noise,
            "action": action,
            "reward": state[..., 0] + 1,
            "noise": torch.randn(batch_size, seq_len, 8, generator=random),
        }


def offline_steps(*, batch_size: int, seq_len: int, seed: int) -> Fields:
    """(B, T, .) returns to go, observations of ten, actions of five, and steps since the start."""
    random = torch.Generator().manual_seed(seed)
    wishes = _fixed(10, 5)
    while True:
        observation = torch.randn(batch_size, seq_len, 10, generator=random)
        reward = torch.rand(batch_size, seq_len, 1, generator=random)
        yield {
            "returns": reward.flip(1).cumsum(1).flip(1) / 4,
            "observation": observation,
            "action": (observation @ wishes).argmax(-1),
            "step": torch.randint(8, (batch_size, 1), generator=random) + torch.arange(seq_len),
        }


def hashed_texts(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(2B, 2T) buckets of n-grams, and one of four topics, each with buckets that it prefers."""
    random = torch.Generator().manual_seed(seed)
    while True:
        topic = torch.randint(4, (2 * batch_size, 1), generator=random)
        any_bucket = torch.randint(BUCKETS, (len(topic), 2 * seq_len), generator=random)
        own = any_bucket // 4 * 4 + topic
        mine = torch.rand(own.shape, generator=random) < 0.5
        yield torch.where(mine, own, any_bucket), topic.flatten()


def visits(*, batch_size: int, seq_len: int, seed: int) -> Fields:
    """B·T visits, (N, 24): whether there was a click, and how long it lasted."""
    random = torch.Generator().manual_seed(seed)
    wishes = normalize(_fixed(24, 2), dim=0)
    while True:
        features = torch.randn(batch_size * seq_len, 24, generator=random)
        wish = features @ wishes
        yield {
            "features": features,
            "click": (wish[:, 0] + torch.randn(len(wish), generator=random) > 0.5).float(),
            "time": 0.5 + torch.sin(2 * wish[:, 1]),
        }


def operators(*, batch_size: int, seq_len: int, seed: int) -> Batch:
    """(B·T, 20) samples of functions, (B·T, 1) places, and each function's integral up to there."""
    random = torch.Generator().manual_seed(seed)
    grid = torch.linspace(0, 1, 20)
    while True:
        shape = (batch_size * seq_len, 1)
        a, b = (1 + torch.randn(shape, generator=random) for _ in range(2))
        place = torch.rand(shape, generator=random)
        values = a * torch.cos(3 * grid) + b * torch.sin(5 * grid)
        yield values, place, a * torch.sin(3 * place) / 3 + b * (1 - torch.cos(5 * place)) / 5


def replayed(*, batch_size: int, seq_len: int, seed: int) -> Fields:
    """B·T steps from a replay buffer: (N, 16) states, actions of four, rewards, what follows."""
    random = torch.Generator().manual_seed(seed)
    wishes = _fixed(16, 4) / 4
    while True:
        state = torch.randn(batch_size * seq_len, 16, generator=random)
        action = torch.randint(4, (len(state),), generator=random)
        yield {
            "state": state,
            "action": action,
            "reward": (state @ wishes).gather(1, action.unsqueeze(-1)).squeeze(-1) - 1,
            "next": (state + torch.randn(state.shape, generator=random)) / 2**0.5,
        }
