"""The gate's formats, against parsers of those formats."""

import json
import re
from io import StringIO
from pathlib import Path

import pytest
from junitparser import Error, Failure, JUnitXml, TestSuite
from rich.console import Console

from umup_diag.checks.fix import Fix, Multiply
from umup_diag.checks.result import Finding, Note, NoteKind, Result, Verdict
from umup_diag.checks.unit_scale import UNIT_SCALE
from umup_diag.checks.unit_scale.judge import ScaleFinding
from umup_diag.plans import text as texts
from umup_diag.plans.gate import Gate, Outcome
from umup_diag.plans.github import github
from umup_diag.plans.junit import junit
from umup_diag.plans.page import page
from umup_diag.plans.plan import Plan

AWKWARD = "a|b<c>&\x1b 100%, x:y%0A\nz"


def finding(verdict: Verdict, tensor: str = "head") -> ScaleFinding:
    return ScaleFinding(
        tensor=tensor,
        kind="input",
        verdict=verdict,
        width=128,
        order=0,
        rms=2.0,
        interval=(1.9, 2.1),
        expected=1.0,
        accepted=(0.707, 1.414),
        cause="cause",
        fix=Fix(tensor=tensor, steps=(Multiply(what="input", factor=0.5),)),
    )


def outcome(
    name: str, *findings: Finding, error: str | None = None, notes: tuple[Note, ...] = ()
) -> Outcome:
    path = Path(f"checks/{name}.toml")
    lines = {"check": 3, "exceptions": 9}
    plan = Plan(
        path=path,
        check=UNIT_SCALE,
        description="",
        settings=UNIT_SCALE.settings(),
        out=None,
        lines=lines,
    )
    result = Result(
        command="unit-scale", settings={}, environment={}, findings=findings, notes=notes
    )
    return Outcome(
        path=path,
        plan=plan,
        result=None if error else result,
        error=error,
        out=Path("reports") / name,
        seconds=1.25,
    )


MIXED = Gate(
    outcomes=[
        outcome(
            "good",
            finding(Verdict.PASS),
            notes=(
                Note(kind=NoteKind.NOT_JUDGED, text="Not judged: x."),
                Note(kind=NoteKind.STALE_EXCEPTION, text="Stale exception head: gone. Remove it."),
            ),
        ),
        outcome("bad", finding(Verdict.FAIL, AWKWARD), finding(Verdict.PASS)),
        outcome("open", finding(Verdict.INCONCLUSIVE)),
        outcome("broken", error="checks/broken.toml:2: unit-scale has no key 'widht'."),
    ]
)


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([], 2),
        (["PASS"], 0),
        (["PASS", "FAIL"], 1),
        (["PASS", "INCONCLUSIVE"], 3),
        (["INCONCLUSIVE", "FAIL"], 1),
        (["FAIL", "ERROR", "PASS"], 2),
    ],
)
def test_the_gate_fails_closed(statuses: list[str], code: int) -> None:
    made = [
        outcome(str(at), error="x") if each == "ERROR" else outcome(str(at), finding(Verdict(each)))
        for at, each in enumerate(statuses)
    ]
    assert Gate(outcomes=made).exit_code == code


def test_junit_is_read_by_a_junit_parser() -> None:
    parsed = JUnitXml.fromstring(junit(MIXED).encode())
    suites = list(parsed)
    assert all(isinstance(suite, TestSuite) for suite in suites)
    assert (parsed.tests, parsed.failures, parsed.errors) == (5, 2, 1)
    assert [(suite.name, suite.tests, suite.failures, suite.errors) for suite in suites] == [
        ("checks/good.toml", 1, 0, 0),
        ("checks/bad.toml", 2, 1, 0),
        ("checks/open.toml", 1, 1, 0),
        ("checks/broken.toml", 1, 0, 1),
    ]
    bad, opened, broken = (next(iter(suite)) for suite in suites[1:])
    assert isinstance(bad.result[0], Failure)
    assert bad.result[0].type == "FAIL"
    assert "multiply the input by 0.5" in bad.result[0].message
    assert opened.result[0].type == "INCONCLUSIVE"
    assert isinstance(broken.result[0], Error)
    assert "no key 'widht'" in broken.result[0].message
    assert [len(list(suite)) for suite in suites] == [1, 2, 1, 1]


def test_every_line_of_an_error_is_indented() -> None:
    out = StringIO()
    gate = Gate(outcomes=[outcome("broken", error="its build takes no depth.\nLet it.")])
    Console(file=out, width=100).print(texts.text(gate))
    assert out.getvalue().splitlines()[1:3] == ["  its build takes no depth.", "  Let it."]


#: As GitHub's runner reads a workflow command (actions/runner, ActionCommand): ``::name
#: key=value,key=value::data``, data with %25 %0D %0A escaped, properties also %3A %2C.
COMMAND = re.compile(r"^::(error|warning|notice) ([^:]*)::([^\n\r]*)$")


def decode(text: str) -> str:
    for code, character in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n")):
        text = text.replace(code, character)
    return text.replace("%25", "%")


def test_annotations_are_workflow_commands() -> None:
    *lines, last = github(MIXED).splitlines()
    assert last == "umup-diag gate: ERROR"
    parsed = []
    for line in lines:
        match = COMMAND.match(line)
        assert match, line
        level, properties, data = match.groups()
        fields = dict(pair.split("=", 1) for pair in properties.split(","))
        parsed.append((level, decode(fields["file"]), fields["line"], decode(data)))
        assert fields.keys() == {"file", "line", "title"}
    assert [entry[:3] for entry in parsed] == [
        ("warning", "checks/good.toml", "9"),
        ("error", "checks/bad.toml", "3"),
        ("warning", "checks/open.toml", "3"),
        ("error", "checks/broken.toml", "3"),
    ]
    assert parsed[0][3] == "Stale exception head: gone. Remove it."
    assert AWKWARD in parsed[1][3]


def test_the_markdown_table_is_one() -> None:
    lines = texts.markdown(MIXED).splitlines()
    table = [line for line in lines if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table]
    assert {len(row) for row in cells} == {5}
    assert re.fullmatch(r" *-+:? *", cells[1][0])
    assert [row[2].strip() for row in cells[2:]] == ["PASS", "FAIL", "INCONCLUSIVE", "ERROR"]
    assert all("<c>" not in line for line in lines)


def test_json_says_the_same() -> None:
    document = json.loads(texts.dumps(MIXED, base=Path("reports")))
    assert (document["verdict"], document["exit_code"]) == ("ERROR", 2)
    assert [plan["verdict"] for plan in document["plans"]] == [
        "PASS",
        "FAIL",
        "INCONCLUSIVE",
        "ERROR",
    ]
    assert document["plans"][1]["findings"] == {"PASS": 1, "FAIL": 1, "INCONCLUSIVE": 0}


def test_the_text_names_tensor_kind_measured_wanted_and_factor() -> None:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(texts.text(MIXED))
    text = capture.get()
    wanted = "input at width 128: RMS 2 (1.9…2.1), wanted 0.707…1.41: cause: multiply the input by"
    assert wanted in text
    assert "Stale exception head" in text
    assert text.rstrip().endswith("gate: ERROR")


def test_many_offenders_are_counted() -> None:
    crowd = Gate(outcomes=[outcome("bad", *[finding(Verdict.FAIL)] * 30)])
    assert len(github(crowd).splitlines()) == texts.LISTED + 2
    assert "… and 22 more, in reports/bad/report.html" in github(crowd)


def test_the_page_links_every_plan_to_its_own_and_says_the_worst_first() -> None:
    made = page(MIXED, Path("reports"))
    assert (made.status, made.counts) == ("ERROR", "1 PASS, 1 INCONCLUSIVE, 1 FAIL, 1 ERROR")
    assert made.table is not None
    links = [(row.verdict, row.cells[0].text, row.cells[0].href) for row in made.table.rows]
    assert links == [
        ("PASS", "checks/good.toml", "good/report.html"),
        ("FAIL", "checks/bad.toml", "bad/report.html"),
        ("INCONCLUSIVE", "checks/open.toml", "open/report.html"),
        ("ERROR", "checks/broken.toml", None),
    ]
    assert made.answer.lead == "checks/broken.toml could not be run"
    broken, bad, opened = made.answer.changes
    assert broken.action == "checks/broken.toml:2: unit-scale has no key 'widht'."
    assert (bad.cause, bad.action) == ("bad: cause", "multiply the input by 0.5")
    assert (bad.tensors, opened.tensors) == ((AWKWARD,), ("head",))
    assert made.document is not None
    assert json.loads(made.document)["exit_code"] == 2
    failing = page(Gate(outcomes=MIXED.outcomes[:2]), Path("elsewhere/deeper")).answer
    assert failing.lead == "First in checks/bad.toml"
    assert failing.first is not None
    assert failing.first.tensor == AWKWARD


@pytest.mark.parametrize(("plans", "lead"), [(0, "There is no plan"), (1, "Every plan passes")])
def test_the_page_of_nothing_and_of_a_pass(plans: int, lead: str) -> None:
    made = page(Gate(outcomes=MIXED.outcomes[:plans]), Path("reports"))
    assert made.answer.lead == lead
    assert not made.answer.changes
