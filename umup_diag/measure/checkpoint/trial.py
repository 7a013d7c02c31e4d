"""A checkpoint loaded into its model and run on a few batches, so that all three kinds are seen."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from umup_diag.errors import InputError
from umup_diag.measure.batches import Batches
from umup_diag.measure.checkpoint.checkpoint import Checkpoint
from umup_diag.measure.corpus import Corpus
from umup_diag.measure.recorder import MATMUL_KINDS, Recorder
from umup_diag.measure.snapshot import Snapshot, TensorHistogram
from umup_diag.measure.subject import Subject
from umup_diag.measure.training import scalar_loss
from umup_diag.scaling.kinds import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How a checkpoint is run.

    Attributes:
        subject: the model's module.
        width: to build at.
        batches: what it is run on.
        count: how many.
        device: where.
    """

    subject: Subject
    width: int
    batches: Batches
    count: int
    device: torch.device

    @classmethod
    def of(
        cls,
        model: str,
        checkpoint: Checkpoint,
        *,
        width: int | None,
        batches: int,
        batch_size: int,
        seq_len: int,
        text: Path | None,
        seed: int,
        device: torch.device,
    ) -> "Trial":
        """Load the subject, and find the width that fits the checkpoint if none is given.

        Raises:
            InputError: if there is no such subject, text or width.
        """
        subject = Subject.load(model)
        return cls(
            subject=subject,
            width=_width(subject, checkpoint) if width is None else width,
            batches=Batches(
                subject=subject,
                corpus=Corpus.load(text),
                batch_size=batch_size,
                seq_len=seq_len,
                seed=seed,
            ),
            count=batches,
            device=device,
        )

    @property
    def notes(self) -> list[str]:
        """What the reader should know."""
        return [
            f"Inputs and gradients are of {self.count} batches through {self.subject.name} at "
            f"width {self.width}, without updates."
        ]

    def run(self, checkpoint: Checkpoint, step: int | None) -> Snapshot:
        """Forward and backward over the batches, merged.

        Raises:
            InputError: if the checkpoint is not of this model.
        """
        model = self.subject.model(self.width).to(self.device)
        _load(model, checkpoint, self.subject.name)
        recorder = Recorder(model)
        with recorder.step(MATMUL_KINDS):
            for batch in self.batches.take(self.count, self.device):
                scalar_loss(self.subject, model, batch).backward()
        return Snapshot(step=step, tensors=matmul_tensors(recorder))


def matmul_tensors(recorder: Recorder) -> tuple[TensorHistogram, ...]:
    """What a recorder saw of layers; vectors, which no matmul casts, are left out."""
    return tuple(
        TensorHistogram(
            tensor=seen.tensor or "weight",  # of a model that is one layer
            kind=seen.kind,
            order=seen.order,
            histogram=seen.histogram,
        )
        for seen in recorder.take()
        if seen.kind is not Kind.WEIGHT or (seen.fans and seen.fans.fan_in is not None)
    )


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


def _width(subject: Subject, checkpoint: Checkpoint) -> int:
    """The width at which the subject's shapes are the checkpoint's."""
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
