"""Judging a run while it goes on: a line when a tensor comes near a limit, once a tensor."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from umup_diag.checks.fp8_range.format_fit import Flag, explain, fit, flag_at
from umup_diag.checks.fp8_range.outlook import QUANTITIES, outlook
from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.checks.fp8_range.target_formats import Target, target_formats
from umup_diag.checks.result import Verdict
from umup_diag.numerics import formats
from umup_diag.recording import Frame, TensorRecord
from umup_diag.report.names import collapse

MOST_POINTS = 128
"""Of a tensor; above, every other one is dropped, so that a forecast of a long run stays cheap."""


_FORECAST = "forecast"


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """What is said of one tensor.

    Attributes:
        tensor: the layer.
        kind: of tensor.
        reason: near which limit it is, beyond which, or when it will be, in words.
        group: tensors of the same group, kind and frame share a line.
        fails: whether it is beyond the limit by now.
    """

    tensor: str
    kind: str
    reason: str
    group: str
    fails: bool


@dataclass(slots=True, kw_only=True)
class Watcher:
    """Sees the frames of a run, one after the other; tensors are held to an element format.

    Each tensor is warned of once when it is near a limit or its forecast says when it will be
    beyond, and once more if it gets beyond.

    A forecast is made each time that the frames have grown by a third to a half. The k-th look
    spends 1 / k(k + 1) of the false alarms that a single one may cause, so that together they cause
    no more.

    Attributes:
        settings: which tensors, and where flags begin.
        warned: how many lines' worth was said so far of each tensor and kind.
        fails: whether some tensor was beyond a limit in the last frame.
    """

    settings: RangeSettings = field(default_factory=RangeSettings)
    warned: dict[tuple[str, str], int] = field(default_factory=dict)
    fails: bool = False
    _points: dict[tuple[str, str], list[tuple[int | None, float, float]]] = field(
        default_factory=dict
    )
    _frames: int = 0
    _looks: int = 0

    def see(self, frame: Frame) -> list[Warned]:
        """What is new in a frame."""
        frame = frame.select(
            include=self.settings.include, exclude=self.settings.exclude, vectors=False
        )
        if not frame.records:
            return []
        self._frames += 1
        is_look = _is_look(self._frames)
        self._looks += is_look
        self.fails = False
        warnings = (self._see(frame.step, record, is_look=is_look) for record in frame.records)
        return [each for each in warnings if each is not None]

    def _see(self, step: int | None, record: TensorRecord, *, is_look: bool) -> Warned | None:
        key = record.tensor, record.kind
        points = self._points.setdefault(key, [])
        points.append((step, record.rms, record.histogram.absmax))
        if len(points) > MOST_POINTS:
            del points[1:-1:2]
        name = target_formats(record.kind, self.settings.formats)[0]
        flag = flag_at(record.histogram, formats.get(name), self.settings)  # fit() is far slower
        self.fails |= flag.fails
        said = self.warned.get(key, 0)
        level = 2 if flag.fails else 1
        if flag not in (Flag.OK, Flag.ALL_ZERO) and said < level:
            self.warned[key] = level
            reason = explain(record, fit(record, Target(format=name), self.settings), self.settings)
            return _warned(record, f"{flag.replace('_', ' ')} in {name}: {reason}", flag)
        if said or not is_look:
            return None
        series = QUANTITIES * len(self._points) * self._looks * (self._looks + 1)
        ahead = [
            each
            for each in outlook(points, name, horizon=self.settings.horizon, series=series)
            if each.verdict is Verdict.FAIL
        ]
        if not ahead:
            return None
        self.warned[key] = 1
        first = min(ahead, key=lambda each: each.crossing or 0.0)
        return _warned(record, f"on its way out of {name}: {first.words}", _FORECAST)


def _warned(record: TensorRecord, reason: str, group: str) -> Warned:
    return Warned(
        tensor=record.tensor,
        kind=record.kind,
        reason=reason,
        group=group,
        fails=group != _FORECAST and Flag(group).fails,
    )


def _is_look(frames: int) -> bool:
    """At 4, 6, 8, 12, 16, 24, … frames."""
    power = 1 << frames.bit_length() - 1
    return frames >= 4 and frames in (power, power + power // 2)


def lines(step: int | None, warnings: Iterable[Warned]) -> list[str]:
    """Warnings of one frame in words: a line for the tensors that repeated layers have alike."""
    groups: dict[tuple[str, str, str], list[Warned]] = {}
    for each in warnings:
        groups.setdefault((collapse([each.tensor])[0], each.kind, each.group), []).append(each)
    said = []
    for (name, kind, _), (first, *more) in groups.items():
        who = f"{name} ({kind}, {1 + len(more)} tensors)" if more else f"{first.tensor} ({kind})"
        said.append(f"step {step}: {who} {first.reason}")
    return said
