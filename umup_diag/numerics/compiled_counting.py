"""The fast twin of `umup_diag.numerics.counting`: the same counts, by compiled loops, on a CPU."""

import threading
from functools import cache, reduce

import numpy as np
import torch
from torch import Tensor

from umup_diag.numerics.borrowed import borrowed
from umup_diag.numerics.count_loops import (
    CODES,
    LIMBS,
    LIMBS_UNIT_LOG2,
    MOST,
    count_8_bit,
    count_16_bit,
    count_float32,
)
from umup_diag.numerics.counting import SQUARE_UNIT_LOG2, Counts, Int64s, UInt32s, merged
from umup_diag.numerics.threads import in_threads

_INF_BITS = 0x7F800000


class _Scratch(threading.local):
    """Counters of one thread: zeros, except while a loop runs. Making them takes longer than it."""

    def __init__(self) -> None:
        self.counters = np.zeros((2, CODES), dtype=np.uint32)


_scratch = _Scratch()


def count(flat: Tensor) -> Counts:
    """Count a flat tensor of float32, or of 8 or 16 bits, in main memory."""
    work = _float32 if flat.dtype is torch.float32 else _small
    if flat.numel() <= MOST:
        return reduce(merged, in_threads(work, flat))
    return reduce(merged, (part for piece in flat.split(MOST) for part in in_threads(work, piece)))


def _float32(flat: Tensor) -> Counts:
    values = borrowed(flat, np.float32)
    limbs = np.zeros(LIMBS, dtype=np.int64)
    keys, counts, nans, infinities, largest, smallest, _ = count_float32(
        values.view(np.uint32), values, _scratch.counters, limbs
    )
    return Counts(
        keys=keys,
        counts=counts,
        squares=_whole(limbs),
        absmax=_from_bits(largest) if len(keys) else float("nan"),
        smallest_nonzero=_from_bits(smallest) if smallest < _INF_BITS else float("nan"),
        nan_count=nans,
        inf_count=infinities,
    )


def _small(flat: Tensor) -> Counts:
    limbs = np.zeros(LIMBS, dtype=np.int64)
    loop, view = (count_8_bit, np.uint8) if flat.itemsize == 1 else (count_16_bit, np.uint16)
    keys, counts, nans, infinities, _ = loop(
        borrowed(flat, view), _magnitudes(flat.dtype), _scratch.counters[0], limbs
    )
    if flat.itemsize == 1:
        keys, counts = _ascending(keys, counts)
    nonzero = keys[1:] if len(keys) and not keys[0] else keys
    return Counts(
        keys=keys,
        counts=counts,
        squares=_whole(limbs),
        absmax=_from_bits(keys[-1]) if len(keys) else float("nan"),
        smallest_nonzero=_from_bits(nonzero[0]) if len(nonzero) else float("nan"),
        nan_count=nans,
        inf_count=infinities,
    )


@cache
def _magnitudes(dtype: torch.dtype) -> UInt32s:
    """What the codes of an 8- or 16-bit dtype stand for, (256,) or, without signs, (32768,)."""
    codes = np.arange(256, dtype=np.uint8) if dtype.itemsize == 1 else np.arange(CODES, dtype="u2")
    magnitudes: UInt32s = torch.from_numpy(codes).view(dtype).float().abs().numpy().view(np.uint32)
    return magnitudes


def _ascending(keys: UInt32s, counts: Int64s) -> tuple[UInt32s, Int64s]:
    """Each key once; in 8-bit dtypes the codes of either sign follow one another."""
    unique, inverse = np.unique(keys, return_inverse=True)
    summed = np.zeros(len(unique), dtype=np.int64)
    np.add.at(summed, inverse, counts)
    return unique, summed


def _whole(limbs: Int64s) -> int:
    """The integer that limbs stand for, in units of 2**SQUARE_UNIT_LOG2."""
    total: int = sum(limb << 32 * i for i, limb in enumerate(limbs.tolist()) if limb)
    return total << LIMBS_UNIT_LOG2 - SQUARE_UNIT_LOG2


def _from_bits(bits: int) -> float:
    return float(np.uint32(bits).view(np.float32))
