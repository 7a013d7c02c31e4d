"""GitHub workflow commands: annotations on the plan's file in a pull request."""

from umup_diag.checks.result import NoteKind
from umup_diag.plans.gate import Gate, Outcome
from umup_diag.plans.text import sentences

_LEVELS = {"FAIL": "error", "ERROR": "error", "INCONCLUSIVE": "warning", "PASS": "notice"}


def github(gate: Gate) -> str:
    """One ``::error`` or ``::warning`` line per finding that is no pass, stale exceptions included.

    GitHub shows ten errors and ten warnings a step; the offenders come worst first, and at most
    eight of a plan.
    """
    lines = []
    for outcome in gate.outcomes:
        lines += [_command(_LEVELS[outcome.status], outcome, line) for line in sentences(outcome)]
        notes = outcome.result.notes if outcome.result else ()
        stale = [note.text for note in notes if note.kind is NoteKind.STALE_EXCEPTION]
        lines += [_command("warning", outcome, text, "exceptions") for text in stale]
    lines.append(f"umup-diag gate: {gate.status}")
    return "\n".join(lines)


def _command(level: str, outcome: Outcome, message: str, key: str = "check") -> str:
    line = outcome.plan.lines.get(key, 1) if outcome.plan else 1
    title = f"{outcome.name}: {outcome.status}"
    properties = f"file={_property(outcome.path.as_posix())},line={line},title={_property(title)}"
    return f"::{level} {properties}::{_data(message)}"


def _data(text: str) -> str:
    """Escape as the runner unescapes."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
