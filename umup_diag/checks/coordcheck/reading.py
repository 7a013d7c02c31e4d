"""What a recording of a coord check says, before it is told: slopes, decisions, roots."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from umup_diag.checks.coordcheck.decision import Decision, Doubt, with_siblings
from umup_diag.checks.coordcheck.diagnosis import Diagnosis
from umup_diag.checks.coordcheck.evidence import Evidence
from umup_diag.checks.coordcheck.line import line
from umup_diag.checks.coordcheck.measuring import Measured
from umup_diag.checks.coordcheck.over_axis import AxisMeasuring
from umup_diag.checks.coordcheck.over_width import WidthMeasuring
from umup_diag.checks.coordcheck.settings import CoordcheckSettings
from umup_diag.checks.coordcheck.true_gradient import gradient_is_true
from umup_diag.checks.verdict import Verdict
from umup_diag.recording import Recording
from umup_diag.scaling import schemes
from umup_diag.scaling.kinds import Kind
from umup_diag.settings.axes import WIDTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A recording, read under its settings.

    Attributes:
        evidence: every series.
        measured: the slopes and what each should be.
        decisions: on each, by tensor and kind.
        diagnosis: the faults that explain them.
    """

    evidence: Evidence
    measured: Measured
    decisions: Mapping[tuple[str, Kind], Decision]
    diagnosis: Diagnosis

    @classmethod
    def of(cls, recording: Recording, settings: CoordcheckSettings, axis: str = WIDTH) -> "Reading":
        """Read it along one axis.

        Raises:
            InputError: if the models differ in more than that axis, or do not change with it.
        """
        assert settings.target is not None
        along = line(recording, axis, settings.base)
        evidence = Evidence.of(along, axis)
        scheme = schemes.get(settings.target)
        kind = WidthMeasuring if axis == WIDTH else AxisMeasuring
        measuring = kind(evidence, scheme, true_gradient=gradient_is_true(along, axis))
        measured = measuring.all()
        doubt = Doubt(
            findings=len(measured.questions) * len(settings.axes), looks=len(settings.looks)
        )
        decisions = with_siblings(
            measured.questions,
            {key: each.decide(doubt) for key, each in measured.questions.items()},
            doubt,
        )
        diagnosis = Diagnosis(measured, decisions)
        proven = {key: replace(decisions[key], verdict=Verdict.FAIL) for key in diagnosis.proven}
        return cls(
            evidence=evidence,
            measured=measured,
            decisions=decisions | proven,
            diagnosis=diagnosis,
        )
