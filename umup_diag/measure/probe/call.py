"""One use of a weight in a forward pass: what it was given, what came out, how to do it again."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(slots=True, kw_only=True)
class Call(ABC):
    """One use of a weight.

    Attributes:
        out: what came out.
        constant: f(0), what comes out without the weight; None until asked for.
        autocast: the precision that autocast computed it in; None where it was off.
    """

    out: Tensor
    constant: Tensor | None = field(default=None)
    autocast: torch.dtype | None = field(init=False)

    def __post_init__(self) -> None:
        device = self.out.device.type
        is_on = torch.is_autocast_enabled(device)
        self.autocast = torch.get_autocast_dtype(device) if is_on else None

    def in_its_precision(self) -> torch.autocast:
        """A context in which it can be done again as it was."""
        device = self.out.device.type
        return torch.autocast(device, dtype=self.autocast, enabled=self.autocast is not None)

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
    def plain(self, weight: Tensor) -> Tensor | None:
        """W·x of a weight, without bias or multiplier; None where its layout is not known."""
