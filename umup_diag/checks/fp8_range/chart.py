"""What an FP8 range check draws: spans, room over layers and steps, RMS and forecasts."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import inf, isfinite, log2

from umup_diag.checks.fp8_range.finding import RangeFinding, range_findings
from umup_diag.checks.fp8_range.forecast import Forecast
from umup_diag.checks.fp8_range.format_fit import Flag
from umup_diag.checks.result import Result
from umup_diag.checks.verdict import Verdict
from umup_diag.numerics import formats
from umup_diag.numerics.block import BLOCK_FORMATS
from umup_diag.numerics.formats import Format
from umup_diag.report.chart import (
    Axis,
    Chart,
    Draw,
    HeatMap,
    HeatRow,
    Limit,
    Panel,
    Plot,
    Point,
    Series,
    Span,
    Spans,
)
from umup_diag.report.names import starred
from umup_diag.scaling.kinds import kind_order

MOST_BARS = 48  #: tensors of a kind; of more, those that fit share a bar with their siblings
MOST_STEPS, MOST_STEPS_OF_MANY = 48, 24  #: drawn; of more, several share a column
MANY = 100  #: tensors of a kind
FORECASTS = 6  #: drawn, the earliest crossings
REACH = 8.0  #: octaves of room that have the full colour
LOWEST = 2.0**-44  #: a bar is drawn down to here
FITS, NEAR, BEYOND = "fits", "near a limit", "beyond it"
_COLOURS = {FITS: Verdict.PASS, NEAR: Verdict.INCONCLUSIVE, BEYOND: Verdict.FAIL}

Group = list[RangeFinding]  #: of one kind


def charts(result: Result) -> list[Chart]:
    """Spans of what was found; with steps also the room that is left, RMS, and forecasts."""
    kinds = _by_kind(result)
    if not kinds:
        return []
    drawn = [
        Chart(
            stem="spans",
            title="What each tensor spans, and what its format holds",
            caption="A bar from the smallest to the largest magnitude, its RMS marked. Green "
            "ground: the format that it is held to has all its mantissa bits; amber: subnormal; "
            "left of that, zero. Dotted: limits of the other formats.",
            panels=[_spans(group) for group in kinds],
            colours=_COLOURS,
        )
    ]
    recorded = [group for group in kinds if len(_steps(group)) > 1]
    if not recorded:
        return drawn
    drawn += [
        Chart(
            stem="headroom",
            title="Room over layers and updates",
            caption="Octaves left at the tighter end: from absmax up to the largest value, or from "
            "the smallest normal value up to RMS. Red and marked × where there is none.",
            panels=[_headroom(group) for group in recorded],
        ),
        Chart(
            stem="training",
            title="RMS through training",
            caption="A line a tensor, with the limits of the format that it is held to.",
            panels=[_training(group) for group in recorded],
            colours=_COLOURS,
        ),
    ]
    forecasts = list(_forecasts(recorded))
    if forecasts:
        drawn.append(
            Chart(
                stem="forecast",
                title="Leaving the range if it goes on like this",
                caption="Dots were recorded; dashed is their trend; the bar on the limit is the "
                "95 % interval of the step at which it is reached.",
                panels=forecasts,
            )
        )
    return drawn


def group_of(flag: Flag) -> str:
    """What a flag is called in the legend."""
    return BEYOND if flag.fails else FITS if flag is Flag.OK else NEAR


def _by_kind(result: Result) -> list[Group]:
    """Findings in forward order, kind by kind; block formats scale themselves and have no room."""
    kinds: dict[str, Group] = {}
    for finding in range_findings(result):
        if finding.held_to.format not in BLOCK_FORMATS and finding.rms > 0:
            kinds.setdefault(finding.kind, []).append(finding)
    ordered = sorted(kinds, key=kind_order)
    return [sorted(kinds[kind], key=lambda finding: finding.order) for kind in ordered]


def _spans(group: Group) -> Spans:
    held_to = formats.get(group[0].held_to.format)
    others = [fit.format for fit in group[0].other_formats if fit.format not in BLOCK_FORMATS]
    limits = [
        Limit(held_to.min_normal, held_to.name, until=held_to.max),
        Limit(held_to.flush_threshold, "subn.", until=held_to.min_normal, is_bad=True),
    ]
    for other in map(formats.get, others):
        limits += [
            Limit(other.min_normal, f"{other.name} min normal"),
            Limit(other.max, f"{other.name} max"),
        ]
    return Spans(
        title=f"{group[0].kind}, {held_to.name}",
        alt=f"Magnitudes of {group[0].kind} against {held_to.name}. {_said(group)}",
        x=Axis("magnitude", log2=True),
        rows=[_span(name, members) for name, members in _bars(group)],
        limits=limits,
    )


def _said(group: Group) -> str:
    """How many fit, and the worst, in words."""
    counts = Counter(group_of(finding.held_to.flag) for finding in group)
    said = ", ".join(f"{counts[name]} {name}" for name in _COLOURS if counts[name])
    worst = max(group, key=lambda finding: finding.held_to.flag.severity)
    text = f"{len(group)} tensors: {said}."
    if worst.held_to.flag is Flag.OK:
        return text
    return f"{text} Worst is {worst.tensor}: {worst.cause or worst.held_to.flag.replace('_', ' ')}."


def _bars(group: Group) -> list[tuple[str, Group]]:
    """What shares a bar, under which name; what does not fit has its own."""
    if len(group) <= MOST_BARS:
        return [(finding.tensor, [finding]) for finding in group]
    bars: dict[str, Group] = {}
    for finding in group:
        fits = finding.held_to.flag is Flag.OK
        bars.setdefault(starred(finding.tensor) if fits else finding.tensor, []).append(finding)
    return list(bars.items())


def _span(name: str, members: Group) -> Span:
    is_alone = len(members) == 1
    smallest = [each.smallest_nonzero for each in members if each.smallest_nonzero > 0]
    return Span(
        name=name if is_alone else f"{name} ×{len(members)}",
        low=max(min(smallest, default=1.0), LOWEST),
        high=max(each.absmax for each in members),
        ticks=[each.rms for each in members],
        group=group_of(members[0].held_to.flag),
        finding=members[0] if is_alone else None,
    )


def _steps(group: Group) -> list[int]:
    return [step for step, _, _ in group[0].points if step is not None]


def _bins(group: Group) -> list[slice]:
    """Which snapshots share a column."""
    count = len(_steps(group))
    most = MOST_STEPS_OF_MANY if len(group) > MANY else MOST_STEPS
    columns = min(count, most)
    edges = [at * count // columns for at in range(columns + 1)]
    return [slice(*ends) for ends in pairwise(edges)]


def _headroom(group: Group) -> HeatMap:
    fmt = formats.get(group[0].held_to.format)
    bins, steps = _bins(group), _steps(group)
    rows = []
    for finding in group:
        rooms = [_room(rms, absmax, fmt) for _, rms, absmax in finding.points]
        least = [min(rooms[each], default=inf) for each in bins]
        values = [room if isfinite(room) else None for room in least]
        rows.append(HeatRow(finding.tensor, values, finding=finding))
    tightest = min(group, key=lambda f: min(f.held_to.headroom_high, f.held_to.headroom_low))
    least_room = min(tightest.held_to.headroom_high, tightest.held_to.headroom_low)
    return HeatMap(
        title=f"{group[0].kind}, {fmt.name}",
        alt=f"Octaves of room of {len(group)} tensors of {group[0].kind} in {fmt.name}, over steps "
        f"{steps[0]} to {steps[-1]}. {tightest.tensor} has least at its worst step: "
        f"{least_room:+.1f} octaves.",
        columns=[str(steps[each][0]) for each in bins],
        column_title="updates",
        rows=rows,
        value_title="octaves of room",
        reach=REACH,
    )


def _room(rms: float, absmax: float, fmt: Format) -> float:
    """Octaves at the tighter end; infinite where there is nothing."""
    if not (rms > 0 and isfinite(absmax)):
        return inf
    return min(log2(fmt.max / absmax), log2(rms / fmt.min_normal))


def _training(group: Group) -> Plot:
    fmt = formats.get(group[0].held_to.format)
    shown = [each.start for each in _bins(group)]
    firsts = [finding.points[0][1] for finding in group]
    lasts = [finding.points[-1][1] for finding in group]
    return Plot(
        title=f"{group[0].kind}, {fmt.name}",
        alt=f"RMS of {group[0].kind} over updates: at first from {min(firsts):.3g} to "
        f"{max(firsts):.3g}, at last from {min(lasts):.3g} to {max(lasts):.3g}. {_said(group)}",
        x=Axis("updates"),
        y=Axis("RMS", log2=True),
        series=[
            Series(
                name=finding.tensor,
                points=[
                    Point(step, rms)
                    for step, rms, _ in (finding.points[at] for at in shown)
                    if step is not None
                ],
                draw=Draw.LINE,
                group=group_of(finding.held_to.flag),
                finding=finding,
            )
            for finding in group
        ],
        limits=[
            Limit(fmt.max, "max"),
            Limit(fmt.min_normal, "min normal"),
            Limit(fmt.flush_threshold, "zero"),
        ],
        height=260,
    )


def _forecasts(groups: Sequence[Group]) -> Iterator[Panel]:
    """A panel for each of the earliest crossings."""
    ahead = [(each, each.crossing) for group in groups for each in group if each.crossing]
    ahead.sort(key=lambda pair: pair[1].crossing or 0.0)
    for finding, forecast in ahead[:FORECASTS]:
        yield _forecast(finding, forecast)


def _forecast(finding: RangeFinding, forecast: Forecast) -> Plot:
    fmt = formats.get(finding.held_to.format)
    upwards = forecast.quantity == "absmax"
    limit = fmt.overflow_threshold if upwards else fmt.min_normal
    points = [
        Point(step, absmax if upwards else rms)
        for step, rms, absmax in finding.points
        if step is not None
    ]
    assert forecast.crossing is not None
    assert forecast.crossing_interval is not None
    earliest, latest = forecast.crossing_interval
    latest = min(latest, 2 * forecast.horizon)  # an open end is drawn out of the picture
    begin = (points[0].x + points[-1].x) / 2
    octaves = (begin - forecast.crossing) * forecast.growth / 1000
    return Plot(
        title=f"{finding.tensor}, {finding.kind}",
        alt=f"{forecast.quantity} of {finding.tensor} ({finding.kind}) over updates: "
        f"{forecast.words}.",
        x=Axis("updates"),
        y=Axis(forecast.quantity, log2=True),
        series=[
            Series(forecast.quantity, points, finding=finding),
            Series(
                "trend",
                [Point(begin, limit * 2.0**octaves), Point(forecast.crossing, limit)],
                draw=Draw.DASHED,
            ),
            Series(
                f"reached at step {forecast.crossing:.0f}, 95 % interval",
                [Point(earliest, limit), Point(forecast.crossing, limit), Point(latest, limit)],
                finding=finding,
            ),
        ],
        limits=[Limit(limit, f"{fmt.name} {'overflows' if upwards else 'min normal'}")],
    )
