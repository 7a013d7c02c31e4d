"""Fit a family of laws to measured scales, and say how wrong a law is beyond the noise.

Everything works on natural log σ, where a residual is a relative error and the Monte-Carlo errors
are relative errors too.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, least_squares, minimize
from scipy.special import chdtrc, ndtri  # scipy.stats takes a second to import

from umup_diag.checks.interval import CONFIDENCE, quantile
from umup_diag.checks.verdict import Verdict, equivalence
from umup_diag.recording import Frame, Moments, TensorRecord
from umup_diag.scaling.interpolation import BoundFamily, LawFamily, Point
from umup_diag.scaling.scale_laws import Source

Array = npt.NDArray[np.float64]

# What an interval of CONFIDENCE reaches to either side, in standard errors.
STANDARD_ERRORS = float(ndtri((1 + CONFIDENCE) / 2))
# Below this probability of the residuals under noise alone, a law is wrong beyond noise.
REJECT_BELOW = 0.001
# Float32 sums are no better than this, whatever the spread of the draws says.
ERROR_FLOOR = 1e-5
# Degrees of freedom below which a fit says nothing about its family.
MIN_DEGREES_OF_FREEDOM = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """One quantity of an op, measured over a grid.

    Attributes:
        points: the op's parameters at each grid point.
        rms: the measured scale, positive.
        relative_error: its standard error, as a fraction of it.
    """

    points: tuple[Point, ...]
    rms: Array
    relative_error: Array

    def document(self) -> list[dict[str, Any]]:
        """What ``result.json`` says of each point."""
        return [
            {"point": dict(point), "rms": float(rms), "relative_error": float(error)}
            for point, rms, error in zip(self.points, self.rms, self.relative_error, strict=True)
        ]

    @property
    def log_rms(self) -> Array:
        """Natural log of the measured scale."""
        return np.asarray(np.log(self.rms))

    @property
    def errors(self) -> Array:
        """Standard errors of `log_rms`, not below `ERROR_FLOOR`."""
        return np.maximum(self.relative_error, ERROR_FLOOR)


def by_quantity(frames: Iterable[Frame]) -> dict[tuple[str, str], Measurements]:
    """What was measured of each (op, quantity), in the order in which they first come."""
    groups: dict[tuple[str, str], list[tuple[Point, TensorRecord]]] = {}
    for frame in frames:
        for record in frame.records:
            groups.setdefault((record.tensor, record.kind), []).append((frame.point, record))
    return {
        quantity: Measurements(
            points=tuple(point for point, _ in group),
            rms=np.array([record.rms for _, record in group]),
            relative_error=np.array([_relative_error(record) for _, record in group]),
        )
        for quantity, group in groups.items()
    }


def _relative_error(record: TensorRecord) -> float:
    """Of an estimate; what was counted whole has none."""
    match record.statistics:
        case Moments(relative_error=float(error)):
            return error
        case _:
            return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """How well one law describes the measurements.

    Attributes:
        law: the law's name.
        source: where the law is from.
        expression: the law in one line of Python.
        predicted: σ at each point.
        worst_error: law / measured - 1 where that is furthest from 1.
        worst_at: that point.
        rms_error: RMS of the log residuals, a relative error.
        beyond_noise: the part of `rms_error` that the Monte-Carlo errors do not explain.
        p_value: the probability of residuals this large if the law were exact.
        verdict: PASS when no point is off by more than the tolerance, FAIL when some point surely
            is, both at 95 % over all points at once; INCONCLUSIVE otherwise.
    """

    law: str
    source: Source
    expression: str
    predicted: tuple[float, ...]
    worst_error: float
    worst_at: Point
    rms_error: float
    beyond_noise: float
    p_value: float
    verdict: Verdict

    @property
    def rejected(self) -> bool:
        """Whether the law is wrong beyond noise, by however little."""
        return self.p_value < REJECT_BELOW

    def document(self) -> dict[str, Any]:
        """What ``result.json`` says of it."""
        document = asdict(self) | {"source": self.source.reference}
        del document["predicted"]
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """One fitted constant with its 95 % interval; an interval may be infinite."""

    name: str
    value: float
    low: float
    high: float

    @property
    def determined(self) -> bool:
        """Whether the data say more than its order of magnitude."""
        return (
            math.isfinite(self.high - self.low) and self.high - self.low < 4 * abs(self.value) + 1
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A family's best law.

    Attributes:
        family: what was fitted.
        constants: the fitted constants.
        log_sigma: the fitted law at the points.
        discrepancy: the law's own error, as a standard deviation of log σ, when noise does not
            explain the residuals; the intervals include it. 0 when noise does.
        information: Bayesian information criterion; lower is better.
    """

    family: LawFamily
    constants: tuple[Constant, ...]
    log_sigma: Array
    discrepancy: float
    information: float

    @property
    def expression(self) -> str:
        """The fitted law in one line of Python."""
        return self.family.expression([constant.value for constant in self.constants])


def assess(
    measured: Measurements,
    log_sigma: Array,
    *,
    law: str,
    source: Source,
    expression: str,
    tolerance: float,
    free: int = 0,
) -> Assessment:
    """Judge one law's values against the measurements.

    Args:
        measured: the measurements.
        log_sigma: the law's natural log σ at their points.
        law: its name.
        source: where it is from.
        expression: the law in one line of Python.
        tolerance: the relative error that is acceptable.
        free: how many of the law's constants were fitted to these measurements.
    """
    residual = log_sigma - measured.log_rms
    errors = measured.errors
    degrees = len(residual) - free
    statistic = float(np.sum((residual / errors) ** 2))
    simultaneous = -float(ndtri((1 - CONFIDENCE) / (2 * len(residual))))
    reach = np.abs(residual)
    low = float(np.max(np.maximum(0.0, reach - simultaneous * errors)))
    high = float(np.max(reach + simultaneous * errors))
    worst = int(np.argmax(reach))
    return Assessment(
        law=law,
        source=source,
        expression=expression,
        predicted=tuple(np.exp(log_sigma).tolist()),
        worst_error=math.expm1(residual[worst]),
        worst_at=measured.points[worst],
        rms_error=float(np.sqrt(np.mean(residual**2))),
        beyond_noise=math.sqrt(max(0.0, float(np.mean(residual**2 - errors**2)))),
        p_value=float(chdtrc(degrees, statistic)) if degrees > 0 else math.nan,
        verdict=equivalence((low, high), (0.0, math.log1p(tolerance))),
    )


def fit_family(measured: Measurements, family: LawFamily) -> Fit:
    """Weighted least squares in log σ.

    The weights come from the Monte-Carlo errors. When these do not explain the residuals, the law
    itself is off; its own error is then estimated so that the residuals are as large as they should
    be (Paule and Mandel 1982) and added to each point's, lest the least noisy points decide alone.

    Raises:
        ValueError: if there are fewer points than free constants.
    """
    points, names = measured.points, family.constants
    if len(points) < len(names):
        raise ValueError(f"{len(points)} points cannot fix {len(names)} constants")
    bound = family.bind(points)
    log_rms, errors = measured.log_rms, measured.errors
    degrees = len(points) - len(names)
    theta = _solve(bound, log_rms, errors, _starts(family, points, log_rms))
    discrepancy = 0.0
    statistic = _statistic(bound, theta, log_rms, errors)
    if degrees > 0 and chdtrc(degrees, statistic) < REJECT_BELOW:
        starts = _starts(family, points, log_rms)

        def surplus(extra: float) -> float:
            total = np.hypot(errors, extra)
            best = _solve(bound, log_rms, total, [theta])
            return _statistic(bound, best, log_rms, total) - degrees

        spread = float(np.ptp(log_rms)) + 1.0
        discrepancy = float(brentq(surplus, 0.0, spread, xtol=1e-7, rtol=1e-4))
        theta = _solve(bound, log_rms, np.hypot(errors, discrepancy), [theta, *starts])
    theta = _upper_first(family, theta)
    total = np.hypot(errors, discrepancy)
    residual = (bound.log_sigma(theta) - log_rms) / total
    misfit = float(np.sum(residual**2 + 2 * np.log(total)))
    return Fit(
        family=family,
        constants=_constants(family, bound, theta, total, degrees if discrepancy else None),
        log_sigma=bound.log_sigma(theta),
        discrepancy=discrepancy,
        information=misfit + len(names) * math.log(len(points)),
    )


def _solve(bound: BoundFamily, log_rms: Array, errors: Array, starts: Sequence[Array]) -> Array:
    if not starts[0].size:
        return starts[0]

    def residual(theta: Array) -> Array:
        return (bound.log_sigma(theta) - log_rms) / errors

    def jacobian(theta: Array) -> Array:
        return bound.jacobian(theta) / errors[:, None]

    solutions = [least_squares(residual, start, jac=jacobian, method="lm") for start in starts]
    return np.asarray(min(solutions, key=lambda solution: float(solution.cost)).x)


def _upper_first(family: LawFamily, theta: Array) -> Array:
    """Of the two equal laws (upper, lower, c, k) and (lower, upper, 1/c, -k), the one in order."""
    names = family.constants
    exchangeable = names[:3] == ("upper", "lower", "c") and len(names) == 3 + len(family.ratios)
    if exchangeable and theta[0] < theta[1]:
        return np.concatenate([theta[[1, 0]], -theta[2:]])
    return theta


def _statistic(bound: BoundFamily, theta: Array, log_rms: Array, errors: Array) -> float:
    return float(np.sum(((bound.log_sigma(theta) - log_rms) / errors) ** 2))


def _starts(family: LawFamily, points: Sequence[Point], log_rms: Array) -> list[Array]:
    """Starting points: limits at the ends of the data, the middle of w in the grid's middle."""
    bound = family.bind(points)
    centres = [
        float(np.median(np.log([ratio.of(point) for point in points]))) for ratio in family.ratios
    ]
    tried = (-2.0, -1.0, 1.0, 2.0) if len(family.ratios) == 1 else (-1.0, 1.0)
    slopes = list(product(tried, repeat=len(family.ratios)))
    starts = []
    for slope in slopes:
        values = []
        for name in family.constants:
            if name == "upper":
                values.append(float(np.max(log_rms - bound.upper_offset)))
            elif name == "lower":
                values.append(float(np.min(log_rms - bound.lower_offset)))
            elif name == "c":
                values.append(-sum(k * centre for k, centre in zip(slope, centres, strict=True)))
            else:
                values.append(0.0)
        free = [i for i, name in enumerate(family.constants) if name.startswith("k")]
        if len(free) == len(slope):
            for index, k in zip(free, slope, strict=True):
                values[index] = k
        starts.append(np.array(values))
    return starts


def _constants(
    family: LawFamily, bound: BoundFamily, theta: Array, errors: Array, degrees: int | None
) -> tuple[Constant, ...]:
    jacobian = bound.jacobian(theta) / errors[:, None]
    _, singular, basis = np.linalg.svd(jacobian, full_matrices=False)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        variance = np.sum((basis / singular[:, None]) ** 2, axis=0)
        width = STANDARD_ERRORS if degrees is None else quantile(degrees)
        half = width * np.sqrt(variance)
        ends = np.stack([theta, theta - half, theta + half])
        logarithmic = np.array(family.logarithmic, dtype=bool)
        ends[:, logarithmic] = np.exp(ends[:, logarithmic])
    return tuple(
        Constant(name=name, value=float(value), low=float(low), high=float(high))
        for name, (value, low, high) in zip(family.constants, ends.T, strict=True)
    )


def fit_worst_error(measured: Measurements, family: LawFamily) -> tuple[float, ...]:
    """The constants that make a family's worst error smallest, whatever the noise.

    Where `fit_family` wants the law that is most likely, this wants the one to rely on. The search
    is a simplex from the least-squares law; constants in the order of `LawFamily.constants`.
    """
    bound = family.bind(measured.points)
    logarithmic = np.array(family.logarithmic, dtype=bool)
    values = np.array([constant.value for constant in fit_family(measured, family).constants])
    theta = np.where(logarithmic, np.log(np.where(logarithmic, values, 1.0)), values)

    def worst(candidate: Array) -> float:
        return float(np.max(np.abs(bound.log_sigma(candidate) - measured.log_rms)))

    # A simplex may stall on the ridges of a maximum: start it again from where it stopped.
    for _ in range(4):
        theta = np.asarray(minimize(worst, theta, method="Nelder-Mead").x)
    return tuple(np.where(logarithmic, np.exp(theta), theta).tolist())
