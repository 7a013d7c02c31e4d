"""One pass over a tensor, and every statistic of it in any format at any power-of-two scale."""

import math
from bisect import bisect_left
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from umup_diag.errors import InputError
from umup_diag.numerics import histogram_json
from umup_diag.numerics.cast_bins import Bins, CastNoise
from umup_diag.numerics.counting import (
    FULL_MANTISSA_BITS,
    SQUARE_UNIT_LOG2,
    Counts,
    counts_of,
    in_bins,
    merged,
)
from umup_diag.numerics.formats import Format

COMPACT_MANTISSA_BITS = 4
"""Enough for exact counts in every format with at most 3 mantissa bits (464 has 4)."""

_FLOAT32_MANTISSA_BITS = 23


@dataclass(frozen=True, slots=True, kw_only=True)
class CastFractions:
    """What a cast does to the non-zero finite elements.

    Attributes:
        underflow: share that becomes zero.
        subnormal: share that becomes a subnormal number.
        overflow: share that rounds beyond the largest value.
    """

    underflow: float
    subnormal: float
    overflow: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodeHistogram(Counts):
    """Counts of a tensor's magnitudes by bfloat16 code, with exact sum of squares and extremes.

    8- and 16-bit elements (float16 too) are kept exactly, one bin per value. 32- and 64-bit
    elements are binned by bfloat16 code, those that equal the code apart from those strictly
    between it and the next: no rounding threshold of a format with at most 6 mantissa bits lies
    inside such a bin, so counts for FP8, FP6 and FP4 are exact, at 464 too. Signs are dropped:
    nothing that is derived here depends on them.

    Exact for every input: all counts, RMS, absmax, smallest non-zero; and the fractions for formats
    with at most `mantissa_bits` − 1 mantissa bits, as long as the scaled thresholds lie between
    2**-133 and 2**128. Finer formats (FP16, BF16) count a whole bin by its middle, unless the
    elements were of 8 or 16 bits. SQNR is exact for 8- and 16-bit elements; for others it takes
    the elements of a bin as spread evenly over it (2**-7 of their size).

    Adding histograms is exact, so order, grouping and thread count never show in any statistic.
    """

    @classmethod
    def of(cls, tensor: Tensor) -> Self:
        """Count a tensor of any float dtype, shape and stride; waits for an accelerator.

        Raises:
            InputError: if the tensor is integer, complex, sparse, or has no data.
        """
        return cls._from(counts_of(tensor))

    @classmethod
    def empty(cls) -> Self:
        """The histogram of no elements: adding it changes nothing."""
        return cls.of(torch.empty(0))

    @classmethod
    def _from(cls, counts: Counts) -> Self:
        return cls(**{each.name: getattr(counts, each.name) for each in fields(Counts)})

    @property
    def count(self) -> int:
        """All elements, non-finite ones included."""
        return self.finite_count + self.nonfinite_count

    @property
    def finite_count(self) -> int:
        """Elements that are neither NaN nor infinite."""
        return int(self.counts.sum())

    @property
    def nonfinite_count(self) -> int:
        """NaNs and infinities."""
        return self.nan_count + self.inf_count

    @property
    def zeros(self) -> int:
        """Elements equal to zero, of either sign."""
        return int(self.counts[0]) if len(self.keys) and self.keys[0] == 0 else 0

    @property
    def nonzero_count(self) -> int:
        """Finite elements that are not zero: what the fractions are fractions of."""
        return self.finite_count - self.zeros

    @property
    def rms(self) -> float:
        """Root mean square of the finite elements, rounded once; NaN if there are none."""
        count = self.finite_count
        return _root_of_mean(self.squares, count) if count else math.nan

    def underflow_fraction(self, fmt: Format, scale_log2: int = 0) -> float:
        """Share of the non-zero finite elements that a cast to `fmt` turns into zero.

        Zeros are left out of the denominator, here and below: they lose nothing in a cast, and a
        sparse gradient must not hide what the rest of it loses. 0.0 if there is no such element.

        Args:
            fmt: target format, rounded to nearest even.
            scale_log2: elements are multiplied by 2**scale_log2 before the cast.
        """
        return self.cast_fractions(fmt, scale_log2).underflow

    def subnormal_fraction(self, fmt: Format, scale_log2: int = 0) -> float:
        """Share of the non-zero finite elements that a cast turns into a subnormal number."""
        return self.cast_fractions(fmt, scale_log2).subnormal

    def overflow_fraction(self, fmt: Format, scale_log2: int = 0) -> float:
        """Share of the non-zero finite elements that round beyond the largest value of `fmt`."""
        return self.cast_fractions(fmt, scale_log2).overflow

    def cast_fractions(self, fmt: Format, scale_log2: int = 0) -> CastFractions:
        """All three at once, which takes a third of the time."""
        scaled, cast = Bins.of(self).cast(fmt, scale_log2)
        threshold = fmt.overflow_threshold
        return CastFractions(
            underflow=self._share(cast == 0),
            subnormal=self._share((cast > 0) & (cast < fmt.min_normal)),
            overflow=self._share(
                scaled >= threshold if fmt.threshold_overflows else scaled > threshold
            ),
        )

    def sqnr_db(self, fmt: Format, scale_log2: int = 0) -> float:
        """Signal to quantisation noise of a saturating cast of the finite elements, in decibels.

        10 log10(Σx² / Σ(x − cast(x·s)/s)²). Infinite if the cast loses nothing, NaN if every
        element is zero or none is finite.
        """
        return self._noise().sqnrs_db(fmt, scale_log2)[0] if self.squares else math.nan

    def best_scale_log2(self, fmt: Format) -> int:
        """Power of two that gives the cast the best SQNR; of equals, the one nearest to 0.

        It may saturate a few large elements, where that is worth it for the small ones.

        Exact: as long as nothing saturates, the larger of two scales is never the worse one, for
        its grid holds every value of the other's. Beyond that the search goes on while what
        saturates, which only grows, does not by itself cost more than the best has lost, and while
        anything is left below `fmt.min_normal`.
        """
        if not self.squares:
            return 0
        noise = self._noise()
        middles = noise.bins.middles[self.keys > 0]
        unsaturated = math.frexp(fmt.max / middles[-1])[1] - 1  # the largest scale that is
        to_normal = math.frexp(fmt.min_normal / middles[0])[1]
        best, sqnr = unsaturated, noise.sqnrs_db(fmt, unsaturated)[0]
        for scale in range(unsaturated + 1, to_normal + 1):
            reached, bound = noise.sqnrs_db(fmt, scale)
            if bound < sqnr:
                break
            if (reached, -abs(scale)) > (sqnr, -abs(best)):
                best, sqnr = scale, reached
        if best > unsaturated or best <= 0:
            return best
        return bisect_left(range(best), sqnr, key=lambda scale: noise.sqnrs_db(fmt, scale)[0])

    def coarsen(self, mantissa_bits: int = COMPACT_MANTISSA_BITS) -> "CodeHistogram":
        """Bin by fewer mantissa bits; sums, extremes and total counts stay exact.

        Args:
            mantissa_bits: counts stay exact for formats with fewer mantissa bits than this.

        Raises:
            InputError: unless 0 <= mantissa_bits <= 7.
        """
        if not 0 <= mantissa_bits <= FULL_MANTISSA_BITS:
            raise InputError(f"mantissa_bits must lie in 0..{FULL_MANTISSA_BITS}: {mantissa_bits}")
        bits = min(mantissa_bits, self.mantissa_bits)
        mask = (1 << _FLOAT32_MANTISSA_BITS - bits) - 1
        value = self.keys & np.uint32(~mask & 0xFFFFFFFF)
        odd = value | ((self.keys & np.uint32(mask)) != 0)  # ascending, as the keys are
        keys, counts = in_bins(odd, self.counts)
        return replace(self, keys=keys, counts=counts, mantissa_bits=bits)

    def __add__(self, other: "CodeHistogram") -> "CodeHistogram":
        """Merge, exactly; the coarser of the two resolutions holds."""
        if self.mantissa_bits != other.mantissa_bits:
            bits = min(self.mantissa_bits, other.mantissa_bits)
            return self.coarsen(bits) + other.coarsen(bits)
        return merged(self, other)

    def __eq__(self, other: object) -> bool:
        """Equal in every field, so in every statistic."""
        if not isinstance(other, CodeHistogram):
            return NotImplemented
        return (
            np.array_equal(self.keys, other.keys)
            and np.array_equal(self.counts, other.counts)
            and self._scalars() == other._scalars()
        )

    def __hash__(self) -> int:
        return hash((self.counts.tobytes(), self._scalars()))

    def to_json(self, *, compact: bool = False) -> dict[str, Any]:
        """Write as a mapping that JSON can hold (no NaN in it).

        Args:
            compact: coarsen to 4 mantissa bits first: a few hundred bytes for a typical tensor.
                RMS, extremes, totals and all counts for formats of at most 3 mantissa bits stay
                exact; SQNR becomes an estimate. Otherwise lossless: a few thousand bytes.
        """
        return histogram_json.encode(self.coarsen() if compact else self)

    @classmethod
    def from_json(cls, written: dict[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            InputError: if it is not such a mapping.
        """
        return cls._from(histogram_json.decode(written))

    def _scalars(self) -> tuple[Any, ...]:
        extremes = repr((self.absmax, self.smallest_nonzero))
        return (self.squares, extremes, self.nan_count, self.inf_count, self.mantissa_bits)

    def _noise(self) -> CastNoise:
        return CastNoise.of(self, self.rms)

    def _share(self, chosen: npt.NDArray[np.bool_]) -> float:
        nonzero = self.nonzero_count
        return int(self.counts[chosen & (self.keys > 0)].sum()) / nonzero if nonzero else 0.0


def _root_of_mean(squares: int, count: int) -> float:
    """The float64 nearest to √(squares × 2**-2148 / count), subnormal or not.

    From integers, so that no order of summation can show: the root to 65 bits or more, its last
    bit set if anything was left over (rounding to odd), so that the division rounds as it would
    round the exact root.
    """
    shift = max(0, 130 - squares.bit_length() + count.bit_length())
    shift += shift % 2
    mean, rest = divmod(squares << shift, count)
    root = math.isqrt(mean)
    is_inexact = bool(rest) or root * root != mean
    return (root | is_inexact) / (1 << (shift - SQUARE_UNIT_LOG2) // 2)
