"""Exact scales of elementwise ops: one-dimensional integrals over a unit normal."""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType

from scipy.integrate import quad
from scipy.special import expit, ndtr

# The normal density beyond 12 is below 1e-32 of its peak.
_EDGE = 12.0


def gaussian_rms(function: Callable[[float], float], *, width: float = 1.0) -> float:
    """√E f(x)² for x ~ N(0, 1), by adaptive Gauss-Kronrod quadrature.

    Args:
        function: a real function of one number.
        width: the length over which it changes near 0; the interval is split there, so that a
            sharp step is not stepped over.
    """
    breaks = sorted({b for b in (width, 8 * width) if b < _EDGE})
    edges = [0.0, *breaks, _EDGE]
    total = 0.0
    for low, high in pairwise(edges):
        for sign in (-1.0, 1.0):
            part = quad(_weighted, low, high, (function, sign), epsabs=1e-15, epsrel=1e-11)
            total += part[0]
    return math.sqrt(total)


def _weighted(x: float, function: Callable[[float], float], sign: float) -> float:
    density = math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return float(function(sign * x)) ** 2 * density


def _silu(x: float, alpha: float) -> float:
    return x * float(expit(alpha * x))


def _silu_slope(x: float, alpha: float) -> float:
    gate = float(expit(alpha * x))
    return gate * (1 + alpha * x * (1 - gate))


def _gelu(x: float, alpha: float) -> float:
    return x * float(ndtr(alpha * x))


def _gelu_slope(x: float, alpha: float) -> float:
    bell = math.exp(-((alpha * x) ** 2) / 2) / math.sqrt(2 * math.pi)
    return float(ndtr(alpha * x)) + alpha * x * bell


def silu_rms(alpha: float) -> float:
    """RMS of ``x · sigmoid(alpha · x)``; also of ``x_in · x_gate · sigmoid(alpha · x_gate)``."""
    return gaussian_rms(lambda x: _silu(x, alpha), width=1 / alpha)


def silu_grad_rms(alpha: float) -> float:
    """RMS of the gradient through ``x · sigmoid(alpha · x)``, and of the gated op's gate."""
    return gaussian_rms(lambda x: _silu_slope(x, alpha), width=1 / alpha)


def gelu_rms(alpha: float) -> float:
    """RMS of ``gelu(alpha · x) / alpha``, that is x Φ(alpha x)."""
    return gaussian_rms(lambda x: _gelu(x, alpha), width=1 / alpha)


def gelu_grad_rms(alpha: float) -> float:
    """RMS of the gradient through ``gelu(alpha · x) / alpha``."""
    return gaussian_rms(lambda x: _gelu_slope(x, alpha), width=1 / alpha)


def relu_rms() -> float:
    """RMS of ``relu(x)`` and of its gradient."""
    return 1 / math.sqrt(2)


EXACT: Mapping[tuple[str, str], Callable[..., float]] = MappingProxyType(
    {
        ("gated-silu", "output"): silu_rms,
        ("gated-silu", "gradient of x_in"): silu_rms,
        ("gated-silu", "gradient of x_gate"): silu_grad_rms,
        ("silu", "output"): silu_rms,
        ("silu", "gradient of x"): silu_grad_rms,
        ("gelu", "output"): gelu_rms,
        ("gelu", "gradient of x"): gelu_grad_rms,
        ("relu", "output"): relu_rms,
        ("relu", "gradient of x"): relu_rms,
    }
)
