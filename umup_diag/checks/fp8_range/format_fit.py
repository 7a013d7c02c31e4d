"""How well one tensor fits in one number format, and what would make it fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import floor, inf, isfinite, isnan, log2, log10, nan
from typing import assert_never

from umup_diag.checks.fix import Advice, Cast, Fix, ScaleBeforeCast, Step
from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.errors import InputError
from umup_diag.numerics import formats
from umup_diag.numerics.block import SELF_SCALED, BlockCast
from umup_diag.numerics.formats import Format
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import TensorRecord


class Flag(StrEnum):
    """What is wrong with a tensor in a format, from nothing to worst."""

    OK = "ok"
    NEAR_MIN_NORMAL = "near_min_normal"
    NEAR_MAX = "near_max"
    UNDERFLOW = "underflow"
    OVERFLOW = "overflow"
    NON_FINITE = "non_finite"

    @property
    def severity(self) -> int:
        """To sort by, worst last."""
        return list(Flag).index(self)

    @property
    def fails(self) -> bool:
        """Whether it fails a check that is not strict."""
        return self.severity >= Flag.UNDERFLOW.severity


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatFit:
    """One tensor in one format.

    Attributes:
        format: name of the format.
        flag: what is wrong.
        underflow_fraction: share of the non-zero elements that becomes zero.
        subnormal_fraction: share of the non-zero elements that becomes subnormal.
        overflow_fraction: share of the non-zero elements that rounds beyond the largest value.
        headroom_high: octaves from absmax up to the largest value.
        headroom_low: octaves from the smallest normal value up to RMS.
        sqnr_db: signal over quantisation noise of a saturating cast, in decibels.
        best_scale_log2: power of two with the best SQNR, whatever the margins
            (`CodeHistogram.best_scale_log2`); None for block formats, which choose their own.
        best_sqnr_db: SQNR at that scale.
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


def fit(record: TensorRecord, name: str, settings: RangeSettings) -> FormatFit:
    """Judge one tensor in one format.

    Raises:
        InputError: for a block format whose cast was not measured: recordings keep no blocks.
    """
    if name in SELF_SCALED:
        if name not in record.blocks:
            raise InputError(
                f"{name.lower()} scales small blocks of elements, and a recording does not keep "
                "blocks.\nGive a checkpoint, or element formats such as e4m3fn,e5m2."
            )
        return _fit_blocks(record.histogram, record.blocks[name], name, settings)
    histogram, fmt = record.histogram, formats.get(name)
    best = histogram.best_scale_log2(fmt)
    return FormatFit(
        format=name,
        flag=flag_at(histogram, fmt, settings),
        underflow_fraction=histogram.underflow_fraction(fmt),
        subnormal_fraction=histogram.subnormal_fraction(fmt),
        overflow_fraction=histogram.overflow_fraction(fmt),
        headroom_high=headroom_high(histogram.absmax, fmt),
        headroom_low=headroom_low(histogram.rms, fmt),
        sqnr_db=histogram.sqnr_db(fmt),
        best_scale_log2=best,
        best_sqnr_db=histogram.sqnr_db(fmt, best),
    )


def flag_at(
    histogram: CodeHistogram, fmt: Format, settings: RangeSettings, scale_log2: int = 0
) -> Flag:
    """What is wrong with a tensor that is multiplied by a power of two before the cast."""
    if histogram.nonfinite_count:
        return Flag.NON_FINITE
    if not histogram.nonzero_count:
        return Flag.OK
    if histogram.overflow_fraction(fmt, scale_log2) > 0:
        return Flag.OVERFLOW
    if histogram.underflow_fraction(fmt, scale_log2) > settings.underflow:
        return Flag.UNDERFLOW
    if headroom_high(histogram.absmax, fmt) - scale_log2 < settings.near:
        return Flag.NEAR_MAX
    is_low = headroom_low(histogram.rms, fmt) + scale_log2 < settings.near
    if is_low or histogram.subnormal_fraction(fmt, scale_log2) > settings.subnormal:
        return Flag.NEAR_MIN_NORMAL
    return Flag.OK


def headroom_high(absmax: float, fmt: Format) -> float:
    """Octaves from a largest magnitude up to the largest value; infinite for zeros."""
    return log2(fmt.max) - log2(absmax) if absmax > 0 else nan if isnan(absmax) else inf


def headroom_low(rms: float, fmt: Format) -> float:
    """Octaves from the smallest normal value up to an RMS; NaN for zeros."""
    return log2(rms) - log2(fmt.min_normal) if rms > 0 else nan


def safe_scale_log2(histogram: CodeHistogram, fmt: Format, settings: RangeSettings) -> int | None:
    """The largest power of two that leaves the margin at the top; None if the tensor fits at none.

    It is what a fix names. `CodeHistogram.best_scale_log2` is another: that may use the margin up
    and let the largest elements saturate, where it gains SQNR.
    """
    top = headroom_high(histogram.absmax, fmt)
    if not isfinite(top):
        return None
    scale = floor(top - settings.near)
    return scale if flag_at(histogram, fmt, settings, scale) is Flag.OK else None


def explain(record: TensorRecord, held_to: FormatFit, settings: RangeSettings) -> str | None:
    """A flag in words, with the number behind it."""
    match held_to.flag:
        case Flag.OK:
            return None
        case Flag.NON_FINITE:
            return f"{record.histogram.nonfinite_count} elements are NaN or infinite"
        case Flag.OVERFLOW:
            return f"absmax {record.histogram.absmax:.4g} is beyond the largest {held_to.format}"
        case Flag.UNDERFLOW:
            return f"{held_to.underflow_fraction:.1%} of its non-zero elements become zero"
        case Flag.NEAR_MAX:
            octaves = f"{held_to.headroom_high:.2f} octaves"
            return f"absmax is {octaves} from the largest {held_to.format}"
        case Flag.NEAR_MIN_NORMAL:
            if held_to.headroom_low < settings.near:
                side = "above" if held_to.headroom_low >= 0 else "below"
                return f"RMS is {abs(held_to.headroom_low):.2f} octaves {side} the smallest normal"
            return f"{held_to.subnormal_fraction:.1%} of its non-zero elements become subnormal"
        case _:
            assert_never(held_to.flag)


def remedy(
    record: TensorRecord, held_to: FormatFit, others: Sequence[FormatFit], settings: RangeSettings
) -> Fix | None:
    """What would make a tensor fit: another format, or a power of two before the cast.

    Args:
        record: the tensor.
        held_to: in the format that it is held to.
        others: in formats that it could be cast to instead.
        settings: where flags begin.
    """
    if held_to.flag in (Flag.OK, Flag.NON_FINITE):
        return None
    steps: list[Step] = []
    steps += [Cast(to=other.format) for other in others if other.flag is Flag.OK][:1]
    if held_to.format not in SELF_SCALED:
        scale = safe_scale_log2(record.histogram, formats.get(held_to.format), settings)
        if scale is not None:
            steps.append(ScaleBeforeCast(log2=scale))
    keep = Advice(text="keep it in higher precision")
    return Fix(tensor=record.tensor, steps=tuple(steps) or (keep,), is_choice=True)


def _fit_blocks(
    histogram: CodeHistogram, cast: BlockCast, name: str, settings: RangeSettings
) -> FormatFit:
    """In a block format every block has its own scale, so only what it flushes can go wrong."""
    fmt, scaled = SELF_SCALED[name].element, cast.scaled
    underflow = scaled.underflow_fraction(fmt)
    signal = histogram.rms**2 * histogram.finite_count
    noisy = 10 * log10(signal / cast.noise) if signal > 0 and cast.noise else inf
    sqnr = noisy if signal > 0 else nan
    flag = Flag.UNDERFLOW if underflow > settings.underflow else Flag.OK
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
