"""What a recording of training keeps of what a recorder saw."""

from dataclasses import replace

from umup_diag.measure.recorder import Recorder
from umup_diag.recording import TensorRecord


def training_records(recorder: Recorder) -> tuple[TensorRecord, ...]:
    """Inputs, weights and grad-outputs of layers; and vectors, which no matmul casts.

    Input and grad-output of a model that is itself a layer go by ``weight``, as its weight does.
    """
    return tuple(replace(record, tensor=record.tensor or "weight") for record in recorder.take())
