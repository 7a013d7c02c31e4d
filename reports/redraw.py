"""Draw the pictures in ``reports/`` again, from the results that lie beside them: no training.

Those of ``fp8_range`` and ``fp8_training`` come from recordings that are not kept: they are drawn
when these are made again.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from umup_diag.checks import CHECKS
from umup_diag.checks.coordcheck.finding import SlopeFinding
from umup_diag.checks.fix import Fix, Multiply
from umup_diag.checks.result import Result, Verdict
from umup_diag.checks.scale_law.judge import judge
from umup_diag.checks.scale_law.settings import ScaleLawSettings
from umup_diag.recording import Frame, Moments, Recording, TensorRecord
from umup_diag.report.page import page
from umup_diag.report.vega.render import pictures

HERE = Path(__file__).parent


def redraw() -> None:
    """Every picture whose result is kept and is of a check in `RESULTS`; the others are named."""
    for path in sorted(HERE.glob("*/*/result.json")):
        written = json.loads(path.read_text(encoding="utf-8"))
        if written["command"] not in RESULTS:
            print(f"{path.parent}: left as it is; {written['command']} draws it when it is made")
            continue
        result = RESULTS[written["command"]](written)
        content = page(result, CHECKS[result.command].view())
        for chart in content.charts:
            name = f"{chart.stem}.png"
            (path.parent / name).write_bytes(small(pictures(chart, content.headline)[name]))
            print(path.parent / name)


def small(picture: bytes) -> bytes:
    """A PNG with 256 colours: a fifth of the size, for pictures that stay in the repository."""
    written = BytesIO()
    drawn = Image.open(BytesIO(picture)).convert("RGB")
    drawn.quantize(256, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return written.getvalue()


def coordcheck(written: Mapping[str, Any]) -> Result:
    """The result of a coord check."""
    names = {field.name for field in fields(SlopeFinding)} - {"fix"}
    findings = []
    for each in written["findings"]:
        kept = {name: each[name] for name in names}
        kept |= {name: tuple(map(float, kept[name])) for name in ("interval", "accepted")}
        points = tuple((width, value) for width, value in kept["points"])
        kept |= {"points": points, "verdict": Verdict(kept["verdict"])}
        findings.append(SlopeFinding(**kept, fix=_fix(each["fix_steps"])))
    return Result(
        command=written["command"],
        settings=written["settings"],
        environment=written["environment"],
        findings=tuple(findings),
    )


def _fix(written: Mapping[str, Any] | None) -> Fix | None:
    """The fix of a coord check that could name a cause: factors and powers alone."""
    if written is None:
        return None
    steps = [{k: v for k, v in step.items() if k != "action"} for step in written["steps"]]
    return Fix(tensor=written["tensor"], steps=tuple(Multiply(**step) for step in steps))


def scale_law(written: Mapping[str, Any]) -> Result:
    """What was measured, judged again."""
    recording = Recording(
        command=written["command"],
        settings=written["settings"],
        environment=written["environment"],
        frames=list(_frames(written["findings"])),
    )
    return judge(recording, ScaleLawSettings.decode(written["settings"]))


def _frames(findings: list[Mapping[str, Any]]) -> Iterator[Frame]:
    """A frame a point; every quantity was measured at the same points."""
    for together in zip(*(finding["measured"] for finding in findings), strict=True):
        records = tuple(
            TensorRecord(
                tensor=finding["tensor"],
                kind=finding["kind"],
                statistics=Moments(
                    count=0, rms=measured["rms"], relative_error=measured["relative_error"]
                ),
            )
            for finding, measured in zip(findings, together, strict=True)
        )
        yield Frame(point=together[0]["point"], records=records)


RESULTS = {"coordcheck": coordcheck, "scale-law": scale_law}
