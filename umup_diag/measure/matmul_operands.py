"""The tensors that a model's matmuls would cast to a narrow format."""

from dataclasses import replace

from umup_diag.measure.recorder import Recorder
from umup_diag.recording import TensorRecord
from umup_diag.scaling.kinds import Kind


def matmul_operands(recorder: Recorder) -> tuple[TensorRecord, ...]:
    """What a recorder has of `MATMUL_KINDS`, without vectors, which no matmul casts.

    Input and grad-output of a model that is itself a layer go by ``weight``, as its weight does.
    """
    return tuple(
        replace(record, tensor=record.tensor or "weight")
        for record in recorder.take()
        if record.kind != Kind.WEIGHT or (record.fans and record.fans.fan_in is not None)
    )
