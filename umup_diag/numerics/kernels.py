"""The compiled loops of `umup_diag.numerics.quantize`; why they look like this: docs/kernels.md.

Loops hold no lock, so that plain threads can share a large tensor.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

_MAGNITUDE = np.uint32(0x7FFFFFFF)
_SIGN = np.uint32(0x80000000)
_ZERO = np.uint32(0)
_INF = np.uint32(0x7F800000)


def compiled(function: F) -> F:
    """Compile on first use, and keep the result on disk where some folder can be written."""
    try:
        fast: F = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba's word for: no folder to cache in
        fast = numba.njit(nogil=True)(function)
    return fast


@compiled
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


@compiled
def look_up(codes: Any, table: Any, out: Any) -> None:
    """Replace every code by what the table has for it.

    Args:
        codes: (N,) uint16.
        table: (65536,) uint16.
        out: (N,) uint16, written.
    """
    for i in range(codes.size):
        out[i] = table[codes[i]]
