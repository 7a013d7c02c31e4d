"""A Result as JSON."""

from umup_diag import strict_json
from umup_diag.checks.result import Result

SCHEMA = 1


def dumps(result: Result) -> str:
    """The result as JSON text; the same result gives the same bytes."""
    return strict_json.dumps(
        {
            "schema": SCHEMA,
            "command": result.command,
            "verdict": result.verdict,
            "settings": dict(result.settings),
            "environment": dict(result.environment),
            "notes": [{"kind": note.kind, "text": note.text} for note in result.notes],
            "findings": [finding.document() for finding in result.findings],
            **({"table": [dict(row) for row in result.table]} if result.table else {}),
        },
        indent=1,
    )
