import json
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from umup_diag import strict_json
from umup_diag.checks.coordcheck.chart import charts
from umup_diag.checks.coordcheck.finding import NonFiniteFinding, SlopeFinding
from umup_diag.checks.coordcheck.view import view
from umup_diag.checks.fix import Advice, Fix, Multiply
from umup_diag.checks.result import Note, NoteKind, Result
from umup_diag.checks.verdict import Verdict, equivalence
from umup_diag.report import json as as_json
from umup_diag.report.chart import Plot, Slope
from umup_diag.report.names import collapse
from umup_diag.report.page import page, render

RATE = (Multiply(what="learning rate", exponent=-1.0),)


def finding(
    tensor: str,
    kind: str,
    slope: float,
    *,
    order: int,
    role: str = "hidden",
    follows: str | None = None,
) -> SlopeFinding:
    accepted = (-0.25, 0.25)
    interval = (slope - 0.05, slope + 0.05)
    verdict = equivalence(interval, accepted)
    cause, fix = None, None
    if verdict is Verdict.FAIL:
        cause = f"follows from {follows}" if follows else "learning rate"
        fix = None if follows else Fix(tensor=tensor, steps=RATE)
    return SlopeFinding(
        tensor=tensor,
        kind=kind,
        step=0 if kind == "gain" else 1,
        role=role,
        order=order,
        slope=slope,
        interval=interval,
        expected=0.0,
        band=0.25,
        accepted=accepted,
        verdict=verdict,
        cause=cause,
        follows=follows,
        fix=fix,
        points=tuple((width, 2.0 * width**slope) for width in (64, 128, 256)),
    )


def result(*findings: SlopeFinding) -> Result:
    return Result(
        command="coordcheck",
        settings={"model": "m<b>", "optimizer": "adam", "target": "mup", "widths": [64, 256]},
        environment={"torch": "2"},
        findings=findings,
        notes=(Note(kind=NoteKind.REMARK, text="a note"),),
    )


FAULTY = result(
    finding("layers.0.q", "update_gain", 1.0, order=1),
    finding("layers.1.q", "update_gain", 0.98, order=2),
    finding("layers.0.q", "loss_change", 0.5, order=1),
    finding("layers.1.norm", "loss_change", 0.5, order=3, follows="layers.0.q"),
    finding("layers.1.q", "loss_change", 0.0, order=2),
    finding("embedding", "update_gain", 0.0, order=0, role="input"),
)


def shown(each: Result, *, width: int = 120, every: bool = False) -> str:
    console = Console(file=StringIO(), width=width)
    console.print(view().table(each, every))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_the_worst_comes_first_and_the_fix_is_named() -> None:
    lines = shown(FAULTY).splitlines()
    assert lines[1].split()[:2] == ["layers.*.q", "(2)"]
    assert "First offender in forward order: layers.0.q" in shown(FAULTY)
    assert "learning rate: multiply the learning rate by width^-1" in shown(FAULTY)
    assert lines[-1] == "coordcheck: FAIL (2 PASS, 4 FAIL)"


def test_a_name_is_starred_only_where_all_its_siblings_share_the_finding() -> None:
    listed = [line.split()[:2] for line in shown(FAULTY).splitlines()]
    assert ["layers.*.q", "(2)"] in listed
    assert ["layers.0.q", "loss_change"] in listed
    alone = result(finding("layers.0.q", "rate", 1.0, order=1), FAULTY.findings[4])  # type: ignore[arg-type]
    assert "  of layers.0.q" in shown(alone).splitlines()
    assert "  of layers.*.q" in shown(FAULTY).splitlines()


def test_what_follows_says_from_what() -> None:
    (norm,) = [f for f in FAULTY.findings if f.tensor == "layers.1.norm"]
    assert norm.sentence.endswith(": follows from layers.0.q")
    assert not any("norm" in line for line in shown(FAULTY).splitlines() if "  of " in line)


def test_a_fix_is_a_value() -> None:
    steps = {"initial weights": -0.5, "learning rate": -1.0}
    both = Fix(
        tensor="q", steps=tuple(Multiply(what=w, exponent=power) for w, power in steps.items())
    )
    assert str(both) == (
        "multiply the initial weights by width^-0.5 and the learning rate by width^-1"
    )
    epsilon = Fix(tensor="q", steps=(Multiply(what="Adam's ε", exponent=-1.0),))
    assert str(epsilon) == "multiply Adam's ε by width^-1"


def test_a_finding_is_one_sentence() -> None:
    assert finding("q", "update_gain", 1.0, order=1).sentence == (
        "q update_gain at update 1: width slope +1.00 (+0.95…+1.05), expected +0.00: "
        "learning rate: multiply the learning rate by width^-1"
    )


def test_an_axis_is_said_once() -> None:
    over_depth = replace(finding("q", "gain", 0.0, order=1), axis="depth")
    assert over_depth.sentence == (
        "q gain at init over depth: slope +0.00 (-0.05…+0.05), expected +0.00"
    )


@pytest.mark.parametrize("width", [40, 60])
def test_a_narrow_terminal_still_shows_which_tensor(width: int) -> None:
    over_depth = replace(finding("layers.0.q", "gain", 1.0, order=1), axis="depth")
    out = StringIO()
    table = view().table(result(over_depth), False)
    Console(file=out, width=width).print(table, crop=False)
    first = out.getvalue().splitlines()[0].split()
    assert first == ["tensor", "kind", "over", "when", "slope", "expected", "verdict"]


def test_a_loss_that_is_not_finite_is_told_in_its_words() -> None:
    diverged = NonFiniteFinding(
        tensor="head",
        kind="update",
        verdict=Verdict.FAIL,
        width=64,
        seed=0,
        step=1,
        loss=float("nan"),
        cause="the loss is nan after 1 updates at width 64, seed 0",
        fix=Fix(tensor="head", steps=(Advice(text="lower --lr"),)),
    )
    failed = Result(command="coordcheck", settings={}, environment={}, findings=(diverged,))
    assert shown(failed).splitlines() == [str(diverged.cause), "coordcheck: FAIL (1 FAIL)"]
    html = render(page(failed, view()))
    assert "<b>Cause:</b> the loss is nan after 1 updates" in html
    assert "lower --lr" in html


def test_every_lists_each_finding_by_itself() -> None:
    assert "layers.1.q " in shown(FAULTY, every=True)
    assert "(2)" not in shown(FAULTY, every=True)


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_tiny_window_keeps_the_verdicts(width: int) -> None:
    assert "FAIL" in shown(FAULTY, width=width)


def test_nothing_judged_is_not_a_pass() -> None:
    empty = Result(command="coordcheck", settings={}, environment={}, findings=())
    assert shown(empty).strip() == "coordcheck: INCONCLUSIVE (nothing judged)"
    assert charts(empty) == []


def test_a_panel_a_kind_and_a_line_a_tensor() -> None:
    (chart,) = charts(FAULTY)
    drawn = {panel.title: panel for panel in chart.panels if isinstance(panel, Plot)}
    assert list(drawn) == ["loss_change at update 1", "update_gain at update 1"]
    panel = drawn["update_gain at update 1"]
    assert [line.name for line in panel.series] == ["embedding", "layers.0.q", "layers.1.q"]
    assert panel.series[1].slope == Slope(0.0, (0.95, 1.05))
    assert "1 PASS, 2 FAIL" in panel.alt
    assert "layers.0.q comes first in the forward pass of those that fail" in panel.alt


def test_the_page_escapes_what_a_user_named() -> None:
    html = render(page(FAULTY, view()))
    assert "m&lt;b&gt;" in html
    assert "m<b>" not in html
    assert html.count("<tr class=") == len(FAULTY.findings)


def test_json_is_strict_and_round_trips() -> None:
    written = json.loads(as_json.dumps(FAULTY))
    assert written["verdict"] == "FAIL"
    assert [f["tensor"] for f in written["findings"]] == [f.tensor for f in FAULTY.findings]
    assert json.loads(strict_json.dumps({"x": [float("nan"), float("-inf"), 1.5]})) == {
        "x": ["nan", "-inf", 1.5]
    }
    assert strict_json.number("inf") == float("inf")


def test_names_are_collapsed_over_layers() -> None:
    names = ["layers.0.q", "layers.11.q", "h2.x", "blocks.3"]
    assert collapse(names) == ["layers.*.q", "h2.x", "blocks.*"]
