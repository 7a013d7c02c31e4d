"""Measure an op's scale: unit-normal inputs, and how large its output and gradients come out.

The number of draws is fixed by a pilot and a wanted relative error, before the result is looked at
(a two-stage sample). Every draw has its own seed, made from the run's seed, the point and the
draw's number. So a point's numbers do not depend on the rest of the grid, on how many draws are
worked on at once, or on the device.
"""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Protocol
from zlib import crc32

import numpy as np
import numpy.typing as npt
import torch

from umup_diag.errors import InputError
from umup_diag.recording import Frame, Moments, TensorRecord
from umup_diag.recording.frame import Point, describe_point

MeanSquares = npt.NDArray[np.float64]

PILOT_DRAWS = 16
MAX_DRAWS = 1 << 16
DRAWS_PER_CALL = 256


class Sampler(Protocol):
    """Something that can be drawn from: an op with its inputs, or a closed form for part of it."""

    @property
    def name(self) -> str:
        """The op's."""
        ...

    @property
    def quantities(self) -> tuple[str, ...]:
        """What each draw measures, such as ``output`` or ``gradient of q``."""
        ...

    def draw(self, point: Point, seeds: Sequence[int], device: torch.device) -> MeanSquares:
        """Mean squares at one point, one row per seed and one column per quantity.

        A row depends on its own seed alone, up to the rounding of the device's arithmetic.
        """
        ...


def draw_seed(seed: int, point: Point, draw: int) -> int:
    """The seed of one draw: 64 bits from the run's seed, the point and the draw's number."""
    identity = crc32(json.dumps(sorted((k, float(v)) for k, v in point.items())).encode())
    state = np.random.SeedSequence((seed, identity, draw)).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def draws_needed(pilot: MeanSquares, relative_error: float) -> int:
    """How many draws bring the standard error of every quantity's RMS down to ``relative_error``.

    Args:
        pilot: shape (draws, quantities), the mean squares of the pilot draws.
        relative_error: wanted standard error of the RMS, as a fraction of it.
    """
    mean, spread = pilot.mean(axis=0), pilot.std(axis=0, ddof=1)
    per_draw = np.divide(spread, 2 * mean, out=np.zeros_like(mean), where=mean > 0)
    return math.ceil(float((per_draw / relative_error).max() ** 2))


def estimate_point(
    sampler: Sampler,
    point: Point,
    *,
    relative_error: float,
    seed: int,
    device: torch.device | None = None,
    draws_per_call: int = DRAWS_PER_CALL,
    draws: int | None = None,
) -> Frame:
    """Measure every quantity of an op at one point: a record each, its RMS over all draws.

    Args:
        sampler: what to draw from.
        point: the op's parameters.
        relative_error: wanted standard error of each RMS, as a fraction of it. Best reachable:
            `MAX_DRAWS` draws.
        seed: the run's seed.
        device: where the draws are worked on; they are drawn on the CPU whatever it is.
        draws_per_call: how many draws the sampler gets at once; changes rounding at most.
        draws: a fixed number of draws, instead of the pilot's.

    Raises:
        InputError: if a draw is not finite; it names the quantity and the point.
    """
    where = device or torch.device("cpu")

    def take(first: int, last: int) -> list[MeanSquares]:
        return [
            sampler.draw(
                point,
                [draw_seed(seed, point, i) for i in range(low, min(low + draws_per_call, last))],
                where,
            )
            for low in range(first, last, draws_per_call)
        ]

    rows = take(0, draws or PILOT_DRAWS)
    _require_finite(rows, sampler, point)
    if draws is None:
        wanted = draws_needed(np.concatenate(rows), relative_error)
        rows += take(PILOT_DRAWS, min(MAX_DRAWS, wanted))
        _require_finite(rows, sampler, point)
    values = np.concatenate(rows)
    records = tuple(
        TensorRecord(
            tensor=sampler.name,
            kind=quantity,
            order=column,
            statistics=_moments(values[:, column]),
        )
        for column, quantity in enumerate(sampler.quantities)
    )
    return Frame(point=dict(point), records=records)


def estimate_grid(
    sampler: Sampler,
    grid: Sequence[Point],
    *,
    relative_error: float,
    seed: int = 0,
    device: torch.device | None = None,
) -> Iterator[Frame]:
    """Measure an op at one point of a grid after the other; see `estimate_point`."""
    for point in grid:
        yield estimate_point(
            sampler, point, relative_error=relative_error, seed=seed, device=device
        )


def _moments(mean_squares: npt.NDArray[np.float64]) -> Moments:
    mean = float(mean_squares.mean())
    error = float(mean_squares.std(ddof=1)) / math.sqrt(len(mean_squares))
    return Moments(
        count=len(mean_squares),
        rms=math.sqrt(mean),
        relative_error=error / (2 * mean) if mean > 0 else 0.0,
    )


def _require_finite(rows: Sequence[MeanSquares], sampler: Sampler, point: Point) -> None:
    finite = [bool(np.isfinite(column).all()) for column in np.concatenate(rows).T]
    for quantity, is_finite in zip(sampler.quantities, finite, strict=True):
        if not is_finite:
            raise InputError(
                f"the op's {quantity} is NaN or infinite at {describe_point(point)}.\n"
                "A scale needs finite values: leave this point out of --over, or mend the op."
            )
