"""What is found out about one tensor of an FP8 range check."""

from dataclasses import dataclass
from math import isfinite
from typing import Any

from umup_diag.checks.fp8_range.forecast import Forecast
from umup_diag.checks.fp8_range.format_fit import FormatFit
from umup_diag.checks.result import Finding, Result, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeFinding(Finding):
    """One tensor, in the format that it is held to and in those that it is compared in.

    Attributes:
        step: of the worst snapshot, which the numbers are of; None where nobody knows.
        since: first step with this flag.
        order: place in the forward pass, or in the checkpoint.
        count: elements.
        rms: of the finite ones.
        absmax: of the finite ones.
        smallest_nonzero: of the finite ones.
        held_to: how it fits in the format that the verdict is about; ``result.json`` has these
            fields beside those of the finding.
        other_formats: how it fits in the formats that it is compared in.
        points: (step, RMS, absmax) of every snapshot.
        forecasts: of absmax and of RMS, where there are three snapshots or more.
    """

    step: int | None
    since: int | None
    order: int
    count: int
    rms: float
    absmax: float
    smallest_nonzero: float
    held_to: FormatFit
    other_formats: tuple[FormatFit, ...]
    points: tuple[tuple[int | None, float, float], ...]
    forecasts: tuple[Forecast, ...]

    @property
    def measured(self) -> str:
        """Its size, and the room that its format leaves it."""
        fit = self.held_to
        if not self.rms > 0:
            return f"in {fit.format}: RMS {self.rms:.3g}, absmax {self.absmax:.3g}"
        return (
            f"in {fit.format}: RMS {self.rms:.3g}, absmax {self.absmax:.3g}, "
            f"{fit.headroom_low:.1f} octaves of room below and {fit.headroom_high:.1f} above"
        )

    @property
    def crossing(self) -> Forecast | None:
        """The forecast of the earliest crossing within the horizon."""
        ahead = [each for each in self.forecasts if each.verdict is Verdict.FAIL]
        return min(ahead, key=lambda each: each.crossing or 0.0, default=None)

    @property
    def lost_db(self) -> float | None:
        """What a cast without a scale loses against one with the best power of two, in dB.

        None for a cast that is scaled, and where nothing is there to lose.
        """
        fit = self.held_to
        is_plain = fit.best_scale_log2 is not None and isfinite(fit.sqnr_db)
        return max(0.0, fit.best_sqnr_db - fit.sqnr_db) if is_plain else None

    def document(self) -> dict[str, Any]:
        """What ``result.json`` says of it: flat, but for the other formats."""
        document = Finding.document(self)  # super() fails in a class with slots
        held_to = document.pop("held_to")
        return {**document, **held_to}


def range_findings(result: Result) -> list[RangeFinding]:
    """The findings of a result of this check."""
    return [finding for finding in result.findings if isinstance(finding, RangeFinding)]
