"""Slopes of log2 RMS against log2 width, with intervals that come from the seeds."""

from collections.abc import Mapping

import numpy as np

from umup_diag.checks.interval import Mean

#: seed → width → log2 of what is fitted
Series = Mapping[int, Mapping[int, float]]


def fit(series: Series) -> Mean:
    """The slope of each seed, by least squares over its widths, averaged over seeds."""
    return Mean.of([_least_squares(points) for points in series.values()])


def _least_squares(points: Mapping[int, float]) -> float:
    x = np.log2(np.asarray(list(points), dtype=np.float64))
    x -= x.mean()
    return float(x @ np.asarray(list(points.values()), dtype=np.float64) / (x @ x))
