"""The rounding of bins is the one that tensors are rounded by."""

import numpy as np
import pytest
import torch

from umup_diag.numerics import cast_bins, formats
from umup_diag.numerics.formats import Format
from umup_diag.numerics.quantize import quantize

EVERY = sorted(formats.ALL.values(), key=lambda fmt: fmt.name)


@pytest.mark.parametrize("fmt", EVERY, ids=lambda fmt: fmt.name)
def test_it_is_the_cast_of_tensors(fmt: Format) -> None:
    """On every value, half-way to the next one, and to either side of that."""
    values = np.array(sorted({abs(value) for value in fmt.values if np.isfinite(value)}))
    ties = (values[1:] + values[:-1]) / 2
    beyond = np.array([fmt.overflow_threshold, 2 * fmt.max, 1e300, 5e-324, fmt.flush_threshold])
    x = np.concatenate((values, ties, np.nextafter(ties, 0), np.nextafter(ties, np.inf), beyond))
    expected = quantize(torch.from_numpy(x), fmt).numpy()
    assert np.array_equal(cast_bins._nearest(x, fmt), expected)
