"""What was measured: a `Recording` of `Frame`s of `TensorRecord`s, the same for every command."""

from umup_diag.recording.frame import Frame
from umup_diag.recording.recording import Recording
from umup_diag.recording.tensor_record import Moments, TensorRecord, Value

__all__ = ["Frame", "Moments", "Recording", "TensorRecord", "Value"]
