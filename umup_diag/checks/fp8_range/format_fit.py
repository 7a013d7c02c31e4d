"""How well one tensor fits in one number format, and what would make it fit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import floor, inf, isfinite, isnan, log2, log10, nan
from typing import assert_never

from umup_diag.checks.fix import Advice, Cast, Fix, ScaleBeforeCast, Step
from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.checks.fp8_range.target_formats import Target
from umup_diag.errors import InputError
from umup_diag.numerics import formats
from umup_diag.numerics.block import BLOCK_FORMATS
from umup_diag.numerics.block_cast import BlockCast
from umup_diag.numerics.formats import Format
from umup_diag.numerics.histogram import CastFractions, CodeHistogram
from umup_diag.numerics.scaled_recipes import HISTORY, Scaling, scale_log2
from umup_diag.recording import TensorRecord


class Flag(StrEnum):
    """What is wrong with a tensor in a format, from nothing to worst.

    One that is all zeros says nothing: any other moment of the tensor counts before it.
    """

    ALL_ZERO = "all_zero"
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
class BlockStatistics:
    """The blocks of one tensor in a block format; those of zeros alone are left out.

    Attributes:
        count: blocks.
        underflow_fraction: share in which some non-zero element becomes zero.
        lost_fraction: share that becomes zero altogether.
        smallest_scale_log2: of the scales that are not zero.
        largest_scale_log2: of all.
        rms_scale_log2: root mean square of all.
    """

    count: int
    underflow_fraction: float
    lost_fraction: float
    smallest_scale_log2: float
    largest_scale_log2: float
    rms_scale_log2: float

    @classmethod
    def of(cls, cast: BlockCast) -> "BlockStatistics | None":
        """Of a cast; None if the tensor has no block that is not zero."""
        if not cast.blocks or not cast.scales.nonzero_count:
            return None
        return cls(
            count=cast.blocks,
            underflow_fraction=cast.underflowing / cast.blocks,
            lost_fraction=cast.lost / cast.blocks,
            smallest_scale_log2=log2(cast.scales.smallest_nonzero),
            largest_scale_log2=log2(cast.scales.absmax),
            rms_scale_log2=log2(cast.scales.rms),
        )


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
            (`CodeHistogram.best_scale_log2`); None for what is scaled already, by a block format
            or a recipe, and where it was not sought.
        best_sqnr_db: SQNR at that scale.
        recipe: whose cast this is; None for a format by itself.
        scale_log2: power of two that the recipe multiplies by before the cast; all of the above
            are of the tensor at that scale.
        blocks: of a block format; None for others.
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
    recipe: str | None = None
    scale_log2: int = 0
    blocks: BlockStatistics | None = None

    @property
    def label(self) -> str:
        """The recipe with its format, or the format."""
        return self.format if self.recipe is None else f"{self.recipe} ({self.format})"

    @property
    def is_scaled(self) -> bool:
        """Whether something is multiplied by before the cast, block by block or as a whole."""
        return self.recipe is not None and self.best_scale_log2 is None


def fit(
    record: TensorRecord,
    target: Target,
    settings: RangeSettings,
    history: Sequence[float] = (),
    *,
    seeks_scale: bool = True,
) -> FormatFit:
    """Judge one tensor in what it is cast to.

    Args:
        record: the tensor.
        target: format and scaling.
        settings: where flags begin.
        history: absmax of the snapshots before, for delayed scaling.
        seeks_scale: whether to search for the best scale, which takes longer than all the rest;
            without it there is none.

    Raises:
        InputError: for a block format whose cast was not measured: recordings keep no blocks.
    """
    name = target.format
    if name in BLOCK_FORMATS:
        if name not in record.blocks:
            raise InputError(
                f"{name.lower()} scales small blocks of elements, and this recording has none of "
                f"them.\nRecord with --blocks {name.lower()}, or give a checkpoint, or element "
                "formats such as e4m3fn,e5m2."
            )
        found = _fit_blocks(record.histogram, record.blocks[name], name, settings)
        return replace(found, recipe=target.recipe)
    histogram, fmt = record.histogram, formats.get(name)
    scale = _scale_log2(histogram.absmax, fmt, target.scaling, history)
    sqnr = histogram.sqnr_db(fmt, scale)
    is_sought = seeks_scale and target.scaling is Scaling.NONE
    best = histogram.best_scale_log2(fmt) if is_sought else None
    lost = histogram.cast_fractions(fmt, scale)
    fills = target.scaling is not Scaling.NONE
    return FormatFit(
        format=name,
        flag=_flag(histogram, lost, fmt, settings, scale, fills=fills),
        underflow_fraction=lost.underflow,
        subnormal_fraction=lost.subnormal,
        overflow_fraction=lost.overflow,
        headroom_high=headroom_high(histogram.absmax, fmt) - scale,
        headroom_low=headroom_low(histogram.rms, fmt) + scale,
        sqnr_db=sqnr,
        best_scale_log2=best,
        best_sqnr_db=sqnr if best is None else histogram.sqnr_db(fmt, best),
        recipe=target.recipe,
        scale_log2=scale,
    )


def _scale_log2(absmax: float, fmt: Format, scaling: Scaling, history: Sequence[float]) -> int:
    match scaling:
        case Scaling.NONE | Scaling.BLOCK:
            return 0
        case Scaling.ABSMAX:
            return scale_log2(absmax, fmt)
        case Scaling.DELAYED:
            return scale_log2(max(history[-HISTORY:], default=absmax), fmt)
        case _:
            assert_never(scaling)


def flag_at(
    histogram: CodeHistogram, fmt: Format, settings: RangeSettings, scale_log2: int = 0
) -> Flag:
    """What is wrong with a tensor that is multiplied by a power of two before the cast.

    Args:
        histogram: of the tensor.
        fmt: it is cast to.
        settings: where flags begin.
        scale_log2: the power.
    """
    lost = histogram.cast_fractions(fmt, scale_log2)
    return _flag(histogram, lost, fmt, settings, scale_log2, fills=False)


def _flag(
    histogram: CodeHistogram,
    lost: CastFractions,
    fmt: Format,
    settings: RangeSettings,
    scale_log2: int,
    *,
    fills: bool,
) -> Flag:
    """As `flag_at`; `fills` if the scale is meant to take the largest magnitude near the top."""
    if histogram.nonfinite_count:
        return Flag.NON_FINITE
    if not histogram.nonzero_count:
        return Flag.ALL_ZERO if histogram.count else Flag.OK
    if lost.overflow > 0:
        return Flag.OVERFLOW
    if lost.underflow > settings.underflow:
        return Flag.UNDERFLOW
    if not fills and headroom_high(histogram.absmax, fmt) - scale_log2 < settings.near:
        return Flag.NEAR_MAX
    is_low = headroom_low(histogram.rms, fmt) + scale_log2 < settings.near
    if is_low or lost.subnormal > settings.subnormal:
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
        case Flag.ALL_ZERO:
            return "every element is zero, so there is nothing to judge"
        case Flag.NON_FINITE:
            return f"{record.histogram.nonfinite_count} elements are NaN or infinite"
        case Flag.OVERFLOW:
            scale = f" × 2^{held_to.scale_log2}" if held_to.scale_log2 else ""
            absmax = f"absmax {record.histogram.absmax:.4g}{scale}"
            return f"{absmax} is beyond the largest {held_to.format}"
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
    if held_to.flag in (Flag.OK, Flag.ALL_ZERO, Flag.NON_FINITE):
        return None
    steps: list[Step] = []
    fitting = [other for other in others if other.flag is Flag.OK]
    steps += [
        Cast(to=other.format) if other.recipe is None else Advice(text=f"use {other.recipe}")
        for other in fitting[:1]
    ]
    if not held_to.is_scaled and held_to.format not in BLOCK_FORMATS:
        scale = safe_scale_log2(record.histogram, formats.get(held_to.format), settings)
        if scale is not None:
            steps.append(ScaleBeforeCast(log2=scale))
    keep = Advice(text="keep it in higher precision")
    return Fix(tensor=record.tensor, steps=tuple(steps) or (keep,), is_choice=True)


def _fit_blocks(
    histogram: CodeHistogram, cast: BlockCast, name: str, settings: RangeSettings
) -> FormatFit:
    """In a block format every block has its own scale, so only what it flushes can go wrong."""
    fmt, scaled = BLOCK_FORMATS[name].element, cast.scaled
    underflow = scaled.underflow_fraction(fmt)
    signal = histogram.rms**2 * histogram.finite_count
    noisy = 10 * log10(signal / cast.noise) if signal > 0 and cast.noise else inf
    sqnr = noisy if signal > 0 else nan
    flag = Flag.UNDERFLOW if underflow > settings.underflow else Flag.OK
    if histogram.nonfinite_count:
        flag = Flag.NON_FINITE
    elif histogram.count and not histogram.nonzero_count:
        flag = Flag.ALL_ZERO
    return FormatFit(
        format=name,
        flag=flag,
        underflow_fraction=underflow,
        subnormal_fraction=scaled.subnormal_fraction(fmt),
        overflow_fraction=scaled.overflow_fraction(fmt),
        headroom_high=headroom_high(scaled.absmax, fmt),
        headroom_low=headroom_low(scaled.rms, fmt),
        sqnr_db=sqnr,
        best_scale_log2=None,
        best_sqnr_db=sqnr,
        blocks=BlockStatistics.of(cast),
    )
