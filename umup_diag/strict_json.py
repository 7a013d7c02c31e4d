"""JSON that any parser reads: non-finite numbers are the strings "nan", "inf" and "-inf"."""

import json
import math
import re
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
_NAMES = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def _encode(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    return value


def dumps(value: Any, *, indent: int | None = None) -> str:
    """Encode dicts, sequences, strings, numbers, booleans and None."""
    try:
        text = _dumps(value, indent)
    except ValueError:  # a number that is not finite, which is rare, and looking for it is slow
        text = _dumps(_encode(value), indent)
    # half a character, as a path that is no UTF-8 has, can be escaped but not encoded
    return _SURROGATE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _dumps(value: Any, indent: int | None) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)


def loads(text: str) -> Any:
    """Decode what `dumps` wrote: no NaN or infinity as a number, and integers of 64 bits.

    Raises:
        ValueError: if it is anything else.
        RecursionError: if it is nested deeper than any parser goes.
    """
    return json.loads(text, parse_constant=_no_number, parse_int=_int64, parse_float=_finite)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _int64(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        raise ValueError(f"the integer {digits[:20]}… is of more than 64 bits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is beyond any double")
    return value


def number(value: float | str) -> float:
    """Decode what `dumps` wrote for a float.

    Raises:
        KeyError, TypeError: if it is no number.
    """
    if isinstance(value, str):
        return _NAMES[value]
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"a {type(value).__name__} is no number")
    return value


def whole(value: Any) -> int:
    """Check that a decoded value is a whole number, not negative.

    Raises:
        TypeError: if it is not.
    """
    if type(value) is not int or value < 0:
        raise TypeError(f"{str(value)[:40]!r} is no count")
    return value
