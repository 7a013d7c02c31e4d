"""Everything that a check leaves in its folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from umup_diag.checks.coordcheck import figure as figures
from umup_diag.checks.fp8_range import figure as fp8_figures
from umup_diag.checks.fp8_range import view as fp8_range
from umup_diag.checks.result import Result
from umup_diag.checks.scale_law import figure as scale_law_figure
from umup_diag.checks.unit_scale import figure as unit_scale_figure
from umup_diag.errors import InputError
from umup_diag.report import json
from umup_diag.report import page as html

Pictures = Mapping[str, bytes]  #: file stem → PNG


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """How the report of one command looks.

    Attributes:
        figures: draws every picture of a result.
        stems: patterns of their file stems, by which an earlier report's are found.
        caption: what to read in them.
        columns: heading → what the table shows of a finding: an attribute, or text made of it.
    """

    figures: Callable[[Result], Pictures]
    stems: tuple[str, ...]
    caption: str
    columns: Mapping[str, html.Column]


#: command → its report.
TELLINGS: Mapping[str, Telling] = {
    "coordcheck": Telling(
        figures=figures.coordcheck,
        stems=("coordcheck",),
        caption="RMS against width, a line per tensor; dashed: the expected slope. "
        "Weights and updates are times the layer's multiplier, weight gradients over it.",
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
        figures=fp8_figures.pictures,
        stems=("spans", "training", "headroom"),
        caption="Spans: from the smallest to the largest magnitude of each tensor, RMS marked; "
        "shaded where its format is normal, and where it is subnormal. Through training: RMS, and "
        "the octaves of room left at the tighter end, red where there is none.",
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
    "scale-law": Telling(
        figures=scale_law_figure.pictures,
        stems=("scale_law", "output*", "gradient*"),
        caption="Measured scales with 95 % intervals, the fitted and the published law; below, how "
        "far each law is off.",
        columns={
            "op": "tensor",
            "quantity": "kind",
            "verdict": "verdict",
            "law, as Python": "python",
            "cause": "cause",
            "fix": "fix",
        },
    ),
    "unit-scale": Telling(
        figures=unit_scale_figure.unit_scale,
        stems=("unit_scale",),
        caption="RMS at init, in forward order; grey: what is accepted.",
        columns={
            "tensor": "tensor",
            "kind": "kind",
            "width": "width",
            "RMS": "rms",
            "95 % interval": "interval",
            "expected": "expected",
            "accepted": "accepted",
            "because": "because",
            "exception": "exception",
            "verdict": "verdict",
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
        pictures = telling.figures(result)
        for stem, png in pictures.items():
            json.write_whole(out / f"{stem}.png", png)
        page = html.page(result, columns=telling.columns, figures=pictures, caption=telling.caption)
        json.write_whole(out / PAGE, page)
        json.write_whole(out / RESULT, json.dumps(result) + "\n")
    except OSError as error:
        raise InputError(f"cannot write to --out {out}: {error.strerror}.") from None
    return out / PAGE


def clear(out: Path, command: str) -> None:
    """Remove an earlier report, so that it cannot be taken for that of a run under way."""
    for pattern in (RESULT, PAGE, *(f"{stem}.png" for stem in TELLINGS[command].stems)):
        for path in out.glob(pattern):
            path.unlink()
