"""Snapshots on disk, appended one at a time, so that a kill loses only the one under way."""

import json
import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from umup_diag import strict_json
from umup_diag.errors import InputError
from umup_diag.measure.snapshot import Snapshot, TensorHistogram
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.scaling.kinds import Kind

SCHEMA = 1
HOLDS = "snapshots"


class History:
    """``recording.jsonl`` of a training run: a header line, then each snapshot's tensors and end.

    A snapshot is written with one append and counts once its last line is whole. Histograms are
    kept by 4 mantissa bits: RMS, extremes and all counts for FP8 stay exact, SQNR is an estimate.
    """

    FILE = "recording.jsonl"

    def __init__(
        self, path: Path, settings: Mapping[str, Any], environment: Mapping[str, Any]
    ) -> None:
        self.path, self.settings, self.environment = path, settings, environment
        self.snapshots: list[Snapshot] = []

    @classmethod
    def is_in(cls, folder: Path) -> bool:
        """Whether a folder holds a recording."""
        try:
            return folder.is_dir() and (folder / cls.FILE).is_file()
        except OSError:
            return False  # whoever opens it says why

    @classmethod
    def create(
        cls, folder: Path, settings: Mapping[str, Any], environment: Mapping[str, Any]
    ) -> "History":
        """Start an empty one in a folder; an older one there is replaced.

        Raises:
            InputError: if the folder cannot be made or written.
        """
        history = cls(folder / cls.FILE, settings, environment)
        header = {
            "schema": SCHEMA,
            "holds": HOLDS,
            "settings": settings,
            "environment": environment,
        }
        try:
            folder.mkdir(parents=True, exist_ok=True)
            history.path.write_text(strict_json.dumps(header) + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"cannot write to {folder}: {error.strerror}.") from None
        return history

    @classmethod
    def load(cls, path: Path, *, until: int | None = None) -> "History":
        """Read one back; what a kill left of an unfinished snapshot is passed over.

        Args:
            path: the file.
            until: forget later steps, and what is unfinished, on the disk too.

        Raises:
            InputError: if there is none, or if it is not one.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"there is no recording {path}: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise InputError(f"{path} is not a recording of umup-diag: it is no text.") from None
        try:
            return cls._parse(path, text, until)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"{path} is not a recording of a training run "
                f"({type(error).__name__}: {str(error)[:100]})."
            ) from None
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    @classmethod
    def _parse(cls, path: Path, text: str, until: int | None) -> "History":
        lines = text.splitlines(keepends=True)
        header = json.loads(lines[0]) if lines else {}
        if header.get("schema") != SCHEMA or header.get("holds") != HOLDS:
            raise ValueError(f"expected schema {SCHEMA} with {HOLDS}")
        history = cls(path, header["settings"], header["environment"])
        rows: list[TensorHistogram] = []
        read = whole = len(lines[0].encode())
        for line in lines[1:]:
            read += len(line.encode())
            if not line.endswith("\n"):
                break
            fields = json.loads(line)
            if "end" not in fields:
                rows.append(_decode(fields))
                continue
            end = fields["end"]
            if until is not None and end["step"] > until:
                break
            losses = tuple(map(strict_json.number, end["losses"]))
            history.snapshots.append(Snapshot(step=end["step"], losses=losses, tensors=tuple(rows)))
            rows, whole = [], read
        if until is not None:
            os.truncate(path, whole)
        return history

    def append(self, snapshot: Snapshot) -> None:
        """Add a snapshot; on return it is on the disk.

        Raises:
            InputError: if it cannot be written.
        """
        end = {"end": {"step": snapshot.step, "losses": snapshot.losses}}
        lines = [strict_json.dumps(value) for value in [*map(_encode, snapshot.tensors), end]]
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(f"cannot write to {self.path}: {error.strerror}.") from None
        self.snapshots.append(snapshot)

    @property
    def losses(self) -> list[float]:
        """Of every update, in order."""
        return [loss for snapshot in self.snapshots for loss in snapshot.losses]

    def chosen(
        self,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        until: int | None = None,
    ) -> list[Snapshot]:
        """The snapshots up to a step, of some tensors only.

        Raises:
            InputError: if there are none.
        """

        def is_wanted(name: str) -> bool:
            wanted = not include or any(fnmatchcase(name, pattern) for pattern in include)
            return wanted and not any(fnmatchcase(name, pattern) for pattern in exclude)

        found = [
            Snapshot(
                step=snapshot.step,
                losses=snapshot.losses,
                tensors=tuple(seen for seen in snapshot.tensors if is_wanted(seen.tensor)),
            )
            for snapshot in self.snapshots
            if until is None or (snapshot.step is not None and snapshot.step <= until)
        ]
        if not any(snapshot.tensors for snapshot in found):
            raise InputError(f"{self.path} has no snapshot of such a tensor yet.")
        return found


def _encode(seen: TensorHistogram) -> dict[str, Any]:
    return {
        "tensor": seen.tensor,
        "kind": seen.kind,
        "order": seen.order,
        "histogram": seen.histogram.to_json(compact=True),
    }


def _decode(fields: Mapping[str, Any]) -> TensorHistogram:
    return TensorHistogram(
        tensor=str(fields["tensor"]),
        kind=Kind(fields["kind"]),
        order=int(fields["order"]),
        histogram=CodeHistogram.from_json(fields["histogram"]),
    )
