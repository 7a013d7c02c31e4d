"""Training data without end, the same for the same seed, from any batch on."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import torch

from umup_diag.errors import InputError
from umup_diag.measure.data.corpus import Corpus
from umup_diag.measure.subject import Subject
from umup_diag.measure.training import to_device
from umup_diag.measure.users_code import calling


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """A subject's own batches, or text for a subject that brings none.

    Attributes:
        subject: the model's side: its name, and `batches` if it brings any.
        corpus: the text.
        batch_size: sequences in a batch.
        seq_len: tokens in a sequence.
        seed: seed of the draws.
    """

    subject: Subject
    corpus: Corpus
    batch_size: int
    seq_len: int
    seed: int

    def __iter__(self) -> Iterator[Any]:
        source = self.subject.batches or self.corpus.batches
        for epoch in count():
            empty = True
            with calling(f"--model {self.subject.name}: batches(...)"):
                for batch in source(
                    batch_size=self.batch_size, seq_len=self.seq_len, seed=self.seed + epoch
                ):
                    empty = False
                    yield batch
            if empty:
                raise InputError(f"--model {self.subject.name}: batches(...) gave no batch.")

    def take(self, number: int, device: torch.device, *, skip: int = 0) -> Iterator[Any]:
        """Some of them, on a device.

        Args:
            number: how many to take.
            device: the device of their tensors.
            skip: how many to pass over first.
        """
        return (to_device(batch, device) for batch in islice(iter(self), skip, skip + number))
