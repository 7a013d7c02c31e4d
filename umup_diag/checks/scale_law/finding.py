"""What a scale-law check finds of one quantity of an op."""

from dataclasses import dataclass
from typing import Any

from umup_diag.checks.result import Finding, Result
from umup_diag.checks.scale_law.law_fit import Assessment, Constant, Measurements


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleLawFinding(Finding):
    """One quantity of an op (``kind``), its fitted law and the laws it is compared with.

    Attributes:
        measurements: the Monte-Carlo scales.
        fitted: how well the fitted law describes them; None when there was too little data.
        constants: the fitted constants with 95 % intervals.
        discrepancy: the fitted law's own error beyond noise, a relative error.
        python: the fitted law as one line of Python, a function.
        laws: how well the published and exact laws describe the same measurements.
    """

    measurements: Measurements
    fitted: Assessment | None = None
    constants: tuple[Constant, ...] = ()
    discrepancy: float = 0.0
    python: str | None = None
    laws: tuple[Assessment, ...] = ()

    def document(self) -> dict[str, Any]:
        """What ``result.json`` says of it: the laws, their errors, and every measured point."""
        document = Finding.document(self)  # super() takes no part in slotted dataclasses
        del document["measurements"]
        return document | {
            "fitted": self.fitted.document() if self.fitted else None,
            "constants": [
                {"name": each.name, "value": each.value, "interval": [each.low, each.high]}
                for each in self.constants
            ],
            "laws": [law.document() for law in self.laws],
            "measured": self.measurements.document(),
        }


def scale_law_findings(result: Result) -> list[ScaleLawFinding]:
    """The result's findings, as what they are.

    Raises:
        TypeError: if the result is not a scale-law result.
    """
    findings = []
    for finding in result.findings:
        if not isinstance(finding, ScaleLawFinding):
            raise TypeError(f"not a scale-law finding: {type(finding).__name__}")
        findings.append(finding)
    return findings
