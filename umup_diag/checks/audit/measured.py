"""A recording read as powers of width, parameter by parameter."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import e, inf, isfinite, log2, prod

import numpy as np

from umup_diag.checks.interval import Mean
from umup_diag.measure.trained_with import TRAINED_BY
from umup_diag.recording import Recording
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.roles import Fans, Role, infer_roles
from umup_diag.scaling.update_rules import UpdateRule

_TWO_SIDED_95 = 1.96  #: standard deviations, of a normal distribution
_MULTIPLIERS = (Kind.MULTIPLIER, Kind.INPUT_MULTIPLIER, Kind.OUTPUT_MULTIPLIER)
#: Power of width that no gradient goes beyond: the steepest in any scheme at init is 3/2.
STEEPEST = 2.0
WIDTH, DEPTH = "width", "depth"  #: axes of a recording
Place = tuple[float, float]  #: (width or depth, seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """A power of width with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def exactly(cls, value: float) -> "Power":
        """One that no random number has a part in."""
        return cls(value=value, low=value, high=value)

    def __add__(self, other: "Power") -> "Power":
        return Power(
            value=self.value + other.value,
            low=self.low + other.low,
            high=self.high + other.high,
        )

    def times(self, count: int) -> "Power":
        """Of a power of the quantity."""
        return Power(value=count * self.value, low=count * self.low, high=count * self.high)


class Measured:
    """What a recording says of each parameter, along one axis; it is width unless depth is said.

    Attributes:
        parameters: their names, in order.
        width: of interest.
        roles: name → role; None where width says nothing.
    """

    def __init__(
        self, recording: Recording, width: float | None = None, *, axis: str = WIDTH
    ) -> None:
        self._values: dict[tuple[str, str], dict[Place, float]] = defaultdict(dict)
        self._counts: dict[tuple[str, str], dict[Place, int]] = defaultdict(dict)
        fans: dict[int, dict[str, Fans]] = defaultdict(dict)
        parameters: dict[str, None] = {}
        for frame, record in recording:
            if (DEPTH in frame.point) != (axis == DEPTH):
                continue
            place = frame.point[axis], frame.point["seed"]
            self._values[record.tensor, str(record.kind)][place] = record.value
            self._counts[record.tensor, str(record.kind)][place] = record.statistics.count
            if record.kind in (Kind.HELD, Kind.WEIGHT):
                parameters.setdefault(record.tensor)
                if record.kind == Kind.HELD and record.fans:
                    fans[int(place[0])][record.tensor] = record.fans
        self.parameters = tuple(parameters)
        self._fans = fans
        self.width = max(fans, default=0) if width is None else width
        self.roles: Mapping[str, Role | None] = (
            infer_roles(fans) if axis == WIDTH and len(fans) > 1 else {}
        )

    def fans(self, tensor: str) -> Fans | None:
        """At the width of interest, or at the widest that there is."""
        at = int(self.width) if self.width in self._fans else max(self._fans, default=0)
        return self._fans[at].get(tensor) if self._fans else None

    def role(self, tensor: str) -> Role | None:
        """Of a parameter; None too for a vector that does not grow."""
        role = self.roles.get(tensor)
        if role is Role.VECTOR:
            narrow, wide = self._fans[min(self._fans)], self._fans[max(self._fans)]
            return role if wide[tensor].fan_out > narrow[tensor].fan_out else None
        return role

    def role_name(self, tensor: str) -> str:
        """In words; empty where only one width is known."""
        return str(self.role(tensor) or "other") if self.roles else ""

    def rule(self, tensor: str) -> UpdateRule | None:
        """How its update goes with its gradient; None if the optimizer is not known."""
        return next(
            (rule for rule in UpdateRule if (tensor, f"{TRAINED_BY}{rule}") in self._values), None
        )

    def has(self, tensor: str, kind: str) -> bool:
        """Whether it was measured at all."""
        return (tensor, kind) in self._values

    def of_kind(self, kind: str) -> list[str]:
        """The tensors that it was measured of, in order."""
        return [tensor for tensor, each in self._values if each == kind]

    def value(self, tensor: str, kind: str, width: float | None = None) -> float | None:
        """At a width, the one of interest if none is said; by its power where it is not known."""
        at = self.width if width is None else width
        places = self._values.get((tensor, kind), {})
        here = [value for (w, _), value in places.items() if w == at]
        if here:
            return _mean(here)
        if not places:
            return None
        nearest = min((w for w, _ in places), key=lambda w: abs(log2(w / at)))
        known = _mean([value for (w, _), value in places.items() if w == nearest])
        power = self.power(tensor, kind)
        return known if power is None else known * (at / nearest) ** power.value

    def power(self, tensor: str, kind: str) -> Power | None:
        """Of a number that does not depend on random numbers; None for one that is ever 0."""
        slope = _slope(self._values.get((tensor, kind), {}))
        return None if slope is None else Power.exactly(slope)

    def init(self, tensor: str) -> Power | None:
        """Of the initial RMS; its interval is that of a sample of so many normal numbers."""
        places = self._values.get((tensor, Kind.WEIGHT), {})
        slope = _slope(places)
        if slope is None:
            return None
        counts = self._counts[tensor, Kind.WEIGHT]
        x = np.log2([width for width, _ in places])
        share = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
        variance = np.array([1 / (2 * counts[place]) for place in places])
        half = _TWO_SIDED_95 * log2(e) * float(np.sqrt((share**2 * variance).sum()))
        return Power(value=slope, low=slope - half, high=slope + half)

    def multiplier(self, tensor: str) -> Power | None:
        """Of all constants that its output is multiplied by; None where they are not known."""
        fans = self.fans(tensor)
        if fans is not None and fans.is_vector:
            return Power.exactly(0.0)
        slope = _slope(self.multipliers(tensor))
        return None if slope is None else Power.exactly(slope)

    def multipliers(self, tensor: str) -> dict[Place, float]:
        """The product of these constants at each place."""
        known = [self._values.get((tensor, kind), {}) for kind in _MULTIPLIERS]
        return {place: abs(prod(each.get(place, 1.0) for each in known)) for place in known[0]}

    def multiplier_at(self, tensor: str, width: float) -> float | None:
        """The product of these constants at a width, by its power where it was not measured."""
        known, power = self.multipliers(tensor), self.multiplier(tensor)
        if not known or power is None:
            return None
        nearest = min((w for w, _ in known), key=lambda w: abs(log2(w / width)))
        mean = _mean([value for (w, _), value in known.items() if w == nearest])
        return float(mean * (width / nearest) ** power.value)

    def count_power(self, tensor: str, kind: str) -> float | None:
        """Of the number of elements that it was measured over."""
        return _slope({place: float(n) for place, n in self._counts[tensor, kind].items()})

    def by_seeds(self, tensor: str, kind: str) -> Power | None:
        """Of a random number, from the slope of each seed; None with fewer than two."""
        slopes = list(self._slopes(tensor, kind))
        if len(slopes) < 2:
            return None
        mean = Mean.of(slopes)
        return Power(value=mean.mean, low=mean.low, high=mean.high)

    def extrapolated(self, tensor: str, kind: str) -> Power | None:
        """log2 of a random number at the width of interest, along the slope of each seed.

        With one seed, or where it was measured at that width, it is taken as it is.
        """
        places = self._values.get((tensor, kind), {})
        if not places or not all(isfinite(v) and v > 0 for v in places.values()):
            return None
        widest = max(width for width, _ in places)
        ends = [log2(value) for (width, _), value in places.items() if width == widest]
        octaves = log2(self.width / widest)
        end, slope = Mean.of(ends), Mean.of(self._slopes(tensor, kind) or [0.0])
        found = end.mean + slope.mean * octaves
        if end.seeds < 2:
            return Power.exactly(found)
        reach = sorted(
            octaves * min(max(each, -STEEPEST), STEEPEST) for each in (slope.low, slope.high)
        )
        return Power(value=found, low=end.low + reach[0], high=end.high + reach[1])

    def _slopes(self, tensor: str, kind: str) -> list[float]:
        """One a seed."""
        places = self._values.get((tensor, kind), {})
        seeds = dict.fromkeys(seed for _, seed in places)
        slopes = [
            _slope({place: value for place, value in places.items() if place[1] == seed})
            for seed in seeds
        ]
        return [slope for slope in slopes if slope is not None]


def _slope(places: Mapping[Place, float]) -> float | None:
    """Least squares of log2 over log2 width; None for one width, or where a value has no log."""
    widths = {width for width, _ in places}
    if len(widths) < 2 or not all(isfinite(v) and v > 0 for v in places.values()):
        return None
    x, y = np.log2([width for width, _ in places]), np.log2(list(places.values()))
    return float(((x - x.mean()) * y).sum() / ((x - x.mean()) ** 2).sum())


def _mean(values: list[float]) -> float:
    """Geometric, of numbers that are all positive."""
    if all(0 < value < inf for value in values):
        return float(2.0 ** np.mean(np.log2(values)))
    return float(np.mean(values))
