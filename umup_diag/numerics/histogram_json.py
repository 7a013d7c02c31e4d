"""How a histogram's counts are written to JSON: sparse, lossless, the same bytes each time."""

import math
from base64 import b64decode, b64encode, b85decode
from collections.abc import Callable
from functools import partial
from typing import Any
from zlib import compress, decompressobj, error

import numpy as np

from umup_diag.errors import InputError, in_a_line
from umup_diag.numerics.counting import FULL_MANTISSA_BITS, Counts

_SCHEMA = 2
_FROM_TEXT: dict[int, Callable[[str], bytes]] = {
    1: b85decode,  # a twentieth shorter, and slower to write than all the rest of a histogram
    2: partial(b64decode, validate=True),
}
_MAX_BINS = 1 << 18  # two for each 16-bit code, and twice that
_MAX_SQUARE_BITS = 1 << 14  # float64, squared and added up, takes 4200


def encode(histogram: Counts) -> dict[str, Any]:
    """Write every field; keys as gaps, integers as bytes of equal weight together, deflated."""
    squares = histogram.squares
    shift = (squares & -squares).bit_length() - 1 if squares else 0
    gaps = np.diff(histogram.keys, prepend=np.uint32(0))
    return {
        "schema": _SCHEMA,
        "mantissa_bits": histogram.mantissa_bits,
        "nan": histogram.nan_count,
        "inf": histogram.inf_count,
        "absmax": _none_if_nan(histogram.absmax),
        "smallest_nonzero": _none_if_nan(histogram.smallest_nonzero),
        "squares": [f"{squares >> shift:x}", shift],
        "bins": len(gaps),
        "codes": _pack(gaps.astype("<u4")),
        "counts": _pack(histogram.counts.astype("<i8")),
    }


def decode(written: dict[str, Any]) -> Counts:
    """Read the fields back.

    Raises:
        InputError: if a field is missing or not as `encode` wrote it.
    """
    try:
        if written["schema"] not in _FROM_TEXT:
            raise InputError(f"histogram schema {written['schema']!r} is not {_SCHEMA}")
        from_text = _FROM_TEXT[written["schema"]]
        significand, shift = written["squares"]
        if not (4 * len(significand) <= _MAX_SQUARE_BITS and 0 <= shift <= _MAX_SQUARE_BITS):
            raise InputError("a sum of squares beyond any tensor's")
        if type(written["bins"]) is not int or not 0 <= written["bins"] <= _MAX_BINS:
            raise InputError("more bins than there are codes")
        gaps = _unpack(from_text(written["codes"]), "<u4", written["bins"])
        counts = _unpack(from_text(written["counts"]), "<i8", written["bins"]).astype(np.int64)
        squares = int(significand, 16) << shift
        numbers = [written["nan"], written["inf"], written["mantissa_bits"]]
        if squares < 0 or any(type(each) is not int or each < 0 for each in numbers):
            raise InputError("a count or a sum of squares that is negative or no whole number")
        if (counts <= 0).any() or not gaps[1:].all() or int(gaps.sum(dtype=np.uint64)) >> 32:
            raise InputError("an empty bin, or bins out of order")
        if counts.sum(dtype=np.float64) > 2.0**62 or numbers[2] > FULL_MANTISSA_BITS:
            raise InputError("more elements than any tensor has, or finer bins than there are")
        return Counts(
            keys=np.cumsum(gaps, dtype=np.uint32),
            counts=counts,
            squares=squares,
            absmax=_nan_if_none(written["absmax"]),
            smallest_nonzero=_nan_if_none(written["smallest_nonzero"]),
            nan_count=int(written["nan"]),
            inf_count=int(written["inf"]),
            mantissa_bits=int(written["mantissa_bits"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError, error) as problem:
        raise InputError(f"not a histogram as to_json writes it: {in_a_line(problem)}") from problem


def _pack(numbers: np.ndarray[Any, Any]) -> str:
    by_weight = numbers.view(np.uint8).reshape(len(numbers), numbers.itemsize).T
    return b64encode(compress(by_weight.tobytes())).decode("ascii")


def _unpack(packed: bytes, dtype: str, length: int) -> np.ndarray[Any, Any]:
    wanted = np.dtype(dtype).itemsize * length
    raw = decompressobj().decompress(packed, wanted + 1)  # no more, whatever is in there
    by_weight = np.frombuffer(raw, dtype=np.uint8)
    return (
        np.ascontiguousarray(by_weight.reshape(np.dtype(dtype).itemsize, length).T)
        .view(dtype)
        .reshape(length)
    )


def _none_if_nan(x: float) -> float | None:
    return None if math.isnan(x) else x


def _nan_if_none(x: float | None) -> float:
    return math.nan if x is None else float(x)
