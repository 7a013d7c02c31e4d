"""Everything that a check leaves in its folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from umup_diag.errors import InputError
from umup_diag.judge.result import Result
from umup_diag.render import figures, html, json, unit_scale_figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """How the report of one command looks.

    Attributes:
        figures: file stem → function from the result to a PNG, or None where there is nothing.
        captions: file stem → caption.
        columns: heading → attribute of the findings, for the table.
    """

    figures: Mapping[str, Callable[[Result], bytes | None]]
    captions: Mapping[str, str]
    columns: Mapping[str, str]


#: command → its report.
TELLINGS: Mapping[str, Telling] = {
    "coordcheck": Telling(
        figures={"coordcheck": figures.coordcheck},
        captions={
            "coordcheck": "RMS against width, a line per tensor; dashed: the expected slope. "
            "Weights and updates are times the layer's multiplier, weight gradients over it."
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
    "unit-scale": Telling(
        figures={"unit_scale": unit_scale_figure.unit_scale},
        captions={
            "unit_scale": "RMS at init, in forward order; grey: what is accepted.",
        },
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
