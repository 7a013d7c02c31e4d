"""Adam's ε against the gradients, at each size: where it swallows them, and where it would.

Adam divides by √v̂ + ε. Of the first update of an element with gradient g it leaves |g|/(|g| + ε):
half where the gradient is ε. Under µP gradients fall with width (2407.05872 §4), so an ε that does
nothing on a small model can take the update away on a large one.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, log2
from statistics import geometric_mean, median

from umup_diag.checks.coordcheck.evidence import Evidence
from umup_diag.checks.coordcheck.trend import Trend, trend
from umup_diag.checks.result import Note, NoteKind
from umup_diag.report.names import collapse
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.optimizers import EPSILON_TAKES

MOST = EPSILON_TAKES  #: share of an update
#: Beyond the widest model measured, by this factor, nothing is foretold.
HORIZON = 2**5
_GROWS = 0.1  #: a slope of ε over the gradient below which it is taken to stay where it is


@dataclass(frozen=True, slots=True, kw_only=True)
class EpsilonShare:
    """What ε does to the first update of one tensor that has a gradient.

    Attributes:
        tensor: whose.
        epsilon: at the largest model measured.
        shares: size → share of the update that ε takes, the median over seeds.
        rms: size → RMS of the gradient that Adam gets, the geometric mean over seeds.
        swallows_from: the smallest size, measured or foretold, at which the share is over
            `MOST`; None within `HORIZON`.
    """

    tensor: str
    epsilon: float
    shares: Mapping[int, float]
    rms: Mapping[int, float]
    swallows_from: float | None

    @property
    def is_measured(self) -> bool:
        """Whether a size that was measured is swallowed already."""
        return any(share > MOST for share in self.shares.values())


def epsilon_shares(evidence: Evidence) -> list[EpsilonShare]:
    """Of every tensor that Adam trains, in forward order."""
    found = []
    for tensor in sorted(evidence.facts, key=lambda each: evidence.order[each]):
        steps = evidence.steps(tensor, Kind.EPS_SHARE)
        if not steps:
            continue
        step = steps[0]
        shares = _by_width(evidence, tensor, Kind.EPS_SHARE, step)
        if not shares:
            continue
        values = _by_width(evidence, tensor, Kind.EPSILON, step)
        sizes = {
            width: geometric_mean(kept) for width, kept in _received(evidence, tensor, step).items()
        }
        share = {width: median(each) for width, each in sorted(shares.items())}
        found.append(
            EpsilonShare(
                tensor=tensor,
                epsilon=median(values[max(values)]) if values else 0.0,
                shares=share,
                rms=dict(sorted(sizes.items())),
                swallows_from=_swallows_from(evidence, tensor, step, share),
            )
        )
    return found


def epsilon_notes(evidence: Evidence) -> list[Note]:
    """One caution for all tensors whose update ε takes away, and a remark where it would."""
    found, axis = epsilon_shares(evidence), evidence.axis
    notes = []
    now = [each for each in found if each.is_measured]
    if now:
        worst = max(now, key=lambda each: max(each.shares.values()))
        text = (
            f"Adam's ε takes over {MOST:.0%} of the first update of "
            f"{_listed(now, found)}. {_said(worst, axis)}"
        )
        notes.append(Note(kind=NoteKind.CAUTION, text=text))
    later = [each for each in found if not each.is_measured and each.swallows_from]
    if later:
        first, *rest = sorted(later, key=lambda each: each.swallows_from or 0.0)
        others = f" (later of {_listed(rest, found)} too)" if rest else ""
        text = (
            f"Adam's ε would take {MOST:.0%} of the update of {first.tensor} from a {axis} of "
            f"about {float(f'{first.swallows_from:.2g}'):.0f} on{others}."
        )
        notes.append(Note(kind=NoteKind.REMARK, text=f"{text} {_said(first, axis)}"))
    return notes


def _said(each: EpsilonShare, axis: str) -> str:
    """ε, and at each size the RMS of the gradient and the share."""
    at = ", ".join(
        f"{width}: {each.rms[width]:.1e} ({100 * share:.2g} %)"
        for width, share in each.shares.items()
        if width in each.rms
    )
    return f"{each.tensor}, ε {each.epsilon:g}, RMS of the gradient (share of ε) by {axis}: {at}."


def _listed(chosen: list[EpsilonShare], among: list[EpsilonShare]) -> str:
    names = {each.tensor for each in among}
    listed = collapse([each.tensor for each in chosen], among=names)
    more = f" and {len(listed) - 4} more" if len(listed) > 4 else ""
    return ", ".join(listed[:4]) + more


def _by_width(evidence: Evidence, tensor: str, kind: Kind, step: int) -> dict[int, list[float]]:
    found: dict[int, list[float]] = defaultdict(list)
    for widths in evidence.values.get((tensor, kind, step), {}).values():
        for width, value in widths.items():
            if isfinite(value):
                found[width].append(value)
    return found


def _received(evidence: Evidence, tensor: str, step: int) -> dict[int, list[float]]:
    """RMS of the gradient that Adam gets: the loss's, times what clipping lets through."""
    passed = evidence.values.get((tensor, Kind.GRADIENT_PASSED, step), {})
    found: dict[int, list[float]] = defaultdict(list)
    for seed, widths in evidence.values.get((tensor, Kind.GRADIENT_RMS, step), {}).items():
        for width, value in widths.items():
            size = value * abs(passed.get(seed, {}).get(width, 1.0))
            if size > 0.0 and isfinite(size):
                found[width].append(size)
    return found


def _swallows_from(
    evidence: Evidence, tensor: str, step: int, shares: Mapping[int, float]
) -> float | None:
    """The width at which ε's share is `MOST`: measured, or along ε over |g|, which goes as it."""
    over = [width for width, share in shares.items() if share > MOST]
    if over:
        return float(min(over))
    odds = {
        seed: {w: share / (1.0 - share) for w, share in widths.items() if 0.0 < share < 1.0}
        for seed, widths in evidence.values[tensor, Kind.EPS_SHARE, step].items()
    }
    found: Trend | None = trend(odds)
    if found is None or found.slope <= _GROWS or not found.points:
        return None
    width, last = found.points[-1]
    octaves = (log2(MOST / (1.0 - MOST)) - log2(last)) / found.slope
    return width * 2.0**octaves if octaves <= log2(HORIZON) else None
