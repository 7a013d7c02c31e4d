"""How well one tensor fits in one number format."""

from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from math import floor, inf, isfinite, isnan, log2, log10, nan
from typing import assert_never

from umup_diag.errors import InputError
from umup_diag.numerics.block import SELF_SCALED, BlockCast
from umup_diag.measure.snapshot import TensorHistogram
from umup_diag.numerics import formats
from umup_diag.numerics.formats import Format
from umup_diag.numerics.histogram import CodeHistogram

_PAST_THE_TOP = 8  # octaves beyond it that are tried


class Flag(IntEnum):
    """What is the matter, from nothing to worst."""

    OK = 0
    NEAR_MIN_NORMAL = 1
    NEAR_MAX = 2
    UNDERFLOW = 3
    OVERFLOW = 4
    NON_FINITE = 5

    @property
    def label(self) -> str:
        """As results spell it."""
        return self.name.lower()

    @property
    def fails(self) -> bool:
        """Whether it fails a check that is not strict."""
        return self >= Flag.UNDERFLOW


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Where each flag begins. Why these: docs/fp8_range.md.

    Attributes:
        near_max_octaves: absmax closer to the largest value than this is `NEAR_MAX`.
        near_min_octaves: RMS less than this above the smallest normal value is `NEAR_MIN_NORMAL`.
        underflow_fraction: a larger share of non-zero elements becoming zero is `UNDERFLOW`.
        subnormal_fraction: a larger share becoming subnormal is `NEAR_MIN_NORMAL`.
    """

    near_max_octaves: float = 1.0
    near_min_octaves: float = 1.0
    underflow_fraction: float = 0.1
    subnormal_fraction: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatFit:
    """One tensor in one format.

    Attributes:
        format: its name.
        flag: what is the matter.
        underflow_fraction: share of the non-zero elements that becomes zero.
        subnormal_fraction: share that becomes subnormal.
        overflow_fraction: share that rounds beyond the largest value.
        headroom_high: octaves from absmax up to the largest value.
        headroom_low: octaves from the smallest normal value up to RMS.
        sqnr_db: signal over quantisation noise of a saturating cast.
        best_scale_log2: power of two that makes `sqnr_db` best; None for block formats, which
            choose their own.
        best_sqnr_db: and what it makes of it.
    """

    format: str
    flag: Flag
    underflow_fraction: float
    subnormal_fraction: float
    overflow_fraction: float
    headroom_high: float
    headroom_low: float
    sqnr_db: float
    best_scale_log2: int | None
    best_sqnr_db: float


def resolve(name: str) -> str:
    """The name under which a format is known, block formats included.

    Raises:
        InputError: if there is none.
    """
    wanted = name.strip().upper().replace("-", "_")
    wanted = {"MXFP8": "MXFP8_E4M3", "MXFP6": "MXFP6_E2M3"}.get(wanted, wanted)
    if wanted in SELF_SCALED:
        return wanted
    if wanted.startswith(("MX", "NV")):
        raise InputError(
            f"{name!r} is no block format that is judged here; there are "
            f"{', '.join(SELF_SCALED).lower()}."
        )
    return formats.get(name).name


def fit(seen: TensorHistogram, name: str, limits: Limits) -> FormatFit:
    """Judge one tensor in one format.

    Raises:
        InputError: for a block format of which nothing was measured: a recording keeps no blocks.
    """
    if name in SELF_SCALED:
        if name not in seen.blocks:
            raise InputError(
                f"{name.lower()} scales small blocks of elements, and a recording does not keep "
                "blocks.\nGive a checkpoint, or element formats such as e4m3fn,e5m2."
            )
        return _fit_blocks(seen.histogram, seen.blocks[name], name, limits)
    histogram, fmt = seen.histogram, formats.get(name)
    best = best_scale(histogram, fmt)
    return FormatFit(
        format=name,
        flag=flag_at(histogram, fmt, limits, 0),
        underflow_fraction=histogram.underflow_fraction(fmt),
        subnormal_fraction=histogram.subnormal_fraction(fmt),
        overflow_fraction=histogram.overflow_fraction(fmt),
        headroom_high=headroom_high(histogram.absmax, fmt),
        headroom_low=headroom_low(histogram.rms, fmt),
        sqnr_db=histogram.sqnr_db(fmt),
        best_scale_log2=best,
        best_sqnr_db=histogram.sqnr_db(fmt, best),
    )


def flag_at(histogram: CodeHistogram, fmt: Format, limits: Limits, scale_log2: int) -> Flag:
    """What is the matter with a tensor that is multiplied by a power of two before the cast."""
    if histogram.nonfinite_count:
        return Flag.NON_FINITE
    if not histogram.nonzero_count:
        return Flag.OK
    if histogram.overflow_fraction(fmt, scale_log2) > 0:
        return Flag.OVERFLOW
    if histogram.underflow_fraction(fmt, scale_log2) > limits.underflow_fraction:
        return Flag.UNDERFLOW
    if headroom_high(histogram.absmax, fmt) - scale_log2 < limits.near_max_octaves:
        return Flag.NEAR_MAX
    is_low = headroom_low(histogram.rms, fmt) + scale_log2 < limits.near_min_octaves
    if is_low or histogram.subnormal_fraction(fmt, scale_log2) > limits.subnormal_fraction:
        return Flag.NEAR_MIN_NORMAL
    return Flag.OK


def headroom_high(absmax: float, fmt: Format) -> float:
    """Octaves from a largest magnitude up to the largest value; infinite for zeros."""
    return log2(fmt.max) - log2(absmax) if absmax > 0 else nan if isnan(absmax) else inf


def headroom_low(rms: float, fmt: Format) -> float:
    """Octaves from the smallest normal value up to an RMS; NaN for zeros."""
    return log2(rms) - log2(fmt.min_normal) if rms > 0 else nan


def best_scale(histogram: CodeHistogram, fmt: Format) -> int:
    """`CodeHistogram.best_scale_log2` by bisection, in a fifth of the casts.

    Up to where the largest element reaches the top, a larger scale never loses; beyond it, it gains
    until what saturates outweighs what leaves the subnormals.
    """
    if not histogram.nonzero_count:
        return 0
    coarse = histogram.coarsen()

    @cache
    def ratio(scale: int) -> float:
        return coarse.sqnr_db(fmt, scale)

    top = floor(headroom_high(histogram.absmax, fmt))
    best = max(range(top - 1, top + _PAST_THE_TOP), key=lambda scale: (ratio(scale), -abs(scale)))
    if best <= 0 or ratio(best) > ratio(top - 1):
        return best
    low, high = -1, best  # at `high` it is as good as it gets, at `low` it is not looked at
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if ratio(middle) >= ratio(best) else (middle, high)
    return high


def safe_scale(histogram: CodeHistogram, fmt: Format, limits: Limits) -> int | None:
    """A power of two that leaves the margin at the top and makes the tensor fit; None if none does.

    The largest such: whatever lies low is then as far from zero as it can be.
    """
    top = headroom_high(histogram.absmax, fmt)
    if not isfinite(top):
        return None
    scale = floor(top - limits.near_max_octaves)
    return scale if flag_at(histogram, fmt, limits, scale) is Flag.OK else None


def explain(flag: Flag, seen: TensorHistogram, found: FormatFit, limits: Limits) -> str | None:
    """A flag in words, with the number behind it."""
    match flag:
        case Flag.OK:
            return None
        case Flag.NON_FINITE:
            return f"{seen.histogram.nonfinite_count} elements are NaN or infinite"
        case Flag.OVERFLOW:
            return f"absmax {seen.histogram.absmax:.4g} is beyond the largest {found.format}"
        case Flag.UNDERFLOW:
            return f"{found.underflow_fraction:.1%} of its non-zero elements become zero"
        case Flag.NEAR_MAX:
            return f"absmax is {found.headroom_high:.2f} octaves from the largest {found.format}"
        case Flag.NEAR_MIN_NORMAL:
            if found.headroom_low < limits.near_min_octaves:
                side = "above" if found.headroom_low >= 0 else "below"
                return f"RMS is {abs(found.headroom_low):.2f} octaves {side} the smallest normal"
            return f"{found.subnormal_fraction:.1%} of its non-zero elements become subnormal"
        case _:
            assert_never(flag)


def _fit_blocks(histogram: CodeHistogram, cast: BlockCast, name: str, limits: Limits) -> FormatFit:
    """In a block format every block has its own scale, so only what it flushes can go wrong."""
    fmt, scaled = SELF_SCALED[name].element, cast.scaled
    underflow = scaled.underflow_fraction(fmt)
    signal = histogram.rms**2 * histogram.finite_count
    noisy = 10 * log10(signal / cast.noise) if signal > 0 and cast.noise else inf
    sqnr = noisy if signal > 0 else nan
    flag = Flag.UNDERFLOW if underflow > limits.underflow_fraction else Flag.OK
    return FormatFit(
        format=name,
        flag=Flag.NON_FINITE if histogram.nonfinite_count else flag,
        underflow_fraction=underflow,
        subnormal_fraction=scaled.subnormal_fraction(fmt),
        overflow_fraction=scaled.overflow_fraction(fmt),
        headroom_high=headroom_high(scaled.absmax, fmt),
        headroom_low=headroom_low(scaled.rms, fmt),
        sqnr_db=sqnr,
        best_scale_log2=None,
        best_sqnr_db=sqnr,
    )
