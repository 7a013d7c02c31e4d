"""One use of a weight in a forward pass: what it was given, what came out, how to do it again."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(slots=True, kw_only=True)
class Call(ABC):
    """One use of a weight.

    Attributes:
        out: what came out.
        constant: f(0), what comes out without the weight; None until asked for.
    """

    out: Tensor
    constant: Tensor | None = field(default=None)

    @property
    @abstractmethod
    def weight(self) -> Tensor:
        """The parameter."""

    @property
    @abstractmethod
    def given(self) -> Tensor | None:
        """The input; None if there is none."""

    @property
    @abstractmethod
    def has_more(self) -> bool:
        """Whether other parameters, such as a bias, take part."""

    @abstractmethod
    def forward(self, weight: Tensor) -> Tensor | None:
        """What comes out with another tensor in the weight's place; None if its shape differs."""

    @abstractmethod
    def plain(self) -> Tensor | None:
        """W·x without bias or multiplier; None where the layout of the weight is not known."""
