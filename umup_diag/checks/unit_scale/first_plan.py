"""A first plan for a model, with today's values."""

import math
from collections.abc import Sequence

from umup_diag.checks.result import Result, Verdict
from umup_diag.checks.unit_scale.judge import ScaleFinding
from umup_diag.report.names import collapse, starred
from umup_diag.report.style import number
from umup_diag.scaling.kinds import kind_order


def first_plan(result: Result) -> str:
    """TOML of a unit-scale plan that passes today, from a unit-scale result.

    What does not pass becomes an exception at what it measures, either way by the tolerance, for
    the user to mend or to explain; what passes is listed in comments.
    """
    findings = [finding for finding in result.findings if isinstance(finding, ScaleFinding)]
    settings = result.settings
    lines = [
        "# A check plan for `umup-diag gate`. Every key is an option of `umup-diag unit-scale`.",
        'check = "unit-scale"',
        f"model = {_string(settings['model'])}",
        f"width = {list(settings['width'])}",
        f"seeds = {settings['seeds']}",
        f"tolerance = {settings['tolerance']:.6g}  # factor either way of what is expected",
        "",
        "# Measured when this was written; expected is 1 where nothing is said.",
    ]
    groups = _groups(findings, findings)
    for (kind, tensor), members in groups.items():
        low, high = (end(member.rms for member in members) for end in (min, max))
        span = number(low) if number(low) == number(high) else f"{number(low)}…{number(high)}"
        expected = _expected(members)
        lines.append(f"#   {kind} {tensor}: {span}{expected}")
    failing = _groups([each for each in findings if each.verdict is not Verdict.PASS], findings)
    if failing:
        lines += [
            "",
            "# What is off today. Mend it and take its exception out (the gate says when one is no",
            "# longer needed), or say in `reason` why it is right for your model.",
        ]
    for (kind, tensor), members in failing.items():
        rms = [member.rms for member in members if math.isfinite(member.rms)]
        if not rms:
            continue
        low, high = min(rms) / settings["tolerance"], max(rms) * settings["tolerance"]
        lines += [
            "",
            "[[exceptions]]",
            f"tensor = {_string(tensor)}",
            f"kind = {_string(kind)}",
            f"range = [{low:.3g}, {high:.3g}]",
            'reason = "as measured when this plan was written; not explained yet"',
        ]
        fixes = {str(member.fix) for member in members if member.fix}
        lines += [f"# to mend it: {fix}" for fix in sorted(fixes)[:1]]
    return "\n".join(lines) + "\n"


def _groups(
    findings: Sequence[ScaleFinding], among: Sequence[ScaleFinding]
) -> dict[tuple[str, str], list[ScaleFinding]]:
    """Findings by kind and name, in forward order; starred where all siblings are among them."""
    names: dict[str, list[str]] = {}
    every: dict[str, list[str]] = {}
    for found, some in ((names, findings), (every, among)):
        for finding in some:
            found.setdefault(finding.kind, []).append(finding.tensor)
    shared = {kind: set(collapse(some, among=every[kind])) for kind, some in names.items()}
    groups: dict[tuple[str, str], list[ScaleFinding]] = {}
    for finding in sorted(findings, key=lambda each: (kind_order(each.kind), each.order)):
        star = starred(finding.tensor)
        name = star if star in shared[finding.kind] else finding.tensor
        groups.setdefault((str(finding.kind), name), []).append(finding)
    return groups


def _expected(members: Sequence[ScaleFinding]) -> str:
    because = members[0].because
    return f", expected {number(members[0].expected)} ({because})" if because else ""


def _string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
