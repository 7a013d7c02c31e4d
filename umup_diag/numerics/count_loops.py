"""The compiled loops that count a tensor; why they look like this: docs/kernels.md.

Each function counts a whole flat tensor and leaves its scratch as it found it: zeros. Indices are
unsigned, which spares numba the test for negative ones. Loops hold no lock, so that plain threads
can share a large tensor.
"""

from typing import Any

import numpy as np

from umup_diag.numerics.kernels import compiled

CODES = 1 << 15  #: magnitudes of 16 bits
MOST = 1 << 31
"""Elements that one call may count: a counter of 32 bits holds no more of one code."""
LIMBS = 24
"""A sum of squares, in pieces of 32 bits: from 2**-448 to 2**320."""
LIMBS_UNIT_LOG2 = -448

_BLOCK = 1024  # elements whose intermediate results stay in the first-level cache
_STRIDE = 64  # counters that are looked at together
_MAGNITUDE = np.uint32(0x7FFFFFFF)
_REST = np.uint32(0xFFFF)
_CODE_SHIFT = np.uint32(16)
_ZERO = np.uint32(0)
_UNIT = np.uint32(1)
_INF = np.uint32(0x7F800000)
_INF_CODE = 0x7F80
_MANTISSA_BITS = 23
_OCTAVES = 27  # below the largest element's, in which squares leave nothing
_IMPLICIT = np.int64(1) << 23
_LOW_BITS = 12  # of a float32's 24, zero in every value of 16 bits or less
_UINT16_MAGNITUDES = np.uint64(0x7FFF7FFF7FFF7FFF)
_UINT16 = np.uint64(0xFFFF)
_UINT8 = np.uint64(0xFF)


@compiled
def _add(limbs: Any, value: Any, exponent: Any) -> None:
    """Add value · 2**exponent, `value` an int64 of either sign, below 2**62."""
    at = exponent - LIMBS_UNIT_LOG2
    limb, shift = at >> 5, at & 31
    low = (value & 0xFFFFFFFF) << shift
    high = (value >> 32) << shift
    limbs[limb] += low & 0xFFFFFFFF
    limbs[limb + 1] += (low >> 32) + (high & 0xFFFFFFFF)
    limbs[limb + 2] += high >> 32


@compiled
def _add_float64(limbs: Any, value: Any) -> None:
    """Add a normal float64 of either sign."""
    bits = np.float64(value).view(np.int64)
    significand = bits & 0xFFFFFFFFFFFFF | 0x10000000000000
    exponent = (bits >> 52 & 0x7FF) - 1075
    _add(limbs, -significand if bits < 0 else significand, exponent)


@compiled
def _add_squares(values: Any, smallest: Any, largest: Any, limbs: Any, left: Any) -> None:
    """Add the squares of a block's elements, exactly.

    A square has 48 bits and is a float64. Added to a power of two beyond them all, its upper bits
    become the lower bits of the sum, seen as an integer, and integers add up exactly in any order:
    so the loop is vectorised. What was rounded off goes the same way to a smaller power of two.
    Elements of 28 octaves fit in between; what smaller ones leave is then added one by one.

    Args:
        values: (N,) float32, finite, at most `_BLOCK`.
        smallest: bits of the smallest non-zero magnitude, less one.
        largest: bits of the largest magnitude.
        limbs: (LIMBS,) int64, added to.
        left: (_BLOCK,) float64, scratch.
    """
    field = np.int64(largest >> np.uint32(_MANTISSA_BITS))
    exponent = 2 * (field - 126)
    first = np.int64(exponent + 1023 << 52)  # of 2**exponent, beyond every square
    second = np.int64(exponent - 51 + 1023 << 52 | 1 << 51)  # half as much again: rests have signs
    upper, lower = np.int64(first).view(np.float64), np.int64(second).view(np.float64)
    high, low = np.int64(0), np.int64(0)
    for i in range(values.size):  # vectorised
        value = np.float64(values[i])
        square = value * value
        rounded = upper + square
        high += np.float64(rounded).view(np.int64)
        square -= rounded - upper
        rounded = lower + square
        low += np.float64(rounded).view(np.int64)
    # Integers wrap around, and back where what was added to is taken off again.
    _add(limbs, high - first * values.size, exponent - 52)
    _add(limbs, low - second * values.size, exponent - 51 - 52)
    if np.int64(smallest >> np.uint32(_MANTISSA_BITS)) < field - _OCTAVES:
        for i in range(values.size):  # vectorised
            value = np.float64(values[i])
            square = value * value
            square -= (upper + square) - upper
            left[i] = square - ((lower + square) - lower)
        for i in range(values.size):
            if left[i] != 0.0:
                _add_float64(limbs, left[i])


@compiled
def _ahead(elements: Any, start: Any) -> Any:
    """The block after the one at `start`, to be touched while that one is counted.

    Counting waits for the processor, and copying a block for the memory; it comes while the other
    is done if somebody asks for it. Four codes are read in one load: loads are what a loop of
    single ones waits for.

    Returns:
        A block, and what its indices are to be masked by.
    """
    ahead = elements[start + _BLOCK : start + 2 * _BLOCK]
    if ahead.size < _BLOCK:
        return elements[start : start + _BLOCK], 0
    return ahead, _BLOCK - 1


@compiled
def count_float32(bits: Any, values: Any, scratch: Any, limbs: Any) -> Any:
    """Count float32 elements by the top 15 bits of their magnitude.

    Args:
        bits: (N,) uint32, the elements seen as integers; at most `MOST`.
        values: (N,) float32, the elements.
        scratch: (2, CODES) uint32, zeros; and again on return.
        limbs: (LIMBS,) int64, to which the sum of squares of the finite elements is added.

    Returns:
        The keys and counts of `Counts`; NaNs; infinities; bits of the largest finite magnitude (0
        if there is none), and of the smallest non-zero one (infinity's or more if there is none);
        and what `_ahead` is read for, without which the reading would be left out.
    """
    total, exact = scratch[0], scratch[1]
    codes = np.empty(_BLOCK, np.uint16)
    in_fours = codes.view(np.uint64)
    finite = np.empty(_BLOCK, np.float32)
    left = np.empty(_BLOCK, np.float64)
    largest, smallest = _ZERO, np.uint32(0xFFFFFFFF)
    are_finite, touched = True, _ZERO
    for start in range(0, bits.size, _BLOCK):
        block = bits[start : start + _BLOCK]
        block_largest = _ZERO
        block_smallest = least_rest = np.uint32(0xFFFFFFFF)
        for i in range(block.size):  # vectorised
            magnitude = np.uint32(block[i] & _MAGNITUDE)
            codes[i] = np.uint16(magnitude >> _CODE_SHIFT)
            least_rest = min(least_rest, np.uint32(magnitude & _REST))
            block_largest = max(block_largest, magnitude)
            block_smallest = min(block_smallest, np.uint32(magnitude - _UNIT))  # zero is the most
        ahead, last = _ahead(bits, start)
        for i in range(block.size >> 2):
            four = in_fours[i]
            touched |= ahead[i << 2 & last]
            total[four & _UINT16] += _UNIT
            total[four >> np.uint64(16) & _UINT16] += _UNIT
            total[four >> np.uint64(32) & _UINT16] += _UNIT
            total[four >> np.uint64(48)] += _UNIT
        for i in range(block.size & ~3, block.size):
            total[codes[i]] += _UNIT
        if least_rest == _ZERO:
            for i in range(block.size):
                exact[codes[i]] += np.uint32(np.uint32(block[i] & _REST) == _ZERO)
        squared = values[start : start + _BLOCK]
        if block_largest >= _INF:
            are_finite = False
            block_largest = _ZERO
            for i in range(block.size):
                magnitude = np.uint32(block[i] & _MAGNITUDE)
                is_finite = magnitude < _INF
                finite[i] = squared[i] if is_finite else np.float32(0)
                block_largest = max(block_largest, magnitude if is_finite else _ZERO)
            squared = finite[: block.size]
        _add_squares(squared, block_smallest, block_largest, limbs, left)
        largest = max(largest, block_largest)
        smallest = min(smallest, block_smallest)
    nans = infinities = np.int64(0)
    if not are_finite:
        infinities = np.int64(exact[_INF_CODE])
        for code in range(_INF_CODE, CODES):
            nans += np.int64(total[code])
            total[code] = exact[code] = _ZERO
        nans -= infinities
    lowest = np.int64(smallest) + 1
    keys, counts = _taken(total, exact, lowest >> 16, np.int64(largest) >> 16)
    return keys, counts, nans, infinities, np.int64(largest), lowest, touched


@compiled
def _taken(total: Any, exact: Any, first: Any, last: Any) -> Any:
    """The keys and counts of what was counted, all of it in code 0 and codes first … last."""
    keys = np.empty(2 * (max(0, last - first + 1) + 1), np.uint32)
    counts = np.empty(keys.size, np.int64)
    found = 0
    code = 0
    while code <= last:
        number = total[code]
        if number:
            alike = exact[code]
            if alike:
                keys[found] = code << 16
                counts[found] = alike
                found += 1
            if number != alike:
                keys[found] = code << 16 | 1
                counts[found] = number - alike
                found += 1
            total[code] = exact[code] = _ZERO
        code = max(code + 1, first)
    return keys[:found].copy(), counts[:found].copy()


@compiled
def count_16_bit(bits: Any, magnitudes: Any, total: Any, limbs: Any) -> Any:
    """Count 16-bit elements by their magnitude.

    Args:
        bits: (N,) uint16, the elements seen as integers; at most `MOST`.
        magnitudes: (CODES,) uint32, what each stands for, as the bits of a float32; ascending.
        total: (CODES,) uint32, zeros; and again on return.
        limbs: (LIMBS,) int64, to which the sum of squares of the finite elements is added.

    Returns:
        The keys and counts of `Counts`; NaNs; infinities; and what `_ahead` is read for.
    """
    codes = np.empty(_BLOCK, np.uint16)
    in_fours = codes.view(np.uint64)
    touched = np.uint16(0)
    for start in range(0, bits.size, _BLOCK):
        block = bits[start : start + _BLOCK]
        for i in range(block.size):  # vectorised
            codes[i] = np.uint16(block[i] & np.uint16(0x7FFF))
        ahead, last = _ahead(bits, start)
        for i in range(block.size >> 2):
            four = in_fours[i]
            touched |= ahead[i << 2 & last]
            total[four & _UINT16] += _UNIT
            total[four >> np.uint64(16) & _UINT16] += _UNIT
            total[four >> np.uint64(32) & _UINT16] += _UNIT
            total[four >> np.uint64(48)] += _UNIT
        for i in range(block.size & ~3, block.size):
            total[codes[i]] += _UNIT
    keys, counts, nans, infinities = _taken_small(total, magnitudes, limbs)
    return keys, counts, nans, infinities, touched


@compiled
def count_8_bit(bits: Any, magnitudes: Any, total: Any, limbs: Any) -> Any:
    """Count 8-bit elements by code, of which several may have one magnitude.

    Args:
        bits: (N,) uint8, the elements seen as integers; at most `MOST`.
        magnitudes: (256,) uint32, what each stands for, as the bits of a float32.
        total: (CODES,) uint32, zeros; and again on return.
        limbs: (LIMBS,) int64, to which the sum of squares of the finite elements is added.

    Returns:
        The keys and counts of `Counts`, in the order of codes; NaNs; infinities; and what `_ahead`
        is read for.
    """
    codes = np.empty(_BLOCK, np.uint8)
    in_eights = codes.view(np.uint64)
    touched = np.uint8(0)
    for start in range(0, bits.size, _BLOCK):
        block = bits[start : start + _BLOCK]
        for i in range(block.size):  # vectorised: a copy
            codes[i] = block[i]
        ahead, last = _ahead(bits, start)
        for i in range(block.size >> 3):
            eight = in_eights[i]
            touched |= ahead[i << 3 & last]
            for shift in range(0, 64, 8):  # unrolled
                total[eight >> np.uint64(shift) & _UINT8] += _UNIT
        for i in range(block.size & ~7, block.size):
            total[codes[i]] += _UNIT
    keys, counts, nans, infinities = _taken_small(total, magnitudes, limbs)
    return keys, counts, nans, infinities, touched


@compiled
def _are_zeros(total: Any, start: Any) -> Any:
    """Whether nothing was counted in `_STRIDE` codes."""
    every = _ZERO
    for i in range(start, start + _STRIDE):  # vectorised
        every |= total[i]
    return every == _ZERO


@compiled
def _taken_small(total: Any, magnitudes: Any, limbs: Any) -> Any:
    """The keys and counts of what was counted, and their squares."""
    first, end = 0, magnitudes.size
    while first < end and _are_zeros(total, first):
        first += _STRIDE
    while first < end and _are_zeros(total, end - _STRIDE):
        end -= _STRIDE
    keys = np.empty(end - first, np.uint32)
    counts = np.empty(keys.size, np.int64)
    found = 0
    nans = infinities = np.int64(0)
    for code in range(first, end):
        number = np.int64(total[code])
        if not number:
            continue
        total[code] = _ZERO
        magnitude = magnitudes[code]
        if magnitude >= _INF:
            infinities += number if magnitude == _INF else 0
            nans += 0 if magnitude == _INF else number
            continue
        keys[found] = magnitude
        counts[found] = number
        found += 1
        field = np.int64(magnitude >> np.uint32(_MANTISSA_BITS))
        significand = np.int64(magnitude) & _IMPLICIT - 1 | (_IMPLICIT if field else 0)
        significand >>= _LOW_BITS  # 12 bits are left: their square times a count is below 2**56
        exponent = (field or 1) - 127 - _MANTISSA_BITS + _LOW_BITS
        _add(limbs, significand * significand * number, 2 * exponent)
    return keys[:found].copy(), counts[:found].copy(), nans, infinities
