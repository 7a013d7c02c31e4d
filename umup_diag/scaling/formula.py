"""Formulas as one line of Python each: what is shown and what is computed are the same text."""

import math
from collections.abc import Callable

EULER_GAMMA = 0.5772156649015329
#: Of seq_len: H_s to the first terms of its expansion, to 3e-5 from 64 positions on.
HARMONIC = f"log(seq_len) + {EULER_GAMMA} + 0.5 / seq_len"


def log_interpolate(alpha: float, upper: float, lower: float) -> float:
    """Interpolate geometrically: ``upper`` at ``alpha`` = 1, ``lower`` at ``alpha`` = 0.

    The argument order is the paper's (Appendix B); the unit-scaling library's is
    ``(alpha, lower, upper)``. Both limits must be positive.
    """
    return math.exp(alpha * math.log(upper) + (1 - alpha) * math.log(lower))


_NAMES = {
    "__builtins__": {},
    "log": math.log,
    "log_interpolate": log_interpolate,
    "pi": math.pi,
    "sqrt": math.sqrt,
}


def compiled(text: str) -> Callable[..., float]:
    """The function that a formula computes; it takes the formula's parameters by keyword.

    The text is executed, so it must stand in this package's source: never a user's, nor a file's.
    """
    code = compile(text, text, "eval")

    def of(**parameters: float) -> float:
        return float(eval(code, _NAMES, parameters))

    return of
