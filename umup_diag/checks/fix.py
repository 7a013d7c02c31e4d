"""What to change so that a finding passes, as data; its words are made from it."""

from dataclasses import asdict, dataclass
from typing import Any

SAME_POWER = 0.2  #: two powers of width this close are one


def rounded(exponent: float) -> float:
    """An exponent, as the half power that it is within 0.2 of."""
    half = round(2 * exponent) / 2
    return half if abs(exponent - half) <= SAME_POWER else exponent


def power(exponent: float, axis: str = "width") -> str:
    """A power of an axis, its exponent rounded."""
    return f"{axis}^{round(rounded(exponent), 2):+g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiply:
    """Multiply something by a factor, or by a power of an axis.

    Attributes:
        what: learning rate, initial weights, multiplier, …
        factor: the number; None if it is a power.
        exponent: the power; None if it is a number.
        axis: that it is a power of.
    """

    what: str
    factor: float | None = None
    exponent: float | None = None
    axis: str = "width"

    @property
    def amount(self) -> str:
        """In words: ``width^-1``, ``0.707``."""
        if self.exponent is not None:
            return power(self.exponent, self.axis)
        return f"{self.factor:.3g}"

    def words(self, *, is_first: bool) -> str:
        """As a clause; the verb is said once."""
        article = "" if self.what[0].isupper() else "the "  # a name has none: Adam's ε
        return f"{'multiply ' if is_first else ''}{article}{self.what} by {self.amount}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Cast the tensor to another format."""

    to: str

    def words(self, *, is_first: bool) -> str:  # noqa: ARG002
        """As a clause."""
        return f"cast it to {self.to}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleBeforeCast:
    """Multiply the tensor by a power of two before it is cast, and divide it out after.

    Attributes:
        log2: the power.
    """

    log2: int

    def words(self, *, is_first: bool) -> str:  # noqa: ARG002
        """As a clause."""
        return scale_before_cast(f"2^{self.log2}")


def scale_before_cast(amount: str) -> str:
    """The clause of `ScaleBeforeCast`, for one power of two or a range of them."""
    return f"scale it by {amount} before the cast"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What is no arithmetic: which option to change, where to look."""

    text: str

    def words(self, *, is_first: bool) -> str:  # noqa: ARG002
        """As it is."""
        return self.text


Step = Multiply | Cast | ScaleBeforeCast | Advice


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """What would make a tensor pass.

    Attributes:
        tensor: that is changed.
        steps: to take.
        is_choice: whether any one of them will do; else all are needed.
    """

    tensor: str
    steps: tuple[Step, ...]
    is_choice: bool = False

    def __str__(self) -> str:
        join = " or " if self.is_choice else " and "
        return join.join(step.words(is_first=not at) for at, step in enumerate(self.steps))

    def encode(self) -> dict[str, Any]:
        """As results keep it."""
        return {
            "tensor": self.tensor,
            "steps": [
                {"action": type(step).__name__, **_without_none(asdict(step))}
                for step in self.steps
            ],
            "any_of": self.is_choice,
        }


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
