"""The compiled loops of `umup_diag.numerics.counting`; why they look like this: docs/kernels.md.

Indices are unsigned, which spares numba the test for negative ones. Loops hold no lock, so that
plain threads can share a large tensor.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

_BLOCK = 1024  # elements whose intermediate results stay in the first-level cache
_COUNT_SHIFT = np.uint64(53)  # a packed counter: elements above this bit, sum of squares below
_ONE = np.uint64(1) << _COUNT_SHIFT
_FULL = np.uint64(2047) << _COUNT_SHIFT
_LIMB = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_HIGH = np.uint64(0x1FFFFF)
_MAGNITUDE = np.uint32(0x7FFFFFFF)
_MANTISSA = np.uint32(0x7FFFFF)
_SIGN = np.uint32(0x80000000)
_REST = np.uint32(0xFFFF)
_CODE_SHIFT = np.uint32(16)
_ZERO = np.uint32(0)
_UNIT = np.uint32(1)
_LEADING = np.uint32(23)
_INF = np.uint32(0x7F800000)


def _compiled(function: F) -> F:
    """Compile on first use, and keep the result on disk where some folder can be written."""
    try:
        compiled: F = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba's word for: no folder to cache in
        compiled = numba.njit(nogil=True)(function)
    return compiled


@_compiled
def count_small(codes: Any, counters: Any) -> None:
    """Add the count of every code.

    Args:
        codes: (N,) uint8 or uint16.
        counters: (256,) or (65536,) int64, added to.
    """
    for i in range(codes.size):
        counters[codes[i]] += 1


@_compiled
def count_float32(bits: Any, packed: Any, counters: Any) -> Any:
    """Add the counters that `umup_diag.numerics.counting.finish_float32` takes.

    Each code has one packed counter of 64 bits: 11 for elements, 53 for the sum of what the
    squares exceed those of the truncated significands by (below 2**41 each). It is emptied into
    `counters` before it is full.

    Args:
        bits: (N,) uint32, float32 seen as integers.
        packed: (32768,) uint64, zeros.
        counters: (4, 32768) int64, added to.

    Returns:
        Two integers: bits of the largest finite magnitude (0 if there is none), and of the
        smallest non-zero one (infinity's or more if there is none).
    """
    excess = np.empty(_BLOCK, np.uint64)
    codes = np.empty(_BLOCK, np.uint16)
    largest = _ZERO
    smallest = np.uint32(0xFFFFFFFF)
    for start in range(0, bits.size, _BLOCK):
        block = bits[start : start + _BLOCK]
        block_largest = _ZERO
        exact = _ZERO
        for i in range(block.size):  # vectorised
            magnitude = block[i] & _MAGNITUDE
            rest = magnitude & _REST
            significand = magnitude & _MANTISSA | np.uint32(magnitude > _MANTISSA) << _LEADING
            excess[i] = _ONE + np.uint64(rest) * np.uint64(np.uint32(2 * significand - rest))
            codes[i] = np.uint16(magnitude >> _CODE_SHIFT)
            exact += np.uint32(rest == _ZERO)
            block_largest = max(block_largest, magnitude)
            smallest = min(smallest, np.uint32(magnitude - _UNIT))  # zero wraps to the top
        if block_largest < _INF:
            largest = max(largest, block_largest)
        else:
            for i in range(block.size):
                magnitude = block[i] & _MAGNITUDE
                if magnitude < _INF:
                    largest = max(largest, magnitude)
        for i in range(block.size):
            code = codes[i]
            value = packed[code] + excess[i]
            packed[code] = value
            if value >= _FULL:
                _empty(packed, counters, code)
        if exact:
            for i in range(block.size):
                counters[1, codes[i]] += (block[i] & _REST) == _ZERO
    for i in range(packed.size):
        if packed[i]:
            _empty(packed, counters, np.uint16(i))
    return np.int64(largest), np.int64(smallest) + 1


@_compiled
def _empty(packed: Any, counters: Any, code: Any) -> None:
    value = packed[code]
    counters[0, code] += np.int64(value >> _COUNT_SHIFT)
    counters[2, code] += np.int64(value & _LOW)
    counters[3, code] += np.int64(value >> _LIMB & _HIGH)
    packed[code] = np.uint64(0)


@_compiled
def round_nearest_even(bits: Any, out: Any, limits: Any, overflow: Any, zero_sign: Any) -> None:
    """Round float32 to a format, by adding and subtracting a number of the right spacing.

    Adding 2**(e + 23 − mantissa bits) leaves as many mantissa bits as the format has, rounded by
    the processor to nearest even; below the smallest normal value e stays, as the spacing does.

    Args:
        bits: (N,) uint32, float32 seen as integers.
        out: (N,) uint32, likewise, written.
        limits: (4,) uint32: exponent fields of the smallest and of the largest normal value, both
            in place; what to add to them for the number above; the bits of the largest value.
        overflow: uint32, bits of what a magnitude beyond the largest value becomes.
        zero_sign: uint32, what is kept of the sign of a zero.
    """
    lowest, highest, lift, largest = limits[0], limits[1], limits[2], limits[3]
    for i in range(bits.size):  # vectorised
        magnitude = np.uint32(bits[i] & _MAGNITUDE)
        field = min(max(np.uint32(magnitude & _INF), lowest), highest)
        spacer = np.uint32(field + lift).view(np.float32)
        value = np.uint32(magnitude).view(np.float32)
        rounded = np.float32((value + spacer) - spacer).view(np.uint32)
        is_over = (rounded > largest) & (magnitude <= _INF)
        sign = np.uint32(bits[i] & (zero_sign if rounded == _ZERO else _SIGN))
        out[i] = (overflow if is_over else rounded) | sign


@_compiled
def look_up(codes: Any, table: Any, out: Any) -> None:
    """Replace every code by what the table has for it.

    Args:
        codes: (N,) uint16.
        table: (65536,) uint16.
        out: (N,) uint16, written.
    """
    for i in range(codes.size):
        out[i] = table[codes[i]]
