"""Reduce a tensor to counts in one pass: the fields of a `CodeHistogram`.

A *key* stands for a set of magnitudes, as the bits of a float32. An even key is that one value. An
odd key is the open interval between the bfloat16 value whose bits it has, the last bit aside, and
the next one: rounding to odd. Every rounding threshold of a format with at most 6 mantissa bits is
a bfloat16 value, so such an interval never straddles one, and the counts are exact.
"""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from umup_diag.errors import InputError
from umup_diag.numerics.borrowed import borrowed
from umup_diag.numerics.threads import can_compile

Int64s = npt.NDArray[np.int64]
UInt32s = npt.NDArray[np.uint32]

FULL_MANTISSA_BITS = 7
"""Mantissa bits by which 32- and 64-bit elements are binned: those of bfloat16."""

SQUARE_UNIT_LOG2 = -2148
"""Sums of squares are integers in this unit: the square of the smallest float64."""

_INF_BITS = 0x7F800000
_CODES = 1 << 15
_CHUNK = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Counts:
    """What one pass finds.

    Attributes:
        keys: (K,) ascending; float32 bits of the value, or, odd, the open interval from the
            value with that bit cleared to the next with `mantissa_bits` bits.
        counts: (K,) int64, finite elements per key.
        squares: exact sum of squares of the finite elements, in units of 2**SQUARE_UNIT_LOG2.
        absmax: largest finite magnitude; NaN if no element is finite.
        smallest_nonzero: smallest non-zero finite magnitude; NaN if there is none.
        nan_count: NaN elements.
        inf_count: infinite elements, of either sign.
        mantissa_bits: resolution of the odd keys.
    """

    keys: UInt32s
    counts: Int64s
    squares: int
    absmax: float
    smallest_nonzero: float
    nan_count: int
    inf_count: int
    mantissa_bits: int = FULL_MANTISSA_BITS


AnyCounts = TypeVar("AnyCounts", bound=Counts)


def counts_of(tensor: Tensor) -> Counts:
    """Count a tensor's elements; waits for an accelerator.

    float64 is rare: it is copied to the host and counted there.

    Raises:
        InputError: if the tensor is not a dense tensor of real floating-point numbers with data.
    """
    flat = _flat(tensor)
    if flat.dtype is torch.float64:
        return _count_float64(flat)
    if can_compile(flat):
        from umup_diag.numerics import compiled_counting  # compiles, or finds what was compiled

        return compiled_counting.count(flat)
    return _count_float32(flat) if flat.dtype is torch.float32 else _count_small(flat)


def in_bins(keys: UInt32s, counts: Int64s) -> tuple[UInt32s, Int64s]:
    """Each of ascending keys once, its counts added up."""
    if not len(keys):
        return keys, counts
    is_first = np.concatenate(([True], keys[1:] != keys[:-1]))
    first = np.flatnonzero(is_first)
    return keys[first], np.add.reduceat(counts, first)


def merged(one: AnyCounts, other: Counts) -> AnyCounts:
    """The counts of both, of one resolution."""
    keys = np.concatenate((one.keys, other.keys))
    order = np.argsort(keys, kind="stable")  # which finds the two ascending runs
    keys, counts = in_bins(keys[order], np.concatenate((one.counts, other.counts))[order])
    return replace(
        one,
        keys=keys,
        counts=counts,
        squares=one.squares + other.squares,
        absmax=float(np.fmax(one.absmax, other.absmax)),
        smallest_nonzero=float(np.fmin(one.smallest_nonzero, other.smallest_nonzero)),
        nan_count=one.nan_count + other.nan_count,
        inf_count=one.inf_count + other.inf_count,
    )


def _flat(tensor: Tensor) -> Tensor:
    if tensor.layout is not torch.strided or tensor.device.type == "meta":
        raise InputError(
            f"cannot count a tensor of layout {tensor.layout} on {tensor.device}: needs dense data"
        )
    if not tensor.dtype.is_floating_point or tensor.dtype.itemsize * 8 not in (8, 16, 32, 64):
        raise InputError(f"cannot count {tensor.dtype}: needs a real floating-point tensor")
    return tensor.detach().resolve_neg().reshape(-1)


def _count_float32(flat: Tensor) -> Counts:
    """Torch alone: one scatter-add per kind of counter, and one wait for the host at the end."""
    device = flat.device
    inside, exact, low, high = torch.zeros(4, _CODES, dtype=torch.int64, device=device)
    largest = torch.zeros((), dtype=torch.int32, device=device)
    smallest = torch.full((), _INF_BITS, dtype=torch.int32, device=device)
    for chunk in torch.split(flat, _CHUNK) if flat.numel() else ():
        bits = chunk.view(torch.int32) & 0x7FFFFFFF
        code, rest = (bits >> 16).long(), (bits & 0xFFFF).long()
        ones = torch.ones_like(code)
        inside.scatter_add_(0, code, ones)
        exact.scatter_add_(0, code, (rest == 0).long())
        significand = (code & 0x7F) + (code >= 0x80) * 0x80
        excess = torch.zeros_like(low)
        excess.scatter_add_(0, code, rest * ((significand << 17) + rest))
        low += excess & 0xFFFFFFFF
        high += excess >> 32
        finite = torch.where(bits < _INF_BITS, bits, 0)
        largest = torch.maximum(largest, finite.amax())
        smallest = torch.minimum(smallest, torch.where(finite == 0, _INF_BITS, finite).amin())
    counters = torch.stack((inside, exact, low, high)).cpu().numpy()
    return finish_float32(counters, int(largest), int(smallest))


def finish_float32(counters: Int64s, largest: int, smallest: int) -> Counts:
    """Turn dense counters of float32 elements into sparse ones.

    Args:
        counters: (4, 32768) by the top 15 bits of the magnitude: elements; elements whose low 16
            bits are zero; and, in two limbs of 32 bits, the sum over elements of the squared
            24-bit significand less its value with the low 16 bits zero.
        largest: bits of the largest finite magnitude.
        smallest: bits of the smallest non-zero finite magnitude; infinity's if there is none.
    """
    total, exact, low, high = counters
    codes = np.flatnonzero(total != 0)  # of booleans: several times faster
    is_finite = codes < _INF_BITS >> 16
    inf_count = int(exact[_INF_BITS >> 16])
    nan_count = int(total[codes[~is_finite]].sum()) - inf_count
    codes = codes[is_finite]
    inner = total[codes] - exact[codes]
    keys = np.stack((codes << 16, codes << 16 | 1), axis=1).reshape(-1)
    counts = np.stack((exact[codes], inner), axis=1).reshape(-1)
    field = codes >> 7
    significand = (codes & 0x7F) + (field > 0) * 0x80
    exponent = np.maximum(field, 1) - 127 - 23
    squares = sum_by_exponent(exponent, total[codes], significand**2, shift=32)
    squares += sum_by_exponent(exponent, low[codes], np.ones_like(codes), shift=0)
    squares += sum_by_exponent(exponent, high[codes], np.ones_like(codes), shift=32)
    occupied = counts > 0
    return Counts(
        keys=keys[occupied].astype(np.uint32),
        counts=counts[occupied],
        squares=squares,
        absmax=_from_bits(largest) if len(codes) else float("nan"),
        smallest_nonzero=_from_bits(smallest) if smallest < _INF_BITS else float("nan"),
        nan_count=nan_count,
        inf_count=inf_count,
    )


def _from_bits(bits: int) -> float:
    return float(np.uint32(bits).view(np.float32))


def sum_by_exponent(exponent: Int64s, count: Int64s, square: Int64s, *, shift: int) -> int:
    """Sum count × square × 4**exponent × 2**shift exactly, in units of 2**SQUARE_UNIT_LOG2.

    Args:
        exponent: (K,) powers of two of the values, not of their squares.
        count: (K,) non-negative; if K is beyond 2**15, at most 1.
        square: (K,) non-negative, below 2**22.
        shift: a further power of two.
    """
    if not len(exponent):
        return 0
    lowest = int(exponent.min())
    bins = exponent - lowest
    total, limb = 0, 0
    while count.any():
        # 16 bits of counts, 22 of squares, and what 2**15 keys add: float64 has 53.
        sums = np.bincount(bins, weights=((count & 0xFFFF) * square).astype(np.float64))
        for i in np.flatnonzero(sums).tolist():
            total += int(sums[i]) << 2 * (lowest + i) - SQUARE_UNIT_LOG2 + shift + limb
        count, limb = count >> 16, limb + 16
    return total


def _count_small(flat: Tensor) -> Counts:
    """8- and 16-bit elements: every code is counted, so nothing is lost."""
    width = flat.dtype.itemsize * 8
    dtype = flat.dtype
    codes = flat.view(torch.uint8 if width == 8 else torch.int16)
    counters = torch.zeros(1 << width, dtype=torch.int64, device=flat.device)
    for chunk in torch.split(codes, _CHUNK) if flat.numel() else ():
        index = chunk.long() & ((1 << width) - 1)
        counters.scatter_add_(0, index, torch.ones_like(index))
    return finish_small(counters.cpu().numpy(), dtype)


def finish_small(counters: Int64s, dtype: torch.dtype) -> Counts:
    """Turn counts by code of an 8- or 16-bit dtype, (256,) or (65536,), into sparse ones."""
    if len(counters) == 1 << 16:  # the top bit is the sign; 8-bit formats need not have one
        counters = counters[: 1 << 15] + counters[1 << 15 :]
    codes = np.flatnonzero(counters != 0)
    small = torch.from_numpy(codes.astype(np.uint8 if dtype.itemsize == 1 else np.uint16))
    magnitudes = small.view(dtype).to(torch.float32).abs().numpy().view(np.uint32)
    counts = counters[codes]
    is_finite = magnitudes < _INF_BITS
    keys, inverse = np.unique(magnitudes[is_finite], return_inverse=True)
    merged = np.zeros(len(keys), dtype=np.int64)
    np.add.at(merged, inverse, counts[is_finite])
    nonzero = keys[keys > 0]
    return Counts(
        keys=keys,
        counts=merged,
        squares=_squares_of_exact(keys, merged),
        absmax=_from_bits(int(keys[-1])) if len(keys) else float("nan"),
        smallest_nonzero=_from_bits(int(nonzero[0])) if len(nonzero) else float("nan"),
        nan_count=int(counts[magnitudes > _INF_BITS].sum()),
        inf_count=int(counts[magnitudes == _INF_BITS].sum()),
    )


def _squares_of_exact(keys: UInt32s, counts: Int64s) -> int:
    """Sum of squares of values that have at most 11 significant bits (float16, and all smaller)."""
    significand, exponent = np.frexp(keys.view(np.float32).astype(np.float64))
    whole = (significand * 2**11).astype(np.int64)
    return sum_by_exponent(exponent.astype(np.int64) - 11, counts, whole**2, shift=0)


def _count_float64(flat: Tensor) -> Counts:
    """64-bit elements, on the host: rare enough that numpy will do."""
    values = np.abs(borrowed(flat.cpu(), np.float64))
    finite = values[np.isfinite(values)]
    with np.errstate(over="ignore"):
        nearest = finite.astype(np.float32)
    down = nearest.view(np.uint32) - (nearest > finite).astype(np.uint32)
    code = down & np.uint32(0xFFFF0000)
    keys = code | (code.view(np.float32) != finite).astype(np.uint32)
    unique, counts = np.unique(keys, return_counts=True)
    nonzero = finite[finite > 0]
    return Counts(
        keys=unique,
        counts=counts.astype(np.int64),
        squares=_squares_of_float64(finite),
        absmax=float(finite.max()) if len(finite) else float("nan"),
        smallest_nonzero=float(nonzero.min()) if len(nonzero) else float("nan"),
        nan_count=int(np.isnan(values).sum()),
        inf_count=int(np.isinf(values).sum()),
    )


def _squares_of_float64(finite: npt.NDArray[np.float64]) -> int:
    """Exact sum of squares, from three products of 27- and 26-bit halves per element."""
    _, exponent = np.frexp(finite)
    power = np.maximum(exponent.astype(np.int64) - 53, SQUARE_UNIT_LOG2 // 2)
    whole = np.ldexp(finite, -power).astype(np.int64)
    top, bottom = whole >> 26, whole & 0x3FFFFFF
    total = 0
    products: tuple[tuple[Any, int], ...] = (
        (top * top, 52),
        (top * bottom, 27),
        (bottom * bottom, 0),
    )
    for product, shift in products:
        for limb in range(3):
            part = (product >> 21 * limb) & 0x1FFFFF
            total += sum_by_exponent(power, np.ones_like(part), part, shift=shift + 21 * limb)
    return total
