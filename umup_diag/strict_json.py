"""JSON that any parser reads: non-finite numbers are the strings "nan", "inf" and "-inf"."""

import json
import math
from typing import Any

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
    return json.dumps(_encode(value), indent=indent, ensure_ascii=False, allow_nan=False)


def number(value: float | str) -> float:
    """Decode what `dumps` wrote for a float."""
    return _NAMES[value] if isinstance(value, str) else value
