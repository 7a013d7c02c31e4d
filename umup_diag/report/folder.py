"""Everything that a check leaves in its folder, besides its recording."""

import os
from contextlib import suppress
from pathlib import Path

from umup_diag.checks.result import Result
from umup_diag.errors import InputError
from umup_diag.report.json import dumps
from umup_diag.report.page import page, render
from umup_diag.report.vega.render import pictures
from umup_diag.report.view import View

RESULT, PAGE = "result.json", "report.html"


def write(result: Result, view: View, out: Path) -> None:
    """Write ``result.json``, the figures and ``report.html``.

    Raises:
        InputError: if `out` cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        content = page(result, view)
        for chart in content.charts:
            for name, picture in pictures(chart, content.headline).items():
                write_whole(out / name, picture)
        write_whole(out / PAGE, render(content))
        write_whole(out / RESULT, dumps(result) + "\n")
    except OSError as error:
        raise InputError(f"cannot write to --out {out}: {error.strerror}.") from None


def clear(out: Path, view: View) -> None:
    """Remove an earlier report, so that it cannot be taken for that of a run under way."""
    for pattern in (
        RESULT,
        PAGE,
        *(f"{stem}.{kind}" for stem in view.stems for kind in ("png", "svg")),
    ):
        for path in out.glob(pattern):
            path.unlink()


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that no reader ever sees half of it; on a full disk nothing is left.

    Raises:
        OSError: if it cannot be written.
    """
    # a name that is not UTF-8 on disk has surrogates in Python
    raw = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(raw)
        os.replace(partial, path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise
