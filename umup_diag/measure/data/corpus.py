"""Real text as bytes: Python's own manual, or any file."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from pydoc_data.topics import topics
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from umup_diag.errors import InputError

BYTES = 256  #: vocabulary of text read as bytes


@dataclass(frozen=True, slots=True)
class Corpus:
    """A text and where it came from.

    Attributes:
        name: path of the file, or ``pydoc_data.topics``.
        text: the whole of it, in bytes.
    """

    MANUAL: ClassVar[str] = "pydoc_data.topics"

    name: str
    text: bytes

    @classmethod
    def load(cls, path: Path | None = None) -> "Corpus":
        """Read a file; with none, the manual that ships with every CPython (465 kB of English).

        Raises:
            InputError: if the file is missing, unreadable or empty.
        """
        if path is None:
            return cls(cls.MANUAL, "\n".join(topics.values()).encode())
        try:
            text = path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read the text {path}: {error.strerror}.") from None
        if not text:
            raise InputError(f"the text {path} is empty; give one of at least a few kilobytes.")
        return cls(str(path), text)

    @property
    def digest(self) -> str:
        """Enough of the SHA-256 to tell texts apart."""
        return sha256(self.text).hexdigest()[:16]

    def batches(self, *, batch_size: int, seq_len: int, seed: int) -> Iterator[Tensor]:
        """Endless int64 batches (batch_size, seq_len + 1) of consecutive bytes, at random offsets.

        Raises:
            InputError: if the text is shorter than one sequence.
        """
        length = seq_len + 1
        if len(self.text) < length:
            raise InputError(
                f"the text {self.name} has {len(self.text)} bytes, but a sequence takes {length}; "
                "give a longer text or a smaller --seq-len."
            )
        tokens = np.frombuffer(self.text, dtype=np.uint8)
        random = np.random.default_rng(seed)
        while True:
            starts = random.integers(0, len(tokens) - length + 1, size=batch_size)
            rows = np.stack([tokens[start : start + length] for start in starts])
            yield torch.from_numpy(rows.astype(np.int64))
