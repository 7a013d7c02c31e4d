"""The fast twin of `umup_diag.numerics.rounding`: a whole tensor, the same numbers.

The result never depends on what this torch version's own casts do beyond the largest value.
"""

import math
from functools import lru_cache
from typing import assert_never

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from umup_diag.errors import InputError
from umup_diag.numerics.borrowed import borrowed
from umup_diag.numerics.formats import (
    BF16,
    E4M3FN,
    E4M3FNUZ,
    E5M2,
    E5M2FNUZ,
    FP16,
    Format,
    Overflow,
)
from umup_diag.numerics.rounding import Rounding, check_overflow, overflowed
from umup_diag.numerics.threads import can_compile, in_threads

_NATIVE = {
    E4M3FN: torch.float8_e4m3fn,
    E5M2: torch.float8_e5m2,
    E4M3FNUZ: torch.float8_e4m3fnuz,
    E5M2FNUZ: torch.float8_e5m2fnuz,
    FP16: torch.float16,
    BF16: torch.bfloat16,
}
"""torch's own casts: exact up to the largest value, which is all that is asked of them here."""


def quantize(
    x: Tensor,
    fmt: Format,
    *,
    rounding: Rounding | str = Rounding.NEAREST_EVEN,
    overflow: Overflow | str = Overflow.SATURATE,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Round every element to a format.

    Rules are those of `umup_diag.numerics.rounding.round_to_format`. No gradient flows: see
    `umup_diag.numerics.straight_through`.

    Returns:
        A tensor of the shape and device of `x`, and of its dtype if that has every value of the
        format, else float32.

    Args:
        x: any real floating-point tensor, any shape and stride.
        fmt: target format.
        rounding: which neighbour.
        overflow: what too large an element becomes.
        generator: for stochastic rounding.

    Raises:
        InputError: an integer or complex tensor; an unknown rule; a rule that `fmt` has no code
            for.
    """
    rounding, overflow = _rules(rounding, overflow)
    check_overflow(fmt, overflow)
    if not x.dtype.is_floating_point:
        raise InputError(f"cannot quantize {x.dtype}: needs a real floating-point tensor")
    x = x.detach()
    wide = _wide(x.dtype)
    rounded = _shortcut(x, fmt, rounding, overflow)
    if rounded is None:
        exact = torch.promote_types(_exact_dtype(fmt), wide)
        rounded = _round(x.to(exact), fmt, rounding, overflow, generator)
    return rounded.to(x.dtype if _holds(x.dtype, fmt) else wide)


def _shortcut(x: Tensor, fmt: Format, rounding: Rounding, overflow: Overflow) -> Tensor | None:
    """Fewer passes over memory for what is asked most; None where there is no shortcut."""
    if rounding is Rounding.STOCHASTIC or x.dtype is torch.float64:
        return None
    if can_compile(x) and x.itemsize == 2 and _holds(x.dtype, fmt):
        return _looked_up(x, fmt, rounding, overflow)
    if rounding is not Rounding.NEAREST_EVEN:
        return None
    if can_compile(x) and _exact_dtype(fmt) is torch.float32 and fmt.mantissa_bits and fmt.signed:
        return _compiled(x, fmt, overflow)
    if overflow is Overflow.SATURATE and fmt in _NATIVE and x.itemsize > 1:
        source = x if _holds(x.dtype, fmt) else x.to(torch.float32)
        return source.clamp(-fmt.max, fmt.max).to(_NATIVE[fmt])
    return None


def _looked_up(x: Tensor, fmt: Format, rounding: Rounding, overflow: Overflow) -> Tensor:
    """16-bit elements: there are only 65 536, each rounded once."""
    from umup_diag.numerics.kernels import look_up

    table = _table(x.dtype, fmt, rounding, overflow)
    source = x.contiguous()
    result = torch.empty_like(source)

    def work(source: Tensor, result: Tensor) -> None:
        codes, out = (borrowed(part, np.uint16) for part in (source, result))
        look_up(codes, table, out)

    in_threads(work, source.view(-1), result.view(-1))
    return result


@lru_cache(maxsize=64)
def _table(
    dtype: torch.dtype, fmt: Format, rounding: Rounding, overflow: Overflow
) -> npt.NDArray[np.uint16]:
    codes = torch.arange(1 << 16, dtype=torch.int32).to(torch.uint16)
    every = codes.view(dtype).to(_exact_dtype(fmt))
    rounded = _round(every, fmt, rounding, overflow, None).to(dtype)
    table: npt.NDArray[np.uint16] = rounded.view(torch.uint16).numpy()
    return table


def _compiled(x: Tensor, fmt: Format, overflow: Overflow) -> Tensor:
    from umup_diag.numerics.kernels import round_nearest_even

    bias, mantissa_bits = 127, 23
    limits = np.array(
        [
            fmt.min_exponent + bias << mantissa_bits,
            fmt.max_exponent + bias << mantissa_bits,
            mantissa_bits - fmt.mantissa_bits << mantissa_bits,
            np.float32(fmt.max).view(np.uint32),
        ],
        dtype=np.uint32,
    )
    beyond = np.float32(overflowed(fmt, overflow)).view(np.uint32)
    zero_sign = np.uint32(0x80000000 if fmt.signed_zero else 0)
    source = x.to(torch.float32).contiguous()
    result = torch.empty_like(source)

    def work(source: Tensor, result: Tensor) -> None:
        bits, out = (borrowed(part, np.uint32) for part in (source, result))
        round_nearest_even(bits, out, limits, beyond, zero_sign)

    in_threads(work, source.view(-1), result.view(-1))
    return result


def _rules(rounding: Rounding | str, overflow: Overflow | str) -> tuple[Rounding, Overflow]:
    try:
        return Rounding(rounding), Overflow(overflow)
    except ValueError as problem:
        raise InputError(
            f"{problem}; rounding is one of {', '.join(Rounding)}, "
            f"overflow one of {', '.join(Overflow)}"
        ) from problem


def _round(
    x: Tensor,
    fmt: Format,
    rounding: Rounding,
    overflow: Overflow,
    generator: torch.Generator | None,
) -> Tensor:
    """Follow the reference step by step, in a dtype where every step is exact."""
    magnitude = x.abs().clamp_(min=float(fmt.magnitude(0)))
    spacing = _power_of_two_below(magnitude).clamp_(fmt.min_normal, 2.0**fmt.max_exponent)
    spacing *= 2.0**-fmt.mantissa_bits
    position = magnitude / spacing
    match rounding:
        case Rounding.NEAREST_EVEN:
            steps = position.round() if fmt.mantissa_bits else _even_power(position, spacing, fmt)
        case Rounding.NEAREST_AWAY:
            steps = position.floor()
            steps += position - steps >= 0.5
        case Rounding.TOWARD_ZERO:
            steps = position.floor()
        case Rounding.STOCHASTIC:
            steps = position.floor()
            steps += position - steps > _draws(x, generator)
        case _:
            assert_never(rounding)
    result = steps.mul_(spacing)
    if rounding is Rounding.TOWARD_ZERO:
        result = torch.where(magnitude.isinf(), magnitude, result.clamp_(max=fmt.max))
    match overflow:
        case Overflow.SATURATE:
            result = result.clamp_(max=fmt.max)
        case Overflow.INF:
            result = result.masked_fill_(result > fmt.max, math.inf)
        case Overflow.NAN:
            result = result.masked_fill_(result > fmt.max, math.nan)
        case _:
            assert_never(overflow)
    if not fmt.signed:
        return result.masked_fill_(x < 0, math.nan)
    result = result.copysign_(x)
    return result if fmt.signed_zero else result.add_(0.0)


def _power_of_two_below(magnitude: Tensor) -> Tensor:
    """Largest power of two up to each normal magnitude; 0 below them, infinity for NaN."""
    if magnitude.dtype is torch.float64:
        return (magnitude.view(torch.int64) & 0x7FF0000000000000).view(torch.float64)
    return (magnitude.view(torch.int32) & 0x7F800000).view(torch.float32)


def _wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which an input is read; float8 dtypes know no arithmetic of their own."""
    return torch.float64 if dtype is torch.float64 else torch.float32


def _even_power(position: Tensor, spacing: Tensor, fmt: Format) -> Tensor:
    """Nearest even where codes are powers of two: 1.5 goes to the neighbour with the even code."""
    field = spacing.log2() + fmt.bias
    return torch.where((position == 1.5) & (field % 2 == 0), 1.0, position.round())


def _draws(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Uniform in (0, 1), at odd multiples of 2**-25: means are exact to that share of a gap."""
    draws = torch.rand(x.shape, generator=generator, dtype=torch.float32, device=x.device)
    return (
        draws.to(torch.float64).add_(2.0**-25) if x.dtype is torch.float64 else draws.add_(2.0**-25)
    )


def _exact_dtype(fmt: Format) -> torch.dtype:
    """float32 where it keeps every step exact with a margin, else float64."""
    in_range = math.log2(fmt.smallest_subnormal) > -100 and fmt.max_exponent < 100
    return torch.float32 if in_range else torch.float64


def _holds(dtype: torch.dtype, fmt: Format) -> bool:
    """Whether a dtype has every value of the format."""
    if dtype.itemsize == 1:
        return False
    limits = torch.finfo(dtype)
    return (
        fmt.max <= limits.max
        and 2.0**-fmt.mantissa_bits >= limits.eps
        and fmt.smallest_subnormal >= limits.tiny * limits.eps
    )
