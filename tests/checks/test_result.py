"""A result in Python: a row a finding, and what a notebook shows."""

from umup_diag.checks.fix import Fix, Multiply
from umup_diag.checks.result import Finding, Note, NoteKind, Result, Verdict


def result() -> Result:
    fix = Fix(tensor="q", steps=(Multiply(what="learning rate", exponent=-1.0),))
    return Result(
        command="coordcheck",
        settings={},
        environment={},
        findings=(
            Finding(tensor="q", kind="gain", verdict=Verdict.FAIL, cause="<b>&", fix=fix),
            Finding(tensor="k", kind="gain", verdict=Verdict.PASS),
        ),
        notes=(Note(kind=NoteKind.REMARK, text="a < b"),),
    )


def test_a_frame_has_what_the_document_says() -> None:
    frame = result().frame()
    assert frame["tensor"].tolist() == ["q", "k"]
    assert frame["verdict"].tolist() == ["FAIL", "PASS"]
    assert frame["fix"][0] == "multiply the learning rate by width^-1"
    assert len(frame) == len(result().findings)


def test_a_notebook_shows_verdict_table_and_notes_as_text() -> None:
    shown = result()._repr_html_()
    assert "coordcheck: FAIL</b> (1 PASS, 1 FAIL)" in shown
    assert "&lt;b&gt;&amp;" in shown
    assert "a &lt; b" in shown
    assert "2 rows" in shown
