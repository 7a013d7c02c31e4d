"""One measured tensor."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite, nan
from typing import Any

from umup_diag import strict_json
from umup_diag.numerics.block_cast import BlockCast
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.roles import Fans


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """What is kept of a tensor where nobody needs its histogram.

    A sweep over widths keeps moments: its judge needs nothing else, and histograms would make its
    recording three times as large and take ten times as long to write (docs/recording.md).

    Attributes:
        count: elements, or independent draws.
        rms: over the finite ones.
        absmax: over the finite ones; NaN where it was not measured.
        nonfinite_count: how many are NaN or infinite.
        relative_error: standard error of `rms` over it, where it is an estimate; else None.
    """

    count: int
    rms: float
    absmax: float = float("nan")
    nonfinite_count: int = 0
    relative_error: float | None = None

    @classmethod
    def of(cls, histogram: CodeHistogram) -> "Moments":
        """The moments of a histogram."""
        return cls(
            count=histogram.count,
            rms=histogram.rms,
            absmax=histogram.absmax,
            nonfinite_count=histogram.nonfinite_count,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """That a histogram is of a sample of a tensor.

    Attributes:
        elements: of the tensor.
        relative_error: standard error of the histogram's RMS over it.
    """

    elements: int
    relative_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One number that is no summary of elements: a gain, a change of the loss; it has a sign.

    Attributes:
        value: the number.
        count: elements of the tensor that it belongs to.
    """

    value: float
    count: int

    @property
    def nonfinite_count(self) -> int:
        """1 if the number is NaN or infinite."""
        return int(not isfinite(self.value))

    @property
    def rms(self) -> float:
        """NaN: there are no elements to have one."""
        return nan

    @property
    def absmax(self) -> float:
        """NaN likewise."""
        return nan


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRecord:
    """One tensor at one moment.

    Attributes:
        tensor: name of the layer, of the parameter where it is no layer's weight, of the tensor in
            a checkpoint, or of an op.
        kind: a `Kind`, or a quantity of an op such as ``gradient of q``.
        statistics: its histogram, its moments alone, or a number that is measured of it.
        order: place in the forward pass, or in the checkpoint.
        fans: of the layer's weight; None for what is no parameter's.
        head_dim: of attention logits; None for others.
        weight_of: the tensor whose weight a tied layer has; None where it has its own.
        blocks: block format → what a cast to it does; empty unless it was asked for.
        sample: what a histogram counts, if not every element.
    """

    tensor: str
    kind: str
    statistics: CodeHistogram | Moments | Value
    order: int = 0
    fans: Fans | None = None
    head_dim: int | None = None
    weight_of: str | None = None
    blocks: Mapping[str, BlockCast] = field(default_factory=dict)
    sample: Sample | None = None

    @property
    def rms(self) -> float:
        """Over the finite elements."""
        return self.statistics.rms

    @property
    def is_vector(self) -> bool:
        """Whether it is of a gain, a bias or another parameter of one dimension."""
        return self.fans is not None and self.fans.fan_in is None

    @property
    def value(self) -> float:
        """The number that was measured, or the RMS."""
        return self.statistics.value if isinstance(self.statistics, Value) else self.rms

    @property
    def histogram(self) -> CodeHistogram:
        """Of all elements.

        Raises:
            TypeError: if there is none.
        """
        if not isinstance(self.statistics, CodeHistogram):
            kept = "one number was" if isinstance(self.statistics, Value) else "moments were"
            raise TypeError(f"of {self.tensor} ({self.kind}) {kept} kept, no histogram")
        return self.statistics

    def encode(self) -> dict[str, Any]:
        """As JSON can hold it; histograms by 4 mantissa bits.

        RMS, extremes and all counts for FP8 stay exact, SQNR becomes an estimate.
        """
        written: dict[str, Any] = {"tensor": self.tensor, "kind": self.kind, "order": self.order}
        if self.fans is not None:
            written |= {"fan_in": self.fans.fan_in, "fan_out": self.fans.fan_out}
        if self.head_dim is not None:
            written["head_dim"] = self.head_dim
        if self.weight_of is not None:
            written["weight_of"] = self.weight_of
        if self.sample is not None:
            written["sample"] = asdict(self.sample)
        if self.blocks:
            written["blocks"] = {name: cast.encode() for name, cast in self.blocks.items()}
        match self.statistics:
            case CodeHistogram() as histogram:
                written["histogram"] = histogram.to_json(compact=True)
            case Moments() as moments:
                written["moments"] = {
                    name: getattr(moments, name)
                    for name in Moments.__dataclass_fields__
                    if getattr(moments, name) is not None
                }
            case Value() as number:
                written |= {"value": number.value, "count": number.count}
        return written

    @classmethod
    def decode(cls, written: Mapping[str, Any]) -> "TensorRecord":
        """Read back what was written of `encode`.

        Raises:
            KeyError, TypeError, ValueError, InputError: if it is no record.
        """
        fans = None
        if "fan_out" in written:
            fan_in = written["fan_in"]  # a vector has none
            fans = Fans(
                fan_in=None if fan_in is None else strict_json.whole(fan_in),
                fan_out=strict_json.whole(written["fan_out"]),
            )
        sample = written.get("sample")
        kind, head_dim = str(written["kind"]), written.get("head_dim")
        weight_of = written.get("weight_of")
        return cls(
            tensor=str(written["tensor"]),
            kind=Kind(kind) if kind in set(Kind) else kind,
            statistics=_statistics(written),
            order=strict_json.whole(written["order"]),
            fans=fans,
            head_dim=None if head_dim is None else strict_json.whole(head_dim),
            weight_of=None if weight_of is None else str(weight_of),
            blocks={
                name: BlockCast.decode(cast) for name, cast in written.get("blocks", {}).items()
            },
            sample=None
            if sample is None
            else Sample(
                elements=strict_json.whole(sample["elements"]),
                relative_error=strict_json.number(sample["relative_error"]),
            ),
        )


def _statistics(written: Mapping[str, Any]) -> CodeHistogram | Moments | Value:
    if "value" in written:
        return Value(
            value=strict_json.number(written["value"]), count=strict_json.whole(written["count"])
        )
    if "histogram" in written:
        return CodeHistogram.from_json(written["histogram"])
    moments: dict[str, Any] = dict(written["moments"])
    for name in ("rms", "absmax", "relative_error"):
        if name in moments:
            moments[name] = strict_json.number(moments[name])
    for name in ("count", "nonfinite_count"):
        strict_json.whole(moments.get(name, 0))
    return Moments(**moments)
