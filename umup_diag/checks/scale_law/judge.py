"""Scale law: does one line of Python describe an op's scale, and do the published ones?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from umup_diag.checks.result import Finding, Result, Verdict
from umup_diag.checks.scale_law.law_fit import (
    MIN_DEGREES_OF_FREEDOM,
    Assessment,
    Constant,
    Fit,
    Measurements,
    assess,
    fit_family,
)
from umup_diag.scaling.interpolation import Point
from umup_diag.scaling.op_theory import Theory, theory_of
from umup_diag.scaling.scale_laws import ScaleLaw

# A law is a good law when it is nowhere off by more than this: one step between neighbouring E4M3
# codes, the finest that an 8-bit tensor can tell.
TOLERANCE = 0.125
# Among several families, the first whose own error (RMS, beyond noise) is below this is taken: a
# richer law would only fit the noise or the last percent.
GOOD_ENOUGH = 0.01
# Below this, a gradient divided by the output's scale is far from unit: an octave.
FAR_BELOW_UNIT = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleLawFinding(Finding):
    """One quantity of an op (``kind``), its fitted law and the laws it is compared with.

    Attributes:
        measured: the Monte-Carlo scales.
        fitted: how well the fitted law describes them; None when there was too little data.
        constants: the fitted constants with 95 % intervals.
        discrepancy: the fitted law's own error beyond noise, a relative error.
        python: the fitted law as one line of Python, a function.
        laws: how well the published and exact laws describe the same measurements.
    """

    measured: Measurements
    fitted: Assessment | None = None
    constants: tuple[Constant, ...] = ()
    discrepancy: float = 0.0
    python: str | None = None
    laws: tuple[Assessment, ...] = field(default=())

    def document(self) -> dict[str, Any]:
        """What ``result.json`` says of it: the laws, their errors, and every measured point."""
        return {
            "tensor": self.tensor,
            "kind": self.kind,
            "verdict": self.verdict,
            "cause": self.cause,
            "fix": self.fix,
            "python": self.python,
            "fitted": _law(self.fitted) if self.fitted else None,
            "constants": [
                {"name": each.name, "value": each.value, "interval": [each.low, each.high]}
                for each in self.constants
            ],
            "laws": [_law(law) for law in self.laws],
            "measured": [
                {"point": dict(point), "rms": float(rms), "relative_error": float(error)}
                for point, rms, error in zip(
                    self.measured.points,
                    self.measured.rms,
                    self.measured.relative_error,
                    strict=True,
                )
            ],
        }


def _law(law: Assessment) -> dict[str, Any]:
    return {
        "law": law.law,
        "source": law.source,
        "expression": law.expression,
        "worst_error": law.worst_error,
        "worst_at": dict(law.worst_at),
        "rms_error": law.rms_error,
        "beyond_noise": law.beyond_noise,
        "p_value": law.p_value,
        "verdict": law.verdict,
    }


def judge_scale_law(
    *,
    op: str,
    measured: Mapping[str, Measurements],
    parameters: Sequence[str],
    settings: Mapping[str, Any],
    environment: Mapping[str, Any],
    tolerance: float = TOLERANCE,
    notes: Sequence[str] = (),
) -> Result:
    """Fit and judge every measured quantity of an op.

    The verdict is about the fitted law. A published law's verdict stands beside it, in
    `ScaleLawFinding.laws`, and does not change it.

    Args:
        op: a built-in op's name, or a user's import path.
        measured: per quantity (``output``, ``gradient of q`` …), the measurements.
        parameters: the names of the op's parameters, those of the grid.
        settings: recorded with the result.
        environment: recorded with the result.
        tolerance: the relative error that a law may have anywhere.
        notes: what the measurement has to say, such as an ignored parameter.
    """
    findings = []
    remarks = list(notes)
    for quantity, values in measured.items():
        if not np.any(values.rms > 0):
            remarks.append(f"The {quantity} is zero everywhere: it has no scale.")
            continue
        findings.append(
            _judge(op, quantity, values, theory_of(op, quantity, parameters), tolerance)
        )
    remarks += _gradient_remarks(findings) + _exact_remarks(findings)
    order = [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS]
    return Result(
        command="scale-law",
        settings=settings,
        environment=environment,
        findings=tuple(sorted(findings, key=lambda finding: order.index(finding.verdict))),
        notes=tuple(remarks),
    )


def _judge(
    op: str, quantity: str, measured: Measurements, theory: Theory, tolerance: float
) -> ScaleLawFinding:
    if np.any(measured.rms == 0):
        zero = measured.points[int(np.argmin(measured.rms))]
        return ScaleLawFinding(
            tensor=op,
            kind=quantity,
            verdict=Verdict.FAIL,
            cause=f"it is zero at {_words(zero)} and not elsewhere: no positive law fits",
            measured=measured,
        )
    laws = tuple(_assess_law(measured, law, tolerance) for law in theory.laws)
    enough = [
        family
        for family in theory.families
        if len(measured.points) - len(family.constants) >= MIN_DEGREES_OF_FREEDOM
        or not family.constants
        or _is_single_point(measured)
    ]
    if not enough:
        wanted = min(len(family.constants) for family in theory.families) + MIN_DEGREES_OF_FREEDOM
        return ScaleLawFinding(
            tensor=op,
            kind=quantity,
            verdict=Verdict.INCONCLUSIVE,
            cause=f"{len(measured.points)} grid points are too few to fit a law",
            fix=f"give --over at least {wanted} points",
            measured=measured,
            laws=laws,
        )
    fit = _choose([fit_family(measured, family) for family in enough])
    fitted = assess(
        measured,
        fit.log_sigma,
        law="fitted",
        source="this run",
        expression=fit.expression,
        tolerance=tolerance,
        free=len(fit.constants),
    )
    verdict, cause, fix = _words_for(fitted, tolerance)
    if len(enough) < len(theory.families) and fit.discrepancy >= GOOD_ENOUGH:
        wanted = max(len(family.constants) for family in theory.families) + MIN_DEGREES_OF_FREEDOM
        verdict = Verdict.INCONCLUSIVE
        cause = (
            f"the laws that {len(measured.points)} points can fix are off by up to "
            f"{abs(fitted.worst_error):.1%}; richer ones need more points"
        )
        fix = f"give --over at least {wanted} points"
    return ScaleLawFinding(
        tensor=op,
        kind=quantity,
        verdict=verdict,
        cause=cause,
        fix=fix,
        measured=measured,
        fitted=fitted,
        constants=fit.constants,
        discrepancy=fit.discrepancy,
        python=_python(op, quantity, measured, fit),
        laws=laws,
    )


def _choose(fits: Sequence[Fit]) -> Fit:
    """The simplest law that is good enough, or the one that the data prefer."""
    for fit in fits:
        if fit.discrepancy < GOOD_ENOUGH:
            return fit
    return min(fits, key=lambda fit: fit.information)


def _is_single_point(measured: Measurements) -> bool:
    return len(measured.points) == 1 and not measured.points[0]


def _assess_law(measured: Measurements, law: ScaleLaw, tolerance: float) -> Assessment:
    predicted = np.log([law(**point) for point in measured.points])
    return assess(
        measured,
        predicted,
        law=law.name,
        source=law.source,
        expression=law.expression,
        tolerance=tolerance,
    )


def _words_for(fitted: Assessment, tolerance: float) -> tuple[Verdict, str | None, str | None]:
    where = f"{fitted.worst_error:+.1%} at {_words(fitted.worst_at)}"
    match fitted.verdict:
        case Verdict.PASS:
            return Verdict.PASS, None, None
        case Verdict.FAIL:
            return (
                Verdict.FAIL,
                f"the best law of the family is off by {where}, beyond noise and beyond "
                f"{tolerance:.0%}",
                "narrow --over to the range you use, or accept a larger --tolerance",
            )
        case Verdict.INCONCLUSIVE:
            return (
                Verdict.INCONCLUSIVE,
                f"the noise leaves open whether the law is within {tolerance:.0%} (worst {where})",
                "ask for a smaller --relative-error",
            )


def _gradient_remarks(findings: Sequence[ScaleLawFinding]) -> list[str]:
    """Which gradients are far from unit after the output's scale is divided out of them."""
    output = next((finding for finding in findings if finding.kind == "output"), None)
    if output is None:
        return []
    remarks = []
    for finding in findings:
        if not finding.kind.startswith("gradient of ") or not np.all(output.measured.rms > 0):
            continue
        ratio = finding.measured.rms / output.measured.rms
        if np.median(ratio) < FAR_BELOW_UNIT:
            low, high = int(np.argmin(ratio)), int(np.argmax(ratio))
            remarks.append(
                f"The {finding.kind} is far below unit when it is divided by the output's scale: "
                f"median {np.median(ratio):.3g}, from {ratio[low]:.3g} "
                f"({_words(finding.measured.points[low])}) to {ratio[high]:.3g} "
                f"({_words(finding.measured.points[high])}). Divide it by its own law instead."
            )
    return remarks


def _exact_remarks(findings: Sequence[ScaleLawFinding]) -> list[str]:
    """How far published laws are from the exact values, free of noise."""
    remarks = []
    for finding in findings:
        exact = next((law for law in finding.laws if law.law == "exact"), None)
        for law in finding.laws:
            if exact is None or law is exact:
                continue
            error = np.array(law.predicted) / np.array(exact.predicted) - 1
            worst = int(np.argmax(np.abs(error)))
            remarks.append(
                f"Against the exact {finding.kind}, the law of {law.source} is off by at most "
                f"{error[worst]:+.2%} ({_words(finding.measured.points[worst])})."
            )
    return remarks


def _words(point: Point) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in point.items()) or "its only point"


def _python(op: str, quantity: str, measured: Measurements, fit: Fit) -> str:
    stem = op.rpartition(":")[2].replace("-", "_").replace(".", "_")
    suffix = "scale" if quantity == "output" else quantity.removeprefix("gradient of ")
    suffix = {"output (std)": "std"}.get(quantity, suffix)
    name = f"{stem}_{suffix}" if suffix in ("scale", "std") else f"{stem}_grad_{suffix}_scale"
    body = fit.family.python([constant.value for constant in fit.constants])
    return f"def {name}({', '.join(measured.points[0])}): {body}"
