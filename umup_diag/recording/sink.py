"""Passing on what is recorded, as named numbers a step, to whatever draws them."""

import math
import warnings
from collections.abc import Iterable, Mapping
from typing import Protocol

from umup_diag.numerics import formats
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.numerics.recipes import USUAL_FORMATS
from umup_diag.recording.frame import Frame
from umup_diag.recording.tensor_record import TensorRecord


class Sink(Protocol):
    """Where named numbers go; a tracker of experiments, or a file.

    `umup_diag.integrations.sinks` has those for TensorBoard, W&B, MLflow and JSON lines.
    """

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Take the values of one step; steps ascend, but begin again where a run is resumed."""
        ...


def metrics(frame: Frame) -> dict[str, float]:
    """What a frame says, as named numbers: ``layers.0.attention.q/input/rms_log2``.

    Of every tensor and kind: ``rms_log2`` and ``absmax_log2``, ``nonfinite_count``, and of a
    histogram the shares that underflow and overflow in the format that its kind is usually cast
    to, ``underflow_fraction_e4m3fn``. A logarithm of zero is left out: no tracker draws it; and so
    are gains and biases, which would double the number of curves.
    """
    return {
        f"{record.tensor}/{record.kind}/{name}": value
        for record in frame.select(vectors=False).records
        for name, value in _of(record).items()
        if math.isfinite(value)
    }


def _of(record: TensorRecord) -> dict[str, float]:
    statistics = record.statistics
    values = {
        "rms_log2": _log2(statistics.rms),
        "absmax_log2": _log2(statistics.absmax),
        "nonfinite_count": float(statistics.nonfinite_count),
    }
    if isinstance(statistics, CodeHistogram) and record.kind in USUAL_FORMATS:
        fmt = formats.get(USUAL_FORMATS[record.kind][0])
        name = fmt.name.lower()
        values[f"underflow_fraction_{name}"] = statistics.underflow_fraction(fmt)
        values[f"overflow_fraction_{name}"] = statistics.overflow_fraction(fmt)
    return values


def _log2(value: float) -> float:
    return math.log2(value) if value > 0 and math.isfinite(value) else math.nan


class Sinks:
    """Several sinks as one listener to frames.

    One that fails is left out from then on, with a warning: a tracker that cannot be reached must
    not end a training run.
    """

    def __init__(self, sinks: Iterable[Sink]) -> None:
        self._sinks = list(sinks)

    def __call__(self, frame: Frame) -> None:
        """Log a frame of a training run to all of them."""
        if not self._sinks or frame.step is None:
            return
        values = metrics(frame)
        for sink in list(self._sinks):
            try:
                sink.log(values, frame.step)
            except Exception as error:  # whatever it is, it is the tracker's
                self._sinks.remove(sink)
                warnings.warn(
                    f"umup-diag: {type(sink).__name__} takes no more values from step "
                    f"{frame.step} on ({type(error).__name__}: {error}).",
                    stacklevel=2,
                )
