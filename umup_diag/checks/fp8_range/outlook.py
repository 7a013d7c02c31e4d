"""Where a tensor's absmax and RMS are heading, and when they reach the limits of a format."""

from collections.abc import Sequence
from math import isfinite, log2

from umup_diag.checks.fp8_range.forecast import Forecast, forecast
from umup_diag.numerics import formats
from umup_diag.numerics.block import BLOCK_FORMATS

HORIZON = 3
"""How far ahead is forecast, in lengths of what was recorded."""

QUANTITIES = 2
"""Series of each tensor: absmax towards the largest value, RMS towards the smallest normal one."""

Points = Sequence[tuple[int | None, float, float]]  #: (step, RMS, absmax), by step


def outlook(
    points: Points, name: str, *, horizon: int | None = None, series: int
) -> tuple[Forecast, ...]:
    """Both forecasts of one tensor; none for fewer than three points, or in a block format.

    Args:
        points: of the tensor.
        name: of the format that it is held to.
        horizon: steps to forecast; None for `HORIZON` times what was recorded.
        series: how many forecasts are made together.
    """
    known = [(step, rms, absmax) for step, rms, absmax in points if step is not None]
    if len(known) < 3 or name in BLOCK_FORMATS:
        return ()
    fmt, steps = formats.get(name), [step for step, _, _ in known]
    last = steps[-1] + (horizon or HORIZON * (steps[-1] - steps[0]))
    quantities = (
        ("absmax", [_log2(absmax) for _, _, absmax in known], log2(fmt.overflow_threshold), True),
        ("rms", [_log2(rms) for _, rms, _ in known], log2(fmt.min_normal), False),
    )
    forecasts = (
        forecast(quantity, steps, values, limit, upwards=upwards, horizon=last, series=series)
        for quantity, values, limit, upwards in quantities
    )
    return tuple(each for each in forecasts if each is not None)


def _log2(value: float) -> float:
    return log2(value) if value > 0 and isfinite(value) else float("nan")
