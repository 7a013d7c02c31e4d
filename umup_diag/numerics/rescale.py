"""A histogram of what a tensor would be if it were multiplied by a power of two."""

from dataclasses import replace

import numpy as np

from umup_diag.numerics.histogram import CodeHistogram


def rescaled(histogram: CodeHistogram, scale_log2: int) -> CodeHistogram:
    """The histogram of the elements times 2**scale_log2; a loss scale is taken out so.

    Exact, but for the bins of elements that become smaller than 2**-126, the smallest normal
    float32, which widen.

    Raises:
        OverflowError: if the largest element is no float32 any more.
    """
    if not scale_log2:
        return histogram
    low = histogram.keys & np.uint32(0xFFFFFFFE)
    scaled = np.ldexp(low.view(np.float32).astype(np.float64), scale_log2)
    if scaled.size and scaled[-1] > np.finfo(np.float32).max:
        raise OverflowError(f"2**{scale_log2} times {histogram.absmax} is no float32")
    down = scaled.astype(np.float32)
    down = np.where(down > scaled, np.nextafter(down, np.float32(0)), down)
    is_inexact = down != scaled
    bits = np.where(is_inexact, down.view(np.uint32) & np.uint32(0xFFFF0000), down.view(np.uint32))
    keys, inverse = np.unique(
        bits | histogram.keys & np.uint32(1) | is_inexact, return_inverse=True
    )
    counts = np.zeros(len(keys), dtype=np.int64)
    np.add.at(counts, inverse, histogram.counts)
    twice, squares = 2 * scale_log2, histogram.squares
    return replace(
        histogram,
        keys=keys.astype(np.uint32),
        counts=counts,
        squares=squares << twice if twice > 0 else squares >> -twice,
        absmax=float(np.ldexp(histogram.absmax, scale_log2)),
        smallest_nonzero=float(np.ldexp(histogram.smallest_nonzero, scale_log2)),
    )
