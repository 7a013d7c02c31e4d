"""Random bytes, no two alike in a sequence: the input that unit scaling assumes."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from umup_diag.measure.data.corpus import BYTES


def batches(*, batch_size: int, seq_len: int, seed: int) -> Iterator[Tensor]:
    """Endless int64 batches (batch_size, seq_len + 1) of bytes.

    The scale laws take positions to be independent. Text repeats itself (two bytes of English are
    alike 7 % of the time), repeated tokens have equal values, and an average over equal values does
    not shrink: at 255 bytes of text attention's output is 2 to 6 times what the law says, through
    no fault of model or law. So a sequence here repeats no byte, as long as there are enough.
    """
    random = np.random.default_rng(seed)
    length = seq_len + 1
    while True:
        rows = [
            np.concatenate([random.permutation(BYTES) for _ in range(-(-length // BYTES))])[:length]
            for _ in range(batch_size)
        ]
        yield torch.from_numpy(np.stack(rows).astype(np.int64))
