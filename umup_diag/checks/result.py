"""The one type that every check returns and every renderer takes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from html import escape
from typing import TYPE_CHECKING, Any

from umup_diag.checks.fix import Fix
from umup_diag.checks.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Finding", "Note", "NoteKind", "Result", "Verdict"]


class NoteKind(StrEnum):
    """What a note is about."""

    NOT_JUDGED = "not_judged"  #: what was left out, and why
    STALE_EXCEPTION = "stale_exception"  #: an exception that nothing needs any more
    CAUTION = "caution"  #: what to keep in mind when reading the findings
    VERIFIED = "verified"  #: what came of applying the fixes
    REMARK = "remark"  #: what else was found


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What the reader should know and no finding says.

    Attributes:
        kind: what it is about.
        text: a sentence or two.
    """

    kind: NoteKind
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One judged quantity of one tensor. Each check adds its own fields by subclassing.

    Attributes:
        tensor: the module or parameter it belongs to, as in ``model.named_modules()``.
        kind: a tensor kind (`umup_diag.scaling.kinds.Kind`) or a quantity of an op.
        verdict: the outcome.
        cause: why it fails, in words; None when it does not.
        follows: the tensor whose fault this one follows from; None where it has its own.
        fix: what to change and by how much; None when nothing is known to help.
    """

    tensor: str
    kind: str
    verdict: Verdict
    cause: str | None = None
    follows: str | None = None
    fix: Fix | None = None

    @property
    def place(self) -> tuple[str, ...]:
        """What tells it from the findings of the same tensor and kind: ``at width 128``."""
        return ()

    @property
    def measured(self) -> str:
        """What was measured and what was wanted, in words; empty where there is no such thing."""
        return ""

    @property
    def sentence(self) -> str:
        """The finding in one sentence, for where there is no table: annotations, assertions."""
        head = " ".join([self.tensor, self.kind, *self.place])
        remedies = [] if self.verdict is Verdict.PASS else [self.cause, self.fix]
        said = [str(words) for words in (self.measured, *remedies) if words]
        return ": ".join([head, *(said or [str(self.verdict)])])

    def document(self) -> dict[str, Any]:
        """What ``result.json`` says of it."""
        document = {each.name: _plain(getattr(self, each.name)) for each in fields(self)}
        fix = document.pop("fix")
        return document | {
            "fix": None if self.fix is None else str(self.fix),
            "fix_steps": fix,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a check found, under which settings, in which environment.

    Attributes:
        command: the check's name, as on the command line.
        settings: every setting that the findings depend on.
        environment: interpreter, torch, platform and seed.
        findings: one per judged quantity, worst first.
        notes: what no finding says.
        table: a row for each thing that was looked at, for a check that has such a table.
    """

    command: str
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    findings: tuple[Finding, ...]
    notes: tuple[Note, ...] = ()
    table: tuple[Mapping[str, Any], ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst of the findings; nothing judged is INCONCLUSIVE, never a pass."""
        verdicts = {finding.verdict for finding in self.findings}
        if Verdict.FAIL in verdicts:
            return Verdict.FAIL
        if Verdict.INCONCLUSIVE in verdicts or not verdicts:
            return Verdict.INCONCLUSIVE
        return Verdict.PASS

    def frame(self) -> "pd.DataFrame":
        """A row for each finding, with what ``result.json`` says of it."""
        import pandas as pd  # takes half a second, and most commands never make a table

        return pd.DataFrame([finding.document() for finding in self.findings])

    def _repr_html_(self) -> str:
        """In a notebook: the verdict, the table, the notes."""
        notes = "".join(f"<p>{escape(str(note))}</p>" for note in self.notes)
        head = f"<p><b>{escape(self.command)}: {self.verdict}</b> ({self.counts()})</p>"
        return head + self.frame().to_html(max_rows=40, show_dimensions=True) + notes

    def counts(self) -> str:
        """Findings by verdict, in words."""
        verdicts = [finding.verdict for finding in self.findings]
        return ", ".join(f"{verdicts.count(each)} {each}" for each in Verdict if each in verdicts)


def _plain(value: Any) -> Any:
    """Dataclasses as mappings, sequences as lists."""
    if isinstance(value, Fix):
        return value.encode()
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
