"""What a saturating cast, rounded to nearest even, makes of the bins of a histogram."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from umup_diag.numerics.counting import Counts
from umup_diag.numerics.formats import Format
from umup_diag.numerics.quantize import quantize

Float64s = npt.NDArray[np.float64]

_FLOAT32_MANTISSA_BITS = 23
_INF_BITS = 0x7F800000
_EXPONENT_FIELD = 0x7FF0000000000000


@dataclass(frozen=True, slots=True)
class Bins:
    """What the keys of a histogram stand for.

    Attributes:
        middles: (K,) of each key's interval; where it is one value, that.
        widths: (K,) of the intervals; 0 where it is one value.
    """

    middles: Float64s
    widths: Float64s

    @classmethod
    def of(cls, counts: Counts) -> Self:
        """The bins of counts."""
        low = counts.keys & np.uint32(0xFFFFFFFE)
        step = np.uint32(1 << _FLOAT32_MANTISSA_BITS - counts.mantissa_bits)
        high = low + step * (counts.keys & np.uint32(1))
        lower, upper = (ends.view(np.float32).astype(np.float64) for ends in (low, high))
        if len(high) and high[-1] == _INF_BITS:
            upper[-1] = 2.0**128
        return cls((lower + upper) / 2, upper - lower)

    def cast(self, fmt: Format, scale_log2: int) -> tuple[Float64s, Float64s]:
        """All middles times 2**scale_log2, and what the cast makes of those."""
        scaled = np.ldexp(self.middles, scale_log2)
        return scaled, _nearest(scaled, fmt)


@dataclass(frozen=True, slots=True)
class CastNoise:
    """Signal over noise of casts of one histogram, for as many formats and scales as are tried.

    Elements are taken as spread evenly over their bin.

    Attributes:
        bins: of the histogram.
        counts: (K,) elements of each.
        unit: what brings every magnitude below 1, so that its square is a float64.
        within: (K,) mean square of the distance from a bin's middle, in that unit.
        signal: sum of squares, in that unit.
    """

    bins: Bins
    counts: npt.NDArray[np.int64]
    unit: float
    within: Float64s
    signal: float

    @classmethod
    def of(cls, histogram: Counts, rms: float) -> Self:
        """Of a histogram that has an element that is not zero, and the RMS of it."""
        bins, unit = Bins.of(histogram), math.ldexp(1.0, -math.frexp(histogram.absmax)[1])
        return cls(
            bins=bins,
            counts=histogram.counts,
            unit=unit,
            within=(bins.widths * unit) ** 2 / 12,
            signal=(rms * unit) ** 2 * int(histogram.counts.sum()),
        )

    def sqnrs_db(self, fmt: Format, scale_log2: int) -> tuple[float, float]:
        """SQNR of a cast in decibels, and what it would be if only what saturates made noise."""
        scaled, cast = self.bins.cast(fmt, scale_log2)
        error = (self.bins.middles - np.ldexp(cast, -scale_log2)) * self.unit
        noise = self.counts * (error**2 + self.within)
        first = np.searchsorted(scaled, fmt.max, side="right")  # middles ascend, as keys do
        return _decibels(self.signal, noise.sum()), _decibels(self.signal, noise[first:].sum())


def _nearest(magnitudes: Float64s, fmt: Format) -> Float64s:
    """As `quantize`, of few magnitudes: on as many as a histogram has, its calls take longest."""
    if not fmt.mantissa_bits or not fmt.subnormals:
        cast: Float64s = quantize(torch.from_numpy(magnitudes), fmt).numpy()
        return cast
    below = (magnitudes.view(np.int64) & _EXPONENT_FIELD).view(np.float64)  # a power of two
    spacing = np.minimum(np.maximum(below, fmt.min_normal), 2.0**fmt.max_exponent)
    spacing *= 2.0**-fmt.mantissa_bits
    rounded: Float64s = np.minimum(np.rint(magnitudes / spacing) * spacing, fmt.max)
    return rounded


def _decibels(signal: float, noise: float) -> float:
    if not noise:
        return math.inf
    ratio = signal / noise
    return -math.inf if ratio == 0 else 10 * math.log10(ratio)  # noise beyond any double
