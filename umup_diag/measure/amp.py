"""The loss scale of automatic mixed precision, while a step is recorded."""

import warnings
from dataclasses import replace
from math import log2

import torch

from umup_diag.numerics.rescale import rescaled
from umup_diag.recording import TensorRecord
from umup_diag.scaling.kinds import Kind


class LossScale:
    """What a `torch.amp.GradScaler` multiplies the loss of a step by, and with it all gradients.

    The scale is read once when a recorded step begins, and once when it may have ended: each read
    waits for the device. Between two updates it does not change.

    Args:
        scaler: None, or one that is disabled, scales nothing.
    """

    def __init__(self, scaler: torch.amp.GradScaler | None) -> None:
        self._scaler = scaler if scaler is not None and scaler.is_enabled() else None
        self._value: float | None = None

    def open(self) -> None:
        """A recorded step begins."""
        self._value = None if self._scaler is None else self._scaler.get_scale()

    @property
    def was_skipped(self) -> bool:
        """Whether the optimizer's step was left out since: the scale falls then, and only then."""
        if self._scaler is None or self._value is None:
            return False
        return self._scaler.get_scale() < self._value

    def taken_out(self, records: tuple[TensorRecord, ...]) -> tuple[TensorRecord, ...]:
        """The records of the step with their grad-outputs divided by the scale.

        By a power of two, which is exact: scales are powers of two unless a user made the scaler
        otherwise, which is warned of.
        """
        if self._value is None:
            return records
        power = round(log2(self._value))
        if 2.0**power != self._value:
            warnings.warn(
                f"the loss scale {self._value:g} is no power of two: recorded grad-outputs are "
                f"{self._value / 2.0**power:.3g} times too large.",
                stacklevel=2,
            )
        return tuple(
            replace(record, statistics=rescaled(record.histogram, -power))
            if record.kind == Kind.GRAD_OUTPUT
            else record
            for record in records
        )
