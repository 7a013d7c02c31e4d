"""JUnit XML: a suite per plan, a case per finding."""

import re
from xml.etree import ElementTree as ET

from umup_diag.checks.result import Finding, Verdict
from umup_diag.plans.gate import Gate, Outcome

#: What XML 1.0 cannot hold.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(gate: Gate) -> str:
    """The document. INCONCLUSIVE is a failure of that type; a plan that did not run, an error."""
    suites = [_suite(outcome) for outcome in gate.outcomes]
    root = ET.Element("testsuites", name="umup-diag gate")
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in suites)))
    root.set("time", f"{sum(outcome.seconds for outcome in gate.outcomes):.3f}")
    root.extend(suites)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(outcome: Outcome) -> ET.Element:
    cases = []
    if outcome.error is None and outcome.result is not None:
        cases = [_case(outcome, finding) for finding in outcome.result.findings]
    else:
        case = ET.Element("testcase", name="plan", classname=_xml(outcome.name), time="0")
        error = _xml(outcome.error or "the plan did not run")
        ET.SubElement(case, "error", message=error, type="ERROR").text = error
        cases.append(case)
    suite = ET.Element(
        "testsuite",
        name=_xml(str(outcome.path)),
        tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        errors=str(sum(case.find("error") is not None for case in cases)),
        skipped="0",
        time=f"{outcome.seconds:.3f}",
    )
    suite.extend(cases)
    return suite


def _case(outcome: Outcome, finding: Finding) -> ET.Element:
    name = " ".join([finding.tensor, finding.kind, *finding.place])
    case = ET.Element("testcase", name=_xml(name), classname=_xml(outcome.name), time="0")
    if finding.verdict is not Verdict.PASS:
        said = _xml(finding.sentence)
        ET.SubElement(case, "failure", message=said, type=str(finding.verdict)).text = said
    return case


def _xml(text: str) -> str:
    return _FORBIDDEN.sub("�", text)
