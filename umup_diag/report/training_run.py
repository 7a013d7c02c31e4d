"""The page of a recorded training run: its loss, and how each tensor's size moved."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, nan

from umup_diag.recording import Recording
from umup_diag.report.answer import Answer
from umup_diag.report.chart import Axis, Chart, Draw, Plot, Point, Series
from umup_diag.report.names import starred
from umup_diag.report.page import Cell, Page, Table
from umup_diag.report.style import number
from umup_diag.scaling.kinds import kind_order

MOST_POINTS = 300  #: of the loss; of more updates, several share a point


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One tensor through a run.

    Attributes:
        tensor: its name.
        kind: of tensor.
        sizes: step → RMS.
        absmax: the largest magnitude of all snapshots.
        nonfinite: elements that were NaN or infinite, of all snapshots.
    """

    tensor: str
    kind: str
    sizes: Mapping[int, float]
    absmax: float
    nonfinite: int

    @property
    def first(self) -> float:
        """RMS in the first snapshot."""
        return next(iter(self.sizes.values()), nan)

    @property
    def last(self) -> float:
        """RMS in the last snapshot."""
        return list(self.sizes.values())[-1] if self.sizes else nan

    @property
    def growth(self) -> float:
        """The last RMS over the first; NaN if either is nothing."""
        return self.last / self.first if self.first > 0 and self.last > 0 else nan


def page(recording: Recording) -> Page:
    """What `umup-diag record` writes beside a recording; nothing is judged.

    Args:
        recording: of one run, with at least one frame.
    """
    courses = list(_courses(recording))
    lines = [
        Series(
            course.tensor,
            [Point(step, rms) for step, rms in course.sizes.items()],
            draw=Draw.LINE,
            group=starred(course.tensor),
        )
        for course in courses
    ]
    losses = recording.losses
    charts = [_loss(losses)] if losses else []
    if len(recording.frames) > 1:
        charts.append(_sizes(courses, lines))
    return Page(
        title="record",
        status=None,
        counts=f"{len(recording.frames)} snapshots of {len(losses)} losses",
        answer=_answer(recording, courses),
        charts=charts,
        table=Table.of(courses, _COLUMNS, title="Every tensor", filters=("kind",)),
        rows={id(line): (at, courses[at].tensor) for at, line in enumerate(lines)},
        details={"Settings": recording.settings, "Environment": recording.environment},
    )


def _courses(recording: Recording) -> Iterator[Course]:
    """Tensors in forward order, kind by kind."""
    found: dict[tuple[int, int, str], Course] = {}
    for frame, record in recording:
        key = (kind_order(record.kind), record.order, record.tensor)
        before = found.get(key)
        statistics = record.statistics
        found[key] = Course(
            tensor=record.tensor,
            kind=str(record.kind),
            sizes={**(before.sizes if before else {}), frame.step or 0: statistics.rms},
            absmax=max(before.absmax if before else 0.0, statistics.absmax),
            nonfinite=(before.nonfinite if before else 0) + statistics.nonfinite_count,
        )
    return (found[key] for key in sorted(found))


def _answer(recording: Recording, courses: Sequence[Course]) -> Answer:
    settings, losses = recording.settings, recording.losses
    about = (
        f"{settings.get('model')} at width {settings.get('width')}, trained by "
        f"{settings.get('optimizer') or 'its own optimizer'}, recorded every "
        f"{settings.get('every')} updates. Nothing is judged here; the command above does."
    )
    lead = "No loss was recorded"
    if losses and not isfinite(losses[-1]):
        lead = f"Stopped: the loss is {losses[-1]} after {len(losses) - 1} updates"
    elif losses:
        lowest = min(range(len(losses)), key=losses.__getitem__)
        lead = f"Loss {losses[0]:.3f} → {losses[-1]:.3f}; lowest {losses[lowest]:.3f}, at {lowest}"
    moved = [c for c in courses if len(c.sizes) > 1 and isfinite(c.growth)]
    if moved:
        most = max(moved, key=lambda course: max(course.growth, 1 / course.growth))
        lead += f". RMS changed most: {most.tensor} ({most.kind}), ×{number(most.growth)}"
    folder = recording.path.parent if recording.path else "RUN"
    return Answer(about=about, lead=lead, first=None, code=f"umup-diag fp8-range {folder}")


_COLUMNS: Mapping[str, Callable[[Course], Cell]] = {
    "tensor": lambda course: Cell(text=course.tensor),
    "kind": lambda course: Cell(text=course.kind),
    "first RMS": lambda course: Cell(text=number(course.first), key=course.first),
    "last RMS": lambda course: Cell(text=number(course.last), key=course.last),
    "growth": lambda course: Cell(
        text=f"×{number(course.growth)}" if isfinite(course.growth) else "", key=course.growth
    ),
    "absmax": lambda course: Cell(text=number(course.absmax), key=course.absmax),
    "not finite": lambda course: Cell(text=str(course.nonfinite or ""), key=course.nonfinite),
}


def _loss(losses: Sequence[float]) -> Chart:
    """A line, with a band from the lowest to the highest where updates share a point."""
    count = min(len(losses), MOST_POINTS)
    edges = [at * len(losses) // count for at in range(count + 1)]
    points = []
    for begin, end in pairwise(edges):
        some = losses[begin:end]
        points.append(Point((begin + end - 1) / 2, sum(some) / len(some), min(some), max(some)))
    is_shared = count < len(losses)
    band = [Series("lowest and highest", points, draw=Draw.BAND)] if is_shared else []
    lowest = min(filter(isfinite, losses), default=nan)
    return Chart(
        stem="loss",
        title="Loss",
        caption="Means of neighbouring updates, with their lowest and highest as a band."
        if is_shared
        else "Of every update.",
        panels=[
            Plot(
                title="training loss",
                alt=f"Loss over {len(losses)} forward passes: {losses[0]:.3f} at first, "
                f"{losses[-1]:.3f} at last, lowest {lowest:.3f}.",
                x=Axis("updates"),
                y=Axis("loss"),
                series=[*band, Series("loss", points, draw=Draw.LINE)],
            )
        ],
    )


def _sizes(courses: Sequence[Course], lines: Sequence[Series]) -> Chart:
    """RMS over updates, a panel a kind."""
    kinds = list(dict.fromkeys(course.kind for course in courses))
    panels = []
    for kind in kinds:
        group = [at for at, course in enumerate(courses) if course.kind == kind]
        firsts = [courses[at].first for at in group]
        lasts = [courses[at].last for at in group]
        panels.append(
            Plot(
                title=kind,
                alt=f"RMS of {len(group)} tensors of {kind} over updates: at first from "
                f"{number(min(firsts))} to {number(max(firsts))}, at last from "
                f"{number(min(lasts))} to {number(max(lasts))}.",
                x=Axis("updates"),
                y=Axis("RMS", log2=True, least=2.0),
                series=[lines[at] for at in group],
                height=260,
            )
        )
    return Chart(
        stem="rms",
        title="RMS through training",
        caption="A line a tensor; the same part of every layer has the same colour.",
        panels=panels,
        ordered=True,
    )
