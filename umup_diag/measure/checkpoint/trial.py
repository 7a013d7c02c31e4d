"""A checkpoint loaded into its model and run on a few batches: weights, inputs and gradients."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from umup_diag.errors import InputError
from umup_diag.measure.checkpoint.checkpoint import Checkpoint
from umup_diag.measure.data.batches import Batches
from umup_diag.measure.recorder import MATMUL_KINDS, Recorder
from umup_diag.measure.subject import Subject
from umup_diag.measure.training import scalar_loss
from umup_diag.measure.training_records import training_records
from umup_diag.measure.users_code import calling
from umup_diag.recording import Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How a checkpoint is run.

    Attributes:
        subject: what builds the model.
        width: to build at.
        batches: the data.
        count: batches to run.
        device: of model and batches.
    """

    subject: Subject
    width: int
    batches: Batches
    count: int
    device: torch.device

    def run(self, checkpoint: Checkpoint, step: int | None) -> Frame:
        """Forward and backward over the batches, added up.

        Raises:
            InputError: if the checkpoint is not of this model.
        """
        model = self.subject.model(self.width).to(self.device)
        _load(model, checkpoint, self.subject.name)
        recorder = Recorder(model)
        with recorder.step(MATMUL_KINDS):
            for batch in self.batches.take(self.count, self.device):
                loss = scalar_loss(self.subject, model, batch)
                with calling("the backward pass"):
                    loss.backward()
        return Frame(step=step, records=training_records(recorder))


def _load(model: nn.Module, checkpoint: Checkpoint, name: str) -> None:
    """Copy the checkpoint's tensors into the model, a piece at a time."""
    stored = {tensor.name: tensor for tensor in checkpoint.tensors}
    wanted: Mapping[str, Tensor] = model.state_dict()
    prefix = _prefix(wanted, stored)
    for key, target in wanted.items():
        source = stored.get(prefix + key)
        if source is None:
            raise InputError(f"{checkpoint.path} has no tensor {key!r}, which {name} needs.")
        if tuple(target.shape) != source.shape or source.dtype is None:
            raise InputError(
                f"{checkpoint.path}: {key!r} is {source.shape}, but {name} has "
                f"{tuple(target.shape)}.\nGive the --width that it was trained at."
            )
        parts = [part.reshape(-1).to(target.dtype) for part in source.parts()]
        with torch.no_grad():
            if parts:
                target.copy_(torch.cat(parts).view(source.shape))


def _prefix(wanted: Mapping[str, Any], stored: Mapping[str, Any]) -> str:
    """What the checkpoint puts before every name, such as ``model.``."""
    first = next(iter(wanted), "")
    prefixes = [name.removesuffix(first) for name in stored if name.endswith(first)]
    return next((p for p in prefixes if all(p + key in stored for key in wanted)), "")


def fitting_width(subject: Subject, checkpoint: Checkpoint) -> int:
    """The width at which the subject's shapes are the checkpoint's.

    Raises:
        InputError: if there is none among the checkpoint's dimensions.
    """
    stored = {tensor.name: tensor.shape for tensor in checkpoint.tensors}
    sizes = Counter(size for shape in stored.values() if len(shape) > 1 for size in shape)
    for width, _ in sizes.most_common(16):
        try:
            with torch.device("meta"):
                wanted = subject.model(width).state_dict()
        except InputError:
            continue  # a model need not exist at every width
        prefix = _prefix(wanted, stored)
        if all(stored.get(prefix + key) == tuple(x.shape) for key, x in wanted.items()):
            return width
    raise InputError(
        f"{checkpoint.path} fits {subject.name} at no width.\n"
        "Is it of that model? If its width is none of its dimensions, give --width."
    )
