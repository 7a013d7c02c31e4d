"""The family of laws that scale-law fits: `log_interpolate` between two limits.

    σ = log_interpolate(w, upper, lower),   w = 1 / (1 + c · r₁^k₁ · r₂^k₂ …)

A limit is a known function of the op's parameters, times a constant and powers of the parameters
that may be free. In log σ both limits and the log-odds of w are linear in the free numbers, which
makes the family three small design matrices.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from umup_diag.scaling.formula import compiled

Point = Mapping[str, float]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A positive function of a point, with its text in Python."""

    text: str
    of: Callable[[Point], float]


def parameter(name: str) -> Term:
    """The term that is one parameter itself, whatever a user calls it."""
    return Term(text=name, of=lambda point: point[name])


def formula(text: str) -> Term:
    """The term that a formula of the parameters computes; see `compiled`."""
    function = compiled(text)
    return Term(text=text, of=lambda point: function(**point))


ONE = formula("1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One end of the interpolation: constant · known · Π terms^power.

    Attributes:
        known: the function of the parameters that theory gives.
        constant_free: whether a constant multiplies it, to be fitted; else the constant is 1.
        powers: terms whose powers multiply it, each power to be fitted.
    """

    known: Term = ONE
    constant_free: bool = True
    powers: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LawFamily:
    """A family of laws; see the module.

    Attributes:
        upper: the limit at w = 1.
        lower: the limit at w = 0, or None for a law that is its upper limit everywhere.
        ratios: the terms of w.
        coefficient: c, or None to fit it.
        exponents: each k, None to fit it; empty to fit all.
    """

    upper: Limit
    lower: Limit | None = None
    ratios: tuple[Term, ...] = ()
    coefficient: float | None = None
    exponents: tuple[float | None, ...] = ()

    @property
    def constants(self) -> tuple[str, ...]:
        """The names of the free numbers, in order."""
        names = _limit_constants("upper", self.upper)
        if self.lower is not None:
            names += _limit_constants("lower", self.lower)
            names += ["c"] if self.coefficient is None else []
            names += [
                f"k[{ratio.text}]" if len(self.ratios) > 1 else "k"
                for ratio, exponent in zip(self.ratios, self._exponents, strict=True)
                if exponent is None
            ]
        return tuple(names)

    @property
    def logarithmic(self) -> tuple[bool, ...]:
        """For each constant, whether the fit works on its logarithm (limits and c) or on itself."""
        return tuple(name in ("upper", "lower", "c") for name in self.constants)

    @property
    def _exponents(self) -> tuple[float | None, ...]:
        return self.exponents or (None,) * len(self.ratios)

    def bind(self, points: Sequence[Point]) -> "BoundFamily":
        """The family at these points, ready to evaluate for many values of its constants."""
        upper, upper_offset = _limit_design(self.upper, points)
        if self.lower is None:
            empty = np.empty((len(points), 0))
            return BoundFamily(upper, upper_offset, empty, upper_offset, empty, None)
        lower, lower_offset = _limit_design(self.lower, points)
        columns = [np.ones(len(points))] if self.coefficient is None else []
        offset = np.full(len(points), 0.0 if self.coefficient is None else np.log(self.coefficient))
        for ratio, exponent in zip(self.ratios, self._exponents, strict=True):
            values = _log(ratio, points)
            if exponent is None:
                columns.append(values)
            else:
                offset = offset + exponent * values
        odds = np.stack(columns, axis=1) if columns else np.empty((len(points), 0))
        return BoundFamily(upper, upper_offset, lower, lower_offset, odds, offset)

    def expression(self, values: Sequence[float]) -> str:
        """The law in terms of `log_interpolate`, for values of its `constants`."""
        weight, upper, lower = self._texts(values)
        return upper if lower is None else f"log_interpolate({weight}, {upper}, {lower})"

    def python(self, values: Sequence[float]) -> str:
        """The same as the body of a one-line function that needs nothing but ``math``."""
        weight, upper, lower = self._texts(values)
        if lower is None:
            return f"return {upper}"
        return f"w = {weight}; return ({upper}) ** w * ({lower}) ** (1 - w)"

    def _texts(self, values: Sequence[float]) -> tuple[str, str, str | None]:
        numbers = dict(zip(self.constants, (f"{v:.4g}" for v in values), strict=True))
        upper = _limit_text("upper", self.upper, numbers)
        if self.lower is None:
            return "1", upper, None
        factors = [numbers["c"] if self.coefficient is None else f"{self.coefficient:g}"]
        for ratio, exponent in zip(self.ratios, self._exponents, strict=True):
            key = f"k[{ratio.text}]" if len(self.ratios) > 1 else "k"
            power = numbers[key] if exponent is None else f"{exponent:g}"
            factors.append(f"{_base(ratio)}**{power}")
        weight = f"1 / (1 + {' * '.join(factors)})"
        return weight, upper, _limit_text("lower", self.lower, numbers)


@dataclass(frozen=True, slots=True)
class BoundFamily:
    """A `LawFamily` at fixed points: design matrices (points × constants) and offsets (points)."""

    upper: Array
    upper_offset: Array
    lower: Array
    lower_offset: Array
    odds: Array
    odds_offset: Array | None

    def split(self, theta: Array) -> tuple[Array, Array, Array]:
        """(weight, log upper, log lower) at the points, for constants as the fit sees them."""
        n_upper, n_lower = self.upper.shape[1], self.lower.shape[1]
        log_upper = self.upper_offset + self.upper @ theta[:n_upper]
        if self.odds_offset is None:
            return np.ones_like(log_upper), log_upper, log_upper
        log_lower = self.lower_offset + self.lower @ theta[n_upper : n_upper + n_lower]
        weight = expit(-(self.odds_offset + self.odds @ theta[n_upper + n_lower :]))
        return weight, log_upper, log_lower

    def log_sigma(self, theta: Array) -> Array:
        """Natural log σ at the points."""
        weight, log_upper, log_lower = self.split(theta)
        return np.asarray(weight * log_upper + (1 - weight) * log_lower)

    def jacobian(self, theta: Array) -> Array:
        """D log σ / d theta, shape (points, constants)."""
        weight, log_upper, log_lower = self.split(theta)
        slope = -weight * (1 - weight) * (log_upper - log_lower)
        return np.concatenate(
            [
                weight[:, None] * self.upper,
                (1 - weight)[:, None] * self.lower,
                slope[:, None] * self.odds,
            ],
            axis=1,
        )


def _log(term: Term, points: Sequence[Point]) -> Array:
    return np.log(np.array([term.of(point) for point in points], dtype=np.float64))


def _base(term: Term) -> str:
    return term.text if term.text.isidentifier() else f"({term.text})"


def _limit_constants(name: str, limit: Limit) -> list[str]:
    powers = [f"{name} power of {term.text}" for term in limit.powers]
    return ([name] if limit.constant_free else []) + powers


def _limit_design(limit: Limit, points: Sequence[Point]) -> tuple[Array, Array]:
    columns = [np.ones(len(points))] if limit.constant_free else []
    columns += [_log(term, points) for term in limit.powers]
    design = np.stack(columns, axis=1) if columns else np.empty((len(points), 0))
    return design, _log(limit.known, points)


def _limit_text(name: str, limit: Limit, numbers: Mapping[str, str]) -> str:
    factors = [numbers[name]] if limit.constant_free else []
    if limit.known is not ONE:
        factors.append(limit.known.text)
    factors += [
        f"{_base(term)}**{numbers[f'{name} power of {term.text}']}" for term in limit.powers
    ]
    return " * ".join(factors) or "1"
