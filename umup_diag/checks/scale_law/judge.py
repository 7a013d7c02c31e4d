"""Scale law: does one line of Python describe an op's scale, and do the published ones?"""

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

import numpy as np

from umup_diag.checks.fix import Advice, Fix
from umup_diag.checks.result import Note, NoteKind, Result, Verdict
from umup_diag.checks.scale_law.finding import ScaleLawFinding
from umup_diag.checks.scale_law.law_fit import (
    MIN_DEGREES_OF_FREEDOM,
    Assessment,
    Fit,
    Measurements,
    assess,
    by_quantity,
    fit_family,
)
from umup_diag.checks.scale_law.settings import ScaleLawSettings
from umup_diag.recording import Recording
from umup_diag.recording.frame import describe_point
from umup_diag.scaling.op_theory import QUADRATURE, OpTheory, theory_of
from umup_diag.scaling.scale_laws import ScaleLaw, Source

# Among several families, the first whose own error (RMS, beyond noise) is below this is taken: a
# richer law would only fit the noise or the last percent.
GOOD_ENOUGH = 0.01
# Below this, a gradient divided by the output's scale is far from unit: an octave.
FAR_BELOW_UNIT = 0.5
THIS_RUN = Source("fitted", "this run")


def judge(recording: Recording, settings: ScaleLawSettings) -> Result:
    """Fit and judge every measured quantity of an op.

    The verdict is about the fitted law. A published law's verdict stands beside it, in
    `ScaleLawFinding.laws`, and does not change it.

    Args:
        recording: a frame for each grid point, a record for each quantity.
        settings: whose tolerance decides; all go into the result.
    """
    findings = []
    notes = [Note(kind=NoteKind(kind), text=text) for kind, text in recording.notes]
    for (op, quantity), measurements in by_quantity(recording.frames).items():
        if not np.any(measurements.rms > 0):
            text = f"The {quantity} is zero everywhere: it has no scale."
            notes.append(Note(kind=NoteKind.NOT_JUDGED, text=text))
            continue
        findings.append(_judge(op, quantity, measurements, settings.tolerance))
    remarks = _published_remarks(findings) + _gradient_remarks(findings) + _exact_remarks(findings)
    notes += [Note(kind=NoteKind.REMARK, text=text) for text in remarks]
    return Result(
        command="scale-law",
        settings=settings.encode(),
        environment=recording.environment,
        findings=tuple(sorted(findings, key=lambda finding: finding.verdict.severity)),
        notes=tuple(notes),
    )


def _judge(op: str, quantity: str, measurements: Measurements, tolerance: float) -> ScaleLawFinding:
    if np.any(measurements.rms == 0):
        zero = measurements.points[int(np.argmin(measurements.rms))]
        return ScaleLawFinding(
            tensor=op,
            kind=quantity,
            verdict=Verdict.FAIL,
            cause=f"it is zero at {describe_point(zero)} and not elsewhere: no positive law fits",
            measurements=measurements,
        )
    points = measurements.points
    theory = theory_of(op, quantity, list(points[0]))
    laws = tuple(_assess_law(measurements, law, tolerance) for law in theory.laws)
    fits = _fits(measurements, theory)
    if not fits:
        return ScaleLawFinding(
            tensor=op,
            kind=quantity,
            verdict=Verdict.INCONCLUSIVE,
            cause=f"a law takes more grid points than {len(points)}",
            fix=_more_points(op, min(_constants(theory))),
            measurements=measurements,
            laws=laws,
        )
    fit = _choose(fits)
    fitted = assess(
        measurements,
        fit.log_sigma,
        law="fitted",
        source=THIS_RUN,
        expression=fit.expression,
        tolerance=tolerance,
        free=len(fit.constants),
    )
    finding = ScaleLawFinding(
        tensor=op,
        kind=quantity,
        verdict=fitted.verdict,
        cause=_cause(fitted, tolerance),
        fix=_fix(op, fitted.verdict),
        measurements=measurements,
        fitted=fitted,
        constants=fit.constants,
        discrepancy=fit.discrepancy,
        python=_python(op, quantity, list(points[0]), fit),
        laws=laws,
    )
    if not all(map(isfinite, (constant.value for constant in fit.constants))):
        return replace(
            finding,
            verdict=Verdict.INCONCLUSIVE,
            python=None,
            cause=f"{len(points)} points do not fix the constants of a law",
            fix=_more_points(op, max(_constants(theory)) + len(points)),
        )
    if len(fits) < len(theory.families) and fit.discrepancy >= GOOD_ENOUGH:
        return replace(
            finding,
            verdict=Verdict.INCONCLUSIVE,
            cause=f"the laws that {len(points)} points can fix are off by up to "
            f"{abs(fitted.worst_error):.1%}; richer ones need more points",
            fix=_more_points(op, max(_constants(theory))),
        )
    return finding


def _fits(measurements: Measurements, theory: OpTheory) -> list[Fit]:
    """Of the families that there are points enough for; a constant fits an op's only point."""
    is_only_point = len(measurements.points) == 1 and not measurements.points[0]
    return [
        fit_family(measurements, family)
        for family in theory.families
        if len(measurements.points) - len(family.constants) >= MIN_DEGREES_OF_FREEDOM
        or not family.constants
        or is_only_point
    ]


def _constants(theory: OpTheory) -> list[int]:
    return [len(family.constants) for family in theory.families]


def _more_points(op: str, constants: int) -> Fix:
    wanted = constants + MIN_DEGREES_OF_FREEDOM
    return Fix(tensor=op, steps=(Advice(text=f"give --over at least {wanted} points"),))


def _choose(fits: Sequence[Fit]) -> Fit:
    """The simplest law that is good enough, or the one that the data prefer."""
    for fit in fits:
        if fit.discrepancy < GOOD_ENOUGH:
            return fit
    return min(fits, key=lambda fit: fit.information)


def _assess_law(measurements: Measurements, law: ScaleLaw, tolerance: float) -> Assessment:
    predicted = np.log([law(**point) for point in measurements.points])
    return assess(
        measurements,
        predicted,
        law=law.name,
        source=law.source,
        expression=law.expression,
        tolerance=tolerance,
    )


def _cause(fitted: Assessment, tolerance: float) -> str | None:
    where = f"{fitted.worst_error:+.1%} at {describe_point(fitted.worst_at)}"
    match fitted.verdict:
        case Verdict.PASS:
            return None
        case Verdict.FAIL:
            return (
                f"the best law of the family is off by {where}, beyond noise and beyond "
                f"{tolerance:.0%}"
            )
        case Verdict.INCONCLUSIVE:
            return (
                f"the noise leaves open whether the law is within {tolerance:.0%} (worst {where})"
            )


def _fix(op: str, verdict: Verdict) -> Fix | None:
    match verdict:
        case Verdict.PASS:
            return None
        case Verdict.FAIL:
            narrow = Advice(text="narrow --over to the range you use")
            return Fix(
                tensor=op,
                steps=(narrow, Advice(text="accept a larger --tolerance")),
                is_choice=True,
            )
        case Verdict.INCONCLUSIVE:
            return Fix(tensor=op, steps=(Advice(text="ask for a smaller --relative-error"),))


def _published_remarks(findings: Sequence[ScaleLawFinding]) -> list[str]:
    """Which published laws fail, since the verdict is about the fitted ones."""
    return [
        f"The law of {law.source.reference} for the {finding.kind} fails: it is off by "
        f"{_times(law.worst_error)} at {describe_point(law.worst_at)}. The verdict is about the "
        "fitted laws alone."
        for finding in findings
        for law in finding.laws
        if law.verdict is Verdict.FAIL
    ]


def _times(error: float) -> str:
    return f"{error:+.1%}" if error < 1 else f"a factor of {1 + error:.3g}"


def _gradient_remarks(findings: Sequence[ScaleLawFinding]) -> list[str]:
    """Which gradients are far from unit after the output's scale is divided out of them."""
    output = next((finding for finding in findings if finding.kind == "output"), None)
    if output is None:
        return []
    remarks = []
    for finding in findings:
        measured = finding.measurements
        if not finding.kind.startswith("gradient of ") or not np.all(output.measurements.rms > 0):
            continue
        ratio = measured.rms / output.measurements.rms
        if np.median(ratio) < FAR_BELOW_UNIT:
            low, high = int(np.argmin(ratio)), int(np.argmax(ratio))
            remarks.append(
                f"The {finding.kind} is far below unit when it is divided by the output's scale: "
                f"median {np.median(ratio):.3g}, from {ratio[low]:.3g} "
                f"({describe_point(measured.points[low])}) to {ratio[high]:.3g} "
                f"({describe_point(measured.points[high])}). Divide it by its own law instead."
            )
    return remarks


def _exact_remarks(findings: Sequence[ScaleLawFinding]) -> list[str]:
    """How far published laws are from the exact values, free of noise."""
    remarks = []
    for finding in findings:
        exact = next((law for law in finding.laws if law.source == QUADRATURE), None)
        for law in finding.laws:
            if exact is None or law is exact:
                continue
            error = np.array(law.predicted) / np.array(exact.predicted) - 1
            worst = int(np.argmax(np.abs(error)))
            at = describe_point(finding.measurements.points[worst])
            remarks.append(
                f"Against the exact {finding.kind}, the law of {law.source.reference} is off by at "
                f"most {error[worst]:+.2%} ({at})."
            )
    return remarks


def _python(op: str, quantity: str, parameters: Sequence[str], fit: Fit) -> str:
    stem = op.rpartition(":")[2].replace("-", "_").replace(".", "_")
    suffix = "scale" if quantity == "output" else quantity.removeprefix("gradient of ")
    suffix = {"output (std)": "std"}.get(quantity, suffix)
    name = f"{stem}_{suffix}" if suffix in ("scale", "std") else f"{stem}_grad_{suffix}_scale"
    body = fit.family.python([constant.value for constant in fit.constants])
    return f"def {name}({', '.join(parameters)}): {body}"
