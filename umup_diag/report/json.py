"""A Result as JSON, and back on the disk whole or not at all."""

import os
from pathlib import Path

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
            "notes": list(result.notes),
            "findings": [finding.document() for finding in result.findings],
        },
        indent=1,
    )


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that no reader ever sees half of it."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(partial, path)
