"""How verdicts look on a terminal, and the lines that every check's answer ends in."""

from collections.abc import Mapping

from rich.text import Text

from umup_diag.checks.result import Result, Verdict

OFFENDERS = 16  #: how many are listed one by one
VERDICT_STYLES: Mapping[str, str] = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.INCONCLUSIVE: "yellow",
    "ERROR": "bold magenta",
}


def styled(verdict: str) -> Text:
    """A verdict in its colour."""
    return Text(verdict, VERDICT_STYLES[verdict])


def verdict_line(result: Result) -> Text:
    """The last line: the verdict and what it rests on."""
    text = Text(f"{result.command}: ")
    text.append_text(styled(result.verdict))
    text.append(f" ({result.counts() or 'nothing judged'})")
    return text


def number(value: float) -> str:
    """Three significant digits."""
    return f"{value:.3g}"


def signed(value: float) -> str:
    """Two decimals with a sign; no minus before a zero."""
    return f"{round(value, 2) + 0.0:+.2f}"
