"""Frames on disk, appended a whole run or a whole step at a time."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from umup_diag import strict_json
from umup_diag.errors import InputError, in_a_line
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording.frame import Frame
from umup_diag.recording.tensor_record import TensorRecord

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 2
_UNPACKED_BYTES, _UNPACKED_RATIO = 1 << 25, 10
"""Histograms of a recorded run unpack to three or four times their length in the file."""
_EARLIER = 1  # of version 0.1: one schema number for four formats


class Recording:
    """``recording.jsonl``: a header line, then each frame's tensors, a line each, and the frame.

    What is appended together counts together, once its last line is whole: reading after a kill
    finds exactly the runs, or the steps of a long run, that were finished.

    Attributes:
        FILE: name of the file in its folder.
        path: of the file; None for a recording in memory.
        command: that made it.
        settings: that it depends on.
        environment: versions and platform, and what else was found out before measuring.
        notes: what measuring has to say: the kind of a note, as a `NoteKind` is written, and text.
        frames: in the order in which they were recorded.
    """

    FILE = "recording.jsonl"

    def __init__(
        self,
        *,
        command: str,
        settings: Mapping[str, Any],
        environment: Mapping[str, Any],
        notes: Sequence[tuple[str, str]] = (),
        frames: Sequence[Frame] = (),
        path: Path | None = None,
    ) -> None:
        self.command, self.settings, self.environment = command, settings, environment
        self.notes = tuple(notes)
        self.frames, self.path = list(frames), path

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        command: str,
        settings: Mapping[str, Any],
        environment: Mapping[str, Any],
        notes: Sequence[tuple[str, str]] = (),
    ) -> Self:
        """Start an empty one in a folder; an older one there is replaced.

        Raises:
            InputError: if the folder cannot be made or written.
        """
        path = folder / cls.FILE
        header = {
            "schema": SCHEMA,
            "command": command,
            "settings": settings,
            "environment": environment,
            "notes": notes,
        }
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(strict_json.dumps(header) + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"cannot write to --out {folder}: {error.strerror}.") from None
        return cls(
            command=command, settings=settings, environment=environment, notes=notes, path=path
        )

    @classmethod
    def is_in(cls, folder: Path) -> bool:
        """Whether a folder holds a recording."""
        try:
            return folder.is_dir() and (folder / cls.FILE).is_file()
        except OSError:
            return False  # whoever opens it says why

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read the recording in a folder; what a kill left unfinished is passed over.

        Raises:
            InputError: if there is none, or if it is not one.
        """
        return cls._read(Path(folder) / cls.FILE, lambda _: True)[0]

    @classmethod
    def resume(cls, folder: Path, *, until: int | None = None) -> Self:
        """Read the recording in a folder, and cut off its file what is unfinished.

        Args:
            folder: that holds it.
            until: also cut off what follows the first frame of a later step.

        Raises:
            InputError: if there is none, or if it is not one.
        """

        def is_kept(frame: Frame) -> bool:
            return until is None or frame.step is None or frame.step <= until

        path = folder / cls.FILE
        recording, whole = cls._read(path, is_kept)
        os.truncate(path, whole)
        return recording

    @classmethod
    def _read(cls, path: Path, is_kept: Callable[[Frame], bool]) -> tuple[Self, int]:
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"there is no recording {path}: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise InputError(f"{path} is not a recording of umup-diag: it is no text.") from None
        return cls.parse(path, text, is_kept)

    @classmethod
    def parse(
        cls, path: Path, text: str, is_kept: Callable[[Frame], bool] = lambda _: True
    ) -> tuple[Self, int]:
        """The recording in a text, and the length in bytes of what is whole and kept.

        Args:
            path: where it is from.
            text: header, records and frames.
            is_kept: frames that are appended together are kept if it is true of all; what follows
                those that are not kept is not read.

        Raises:
            InputError: if it is no recording.
        """
        try:
            return cls._parse(path, text, is_kept)
        except (
            *(ValueError, KeyError, TypeError, AttributeError, IndexError),
            *(OverflowError, RecursionError),
        ) as error:
            reason = f"{type(error).__name__}: {str(error)[:100]}"
            raise InputError(f"{path} is not a recording of umup-diag ({reason}).") from None
        except InputError as error:
            raise InputError(f"{path}: {in_a_line(error, at_most=400)}") from None

    @classmethod
    def _parse(cls, path: Path, text: str, is_kept: Callable[[Frame], bool]) -> tuple[Self, int]:
        """As `parse`, with any error that the text may cause."""
        lines = text.splitlines(keepends=True)
        header = strict_json.loads(lines[0]) if lines else {}
        schema = header.get("schema")
        if schema == _EARLIER:
            raise InputError(
                f"it was recorded by an earlier version of umup-diag (schema {schema}, and this "
                f"one reads {SCHEMA}); record it again, or judge it with that version."
            )
        if schema != SCHEMA:
            raise ValueError(f"schema {schema!r} is not {SCHEMA}")
        recording = cls(
            command=str(header["command"]),
            settings=dict(header["settings"]),
            environment=dict(header["environment"]),
            notes=[(str(kind), str(text)) for kind, text in header["notes"]],
            path=path,
        )
        unpacked, allowance = 0, _UNPACKED_BYTES + _UNPACKED_RATIO * len(text)
        records: list[TensorRecord] = []
        together: list[Frame] = []
        read = whole = len(lines[0].encode())
        for line in lines[1:]:
            read += len(line.encode())
            if not line.endswith("\n"):
                break
            written = strict_json.loads(line)
            if "frame" not in written:
                records.append(TensorRecord.decode(written))
                unpacked += _unpacked_bytes(records[-1])
                if unpacked > allowance:
                    raise ValueError("its histograms unpack to far more than was ever recorded")
                continue
            together.append(Frame.decode(written["frame"], tuple(records)))
            records = []
            if written.get("more"):
                continue
            if not all(map(is_kept, together)):
                break
            recording.frames += together
            together, whole = [], read
        return recording, whole

    def append(self, *frames: Frame) -> None:
        """Add frames that belong together; on return they are on the disk.

        Raises:
            InputError: if they cannot be written.
        """
        if self.path is not None:
            lines = []
            for frame in frames:
                lines += [strict_json.dumps(record.encode()) for record in frame.records]
                end: dict[str, Any] = {"frame": frame.encode()}
                lines.append(
                    strict_json.dumps(end | ({"more": True} if frame is not frames[-1] else {}))
                )
            try:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write("\n".join(lines) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise InputError(f"cannot write to {self.path}: {error.strerror}.") from None
        self.frames += frames

    @property
    def losses(self) -> list[float]:
        """Of every forward pass, in order."""
        return [loss for frame in self.frames for loss in frame.losses]

    def runs(self) -> dict[tuple[tuple[str, float], ...], list[Frame]]:
        """The frames of each point, in order; the key is the point's items."""
        runs: dict[tuple[tuple[str, float], ...], list[Frame]] = {}
        for frame in self.frames:
            runs.setdefault(tuple(frame.point.items()), []).append(frame)
        return runs

    def __iter__(self) -> Iterator[tuple[Frame, TensorRecord]]:
        """Every record, with its frame."""
        return ((frame, record) for frame in self.frames for record in frame.records)

    def select(
        self,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        vectors: bool = True,
        until: int | None = None,
    ) -> "Recording":
        """The recording up to a step, of some tensors only; in memory.

        Args:
            include: patterns of names as in a shell; none for all.
            exclude: patterns of names to leave out, whatever the rest says.
            vectors: whether gains and biases are wanted where no pattern names them.
            until: last step.

        Raises:
            InputError: if nothing is left.
        """
        frames = [
            frame.select(include=include, exclude=exclude, vectors=vectors)
            for frame in self.frames
            if until is None or (frame.step is not None and frame.step <= until)
        ]
        if not any(frame.records for frame in frames):
            raise InputError(
                f"{self.path or 'the recording'} has no snapshot of such a tensor yet."
            )
        return Recording(
            command=self.command,
            settings=self.settings,
            environment=self.environment,
            notes=self.notes,
            frames=frames,
        )

    def frame(self) -> "pd.DataFrame":
        """A row for each record: the point's axes, the step, and what was measured."""
        import pandas as pd  # takes half a second, and most commands never make a table

        return pd.DataFrame(
            {
                **frame.point,
                "step": frame.step,
                "tensor": record.tensor,
                "kind": str(record.kind),
                "order": record.order,
                "fan_in": record.fans.fan_in if record.fans else None,
                "fan_out": record.fans.fan_out if record.fans else None,
                "head_dim": record.head_dim,
                "count": record.statistics.count,
                "rms": record.statistics.rms,
                "value": record.value,
                "absmax": record.statistics.absmax,
                "nonfinite_count": record.statistics.nonfinite_count,
            }
            for frame, record in self
        )

    def _repr_html_(self) -> str:
        """In a notebook: what was recorded, and the table."""
        head = f"<p><b>recording of umup-diag {escape(self.command)}</b>: {len(self.frames)} frames"
        return f"{head}</p>" + self.frame().to_html(max_rows=40, show_dimensions=True)


def _unpacked_bytes(record: TensorRecord) -> int:
    """What the histograms of a record take in memory."""
    casts = record.blocks.values()
    every = (record.statistics, *(h for cast in casts for h in (cast.scaled, cast.scales)))
    found = [each for each in every if isinstance(each, CodeHistogram)]
    return sum(each.keys.nbytes + each.counts.nbytes for each in found)
