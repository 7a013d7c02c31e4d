"""Rows on disk: appended a whole run at a time, so that a kill loses only the run under way."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umup_diag import strict_json
from umup_diag.errors import InputError
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.roles import Fans

if TYPE_CHECKING:
    import pandas

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement: where, of what, and its statistics.

    Attributes:
        width: of the model.
        seed: index of the run at that width.
        step: updates done before it was taken.
        tensor: the layer's name, or a parameter's where it is no layer's weight.
        kind: of tensor.
        order: place of the layer in the forward pass.
        fan_in: of the layer's weight; None for vectors and for attention logits.
        fan_out: of the layer's weight; None for attention logits.
        head_dim: of attention logits; None for others.
        count: elements.
        rms: over the finite ones.
        absmax: over the finite ones.
        nonfinite: how many are NaN or infinite.
    """

    width: int
    seed: int
    step: int
    tensor: str
    kind: Kind
    order: int
    fan_in: int | None
    fan_out: int | None
    head_dim: int | None
    count: int
    rms: float
    absmax: float
    nonfinite: int

    @property
    def fans(self) -> Fans | None:
        """Of the layer's weight."""
        return None if self.fan_out is None else Fans(fan_in=self.fan_in, fan_out=self.fan_out)

    @classmethod
    def decode(cls, fields: Mapping[str, Any]) -> "Row":
        """Read back what `dumps` of ``asdict(row)`` wrote."""
        numbers = {name: strict_json.number(fields[name]) for name in ("rms", "absmax")}
        return cls(**{**fields, **numbers, "kind": Kind(fields["kind"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """All rows of one model at one width and seed, and its loss before each update and after."""

    width: int
    seed: int
    losses: tuple[float, ...]
    rows: tuple[Row, ...]

    @property
    def key(self) -> tuple[int, int]:
        """What tells runs of one recording apart."""
        return self.width, self.seed


class Recording:
    """Settings and runs in ``recording.jsonl``: a header line, then each run's rows and its end.

    A run is written with one append and counts only once its last line is whole, so reading after
    a kill finds exactly the runs that were finished.
    """

    def __init__(
        self, path: Path, settings: Mapping[str, Any], environment: Mapping[str, Any]
    ) -> None:
        self.path, self.settings, self.environment = path, settings, environment
        self.runs: dict[tuple[int, int], Run] = {}

    @classmethod
    def create(
        cls, path: Path, settings: Mapping[str, Any], environment: Mapping[str, Any]
    ) -> "Recording":
        """Start an empty one.

        Raises:
            InputError: if the folder cannot be made or written.
        """
        header = {"schema": SCHEMA, "settings": settings, "environment": environment}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(strict_json.dumps(header) + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"cannot write to --out {path.parent}: {error.strerror}.") from None
        return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> "Recording":
        """Read one back, and cut off what a kill left of an unfinished run.

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
            return cls._parse(path, text)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} is not a whole recording of umup-diag ({type(error).__name__}: {error}).\n"
                "Delete it and record again."
            ) from None

    @classmethod
    def _parse(cls, path: Path, text: str) -> "Recording":
        lines = text.splitlines(keepends=True)
        header = json.loads(lines[0]) if lines else {}
        if not isinstance(header, dict) or header.get("schema") != SCHEMA:
            raise ValueError(f"expected schema {SCHEMA}")
        recording = cls(path, header["settings"], header["environment"])
        rows: list[Row] = []
        whole = len(lines[0].encode())
        read = whole
        for line in lines[1:]:
            read += len(line.encode())
            if not line.endswith("\n"):
                break
            fields = json.loads(line)
            if "end" in fields:
                end = fields["end"]
                losses = tuple(map(strict_json.number, end["losses"]))
                run = Run(width=end["width"], seed=end["seed"], losses=losses, rows=tuple(rows))
                recording.runs[run.key] = run
                rows, whole = [], read
            else:
                rows.append(Row.decode(fields))
        if whole < len(text.encode()):
            os.truncate(path, whole)
        return recording

    def append(self, run: Run) -> None:
        """Add a finished run; on return it is on the disk."""
        end = {"end": {"width": run.width, "seed": run.seed, "losses": run.losses}}
        lines = [strict_json.dumps(value) for value in [*map(asdict, run.rows), end]]
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.runs[run.key] = run

    @property
    def rows(self) -> Sequence[Row]:
        """All rows of the finished runs."""
        return [row for run in self.runs.values() for row in run.rows]

    def frame(self) -> "pandas.DataFrame":
        """All rows as a table, a column for each attribute of `Row`."""
        import pandas as pd

        return pd.DataFrame([asdict(row) for row in self.rows])
