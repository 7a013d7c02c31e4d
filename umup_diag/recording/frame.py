"""One moment of one run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from umup_diag import strict_json
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording.tensor_record import Moments, TensorRecord
from umup_diag.recording.wiring import Wiring

Point = Mapping[str, float]  #: axis → where on it: width, depth, lr, seed, an op's parameter, …


def describe_point(point: Point, *, separator: str = ", ", equals: str = "=") -> str:
    """In words: ``alpha=0.125, seq_len=256``."""
    words = separator.join(f"{axis}{equals}{value:g}" for axis, value in point.items())
    return words or "its only point"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """All tensors at one moment of one run.

    Attributes:
        point: where the run lies on the axes that are swept.
        step: updates done by then; None where nobody knows, as of a checkpoint without a name.
        losses: of the forward passes since the frame before, in order.
        records: the tensors, in the order of the forward pass.
        wiring: who feeds whom; None where it was not looked at.
    """

    point: Point = field(default_factory=dict)
    step: int | None = None
    losses: tuple[float, ...] = ()
    records: tuple[TensorRecord, ...] = ()
    wiring: Wiring | None = None

    def in_moments(self) -> "Frame":
        """The frame with the moments of its histograms in place of them."""
        records = tuple(
            replace(record, statistics=Moments.of(record.statistics))
            if isinstance(record.statistics, CodeHistogram)
            else record
            for record in self.records
        )
        return replace(self, records=records)

    def select(
        self,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        vectors: bool = True,
    ) -> "Frame":
        """The frame with some of its tensors.

        Args:
            include: patterns of names as in a shell; none for all.
            exclude: patterns of names to leave out, whatever the rest says.
            vectors: whether gains and biases are wanted where no pattern names them.
        """

        def is_wanted(record: TensorRecord) -> bool:
            name = record.tensor
            unnamed = not include and (vectors or not record.is_vector)
            wanted = unnamed or any(fnmatchcase(name, pattern) for pattern in include)
            return wanted and not any(fnmatchcase(name, pattern) for pattern in exclude)

        return replace(self, records=tuple(filter(is_wanted, self.records)))

    def encode(self) -> dict[str, Any]:
        """All but the records, as JSON can hold it."""
        written: dict[str, Any] = {"point": dict(self.point), "step": self.step}
        if self.losses:
            written["losses"] = list(self.losses)
        if self.wiring is not None:
            written["wiring"] = self.wiring.encode()
        return written

    @classmethod
    def decode(cls, written: Mapping[str, Any], records: tuple[TensorRecord, ...]) -> "Frame":
        """Read back what was written of `encode`, with the records that stood before it.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: if it is no frame.
        """
        wiring = written.get("wiring")
        return cls(
            point={
                str(axis): strict_json.number(value) for axis, value in written["point"].items()
            },
            step=None if written["step"] is None else strict_json.whole(written["step"]),
            losses=tuple(map(strict_json.number, written.get("losses", ()))),
            records=records,
            wiring=None if wiring is None else Wiring.decode(wiring),
        )
