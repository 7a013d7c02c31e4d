"""Everything that a check leaves in its folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from umup_diag.errors import InputError
from umup_diag.judge.result import Result
from umup_diag.render import figures, fp8_figures, fp8_range, html, json


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """How the report of one command looks.

    Attributes:
        figures: file stem → function from the result to a PNG, or None where there is nothing.
        captions: file stem → caption.
        columns: heading → what the table shows of a finding: an attribute, or text made of it.
    """

    figures: Mapping[str, Callable[[Result], bytes | None]]
    captions: Mapping[str, str]
    columns: Mapping[str, html.Column]


#: command → its report.
TELLINGS: Mapping[str, Telling] = {
    "coordcheck": Telling(
        figures={"coordcheck": figures.coordcheck},
        captions={
            "coordcheck": "RMS against width, a line per tensor; dashed: the expected slope."
        },
        columns={
            "tensor": "tensor",
            "kind": "kind",
            "updates": "step",
            "slope": "slope",
            "95 % interval": "interval",
            "expected": "expected",
            "accepted": "accepted",
            "verdict": "verdict",
            "cause": "cause",
            "fix": "fix",
        },
    ),
    "fp8-range": Telling(
        figures={
            "spans": fp8_figures.spans,
            "training": fp8_figures.through_training,
            "headroom": fp8_figures.headroom,
        },
        captions={
            "spans": "What each tensor spans, smallest to largest magnitude, RMS marked. Shaded: "
            "where its format is normal, and where it is subnormal.",
            "training": "RMS through training, a line per tensor.",
            "headroom": "Octaves of room left at the tighter end; red is none.",
        },
        columns={
            "tensor": "tensor",
            "kind": "kind",
            "flag": "flag",
            "format": "format",
            "RMS": lambda f: fp8_range.magnitude(f.rms),
            "absmax": lambda f: fp8_range.magnitude(f.absmax),
            "to zero": lambda f: fp8_range.share(f.underflow_fraction),
            "subnormal": lambda f: fp8_range.share(f.subnormal_fraction),
            "overflow": lambda f: fp8_range.share(f.overflow_fraction),
            "room": lambda f: fp8_range.room(fp8_range.judged(f)),
            "SQNR, dB": lambda f: fp8_range.decibels(f.sqnr_db),
            "best scale": lambda f: fp8_range.scale(fp8_range.judged(f)),
            "cause": "cause",
            "fix": "fix",
        },
    ),
}
RESULT, PAGE = "result.json", "report.html"


def write(result: Result, out: Path) -> Path:
    """Write ``result.json``, the figures and ``report.html``; return the page's path.

    Raises:
        InputError: if `out` cannot be written.
    """
    telling = TELLINGS[result.command]
    try:
        out.mkdir(parents=True, exist_ok=True)
        pictures = {}
        for stem, draw in telling.figures.items():
            png = draw(result)
            if png is not None:
                json.write_whole(out / f"{stem}.png", png)
                pictures[telling.captions[stem]] = png
        page = html.page(result, columns=telling.columns, figures=pictures)
        json.write_whole(out / PAGE, page)
        json.write_whole(out / RESULT, json.dumps(result) + "\n")
    except OSError as error:
        raise InputError(f"cannot write to --out {out}: {error.strerror}.") from None
    return out / PAGE


def clear(out: Path, command: str) -> None:
    """Remove an earlier report, so that it cannot be taken for that of a run under way."""
    stems = TELLINGS[command].figures
    for name in (RESULT, PAGE, *(f"{stem}.png" for stem in stems)):
        (out / name).unlink(missing_ok=True)
