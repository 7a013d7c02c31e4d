"""Does a plain cast to FP8 suffice, and which tensors need a scale? µP and u-µP, tensor by tensor.

``python -m reports.make fp8_recipes``: the runs of reports/fp8_range, recorded with block casts as
well, and held to each recipe of `umup_diag.numerics.scaled_recipes` over all snapshots.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path

from umup_diag.checks.fp8_range.finding import RangeFinding, range_findings
from umup_diag.checks.fp8_range.judge import BIT_DB, judge
from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.numerics.scaled_recipes import SCALED_RECIPES, Scaling
from umup_diag.recording import Recording
from umup_diag.report.names import collapse
from umup_diag.scaling.kinds import Kind

MODELS = {"mup": "µP, η = 2⁻⁸", "umup": "u-µP, η = 2¹"}
KINDS = (Kind.INPUT, Kind.WEIGHT, Kind.GRAD_OUTPUT)
RUN = (
    "--optimizer adamw --width 256 --steps 400 --every 20 --batch-size 4 --seq-len 128 "
    "--warmup 100 --decay --device cpu --blocks mxfp8,nvfp4 -q"
)

PAGE = """# FP8 as it is done: which tensors need a scale?

`python -m reports.make fp8_recipes`: the reference Llama, width 256, depth 4, on Python's manual
read as bytes; AdamW, 100 updates of warm-up, then a cosine to a tenth; 400 updates of 512 bytes, in
float32, recorded every 20. One seed. Every operand of every linear layer, and the embedding, is
held to what each recipe casts it to, at each of the {snapshots} snapshots. A tensor *fits* if at no
snapshot an element overflows or more than 10 % of the non-zero ones become zero.

| model | recipe | scale | inputs | weights | grad-outputs | lowest dB | median dB |
|---|---|---|---|---|---|---|---|
{summary}

*dB*: signal over the noise of the cast, of the snapshot at which the tensor does worst (an
estimate: recordings keep 4 bits of mantissa). Delayed scaling looks back on snapshots, which are 20
updates apart; in training it looks back on the steps right before. One element above what came
before is an overflow. MXFP8 casts gradients to E4M3, absmax and delayed to E5M2, which has a bit
less.

{answer}

## Which tensors need a scale

Under the recipes without one: those that do not fit, and those that lose more than {bit:.0f} dB, a
bit of mantissa, against the best power of two before the cast (*scale*). Where most of a tensor
becomes zero and next to nothing is lost, the rest holds the signal: so it is with the head's
gradient, which is large for a few bytes and tiny for the others.

| model | recipe | tensor | kind | format | flag | since | to zero | loses | scale |
|---|---|---|---|---|---|---|---|---|---|
{needs}
"""


def record(folder: Path) -> None:
    """Train both models, each into a folder of its own."""
    for model in MODELS:
        command = [sys.executable, "-m", "umup_diag", "record", *RUN.split()]
        command += ["--model", f"reports.fp8_range.subjects:{model}"]
        subprocess.run([*command, "--out", str(folder / model)], check=True)


def tell(folder: Path, out: Path) -> None:
    """Hold the recordings to the recipes, and write the tables."""
    out.mkdir(exist_ok=True)
    summary, needs, answer, snapshots = [], [], [], 0
    for model, title in MODELS.items():
        recording = Recording.load(folder / model)
        snapshots = sum(bool(frame.records) for frame in recording.frames)
        for name, recipe in SCALED_RECIPES.items():
            findings = range_findings(judge(recording, RangeSettings(recipe=name)))
            summary.append(_summary(title, name, recipe.scaling, findings))
            if recipe.scaling is Scaling.NONE:
                wanting = [finding for finding in findings if _needs_scale(finding)]
                needs += [f"| {title} | {name} {row}" for row in _needs(wanting)]
                answer.append(_answer(title, name, findings, wanting))
    page = PAGE.format(
        snapshots=snapshots,
        summary="\n".join(summary),
        needs="\n".join(needs),
        answer="\n".join(answer),
        bit=BIT_DB,
    )
    (out / "README.md").write_text(page)


def _summary(title: str, name: str, scaling: Scaling, findings: Sequence[RangeFinding]) -> str:
    cells = []
    for kind in KINDS:
        group = [finding for finding in findings if finding.kind == kind]
        fitting = sum(not finding.held_to.flag.fails for finding in group)
        cells.append(f"{fitting} of {len(group)}")
    ratios = sorted(f.held_to.sqnr_db for f in findings if isfinite(f.held_to.sqnr_db))
    dbs = f"{round(ratios[0]) + 0} | {round(ratios[len(ratios) // 2]) + 0}"
    return f"| {title} | {name} | {scaling} | {' | '.join(cells)} | {dbs} |"


def _needs_scale(finding: RangeFinding) -> bool:
    return finding.held_to.flag.fails or (finding.lost_db or 0.0) > BIT_DB


def _needs(findings: Sequence[RangeFinding]) -> Iterator[str]:
    """A row for the tensors that layers have alike, with the range of what they show."""
    groups: dict[tuple[str, ...], list[RangeFinding]] = {}
    for finding in sorted(findings, key=lambda each: (KINDS.index(Kind(each.kind)), each.order)):
        fit = finding.held_to
        key = (collapse([finding.tensor])[0], finding.kind, fit.format, fit.flag.replace("_", " "))
        groups.setdefault(key, []).append(finding)
    for (name, kind, fmt, flag), group in groups.items():
        since = _span([float(finding.since or 0) for finding in group], "{:.0f}")
        zero = (
            _span([100 * finding.held_to.underflow_fraction for finding in group], "{:.0f}") + " %"
        )
        lost = _span([f.lost_db for f in group if f.lost_db is not None], "{:.0f}") + " dB"
        scales = [f.held_to.best_scale_log2 for f in group if f.held_to.best_scale_log2 is not None]
        scale = _span([float(scale) for scale in scales], "2^{:.0f}")
        count = f" ×{len(group)}" if len(group) > 1 else ""
        yield f"| {name}{count} | {kind} | {fmt} | {flag} | {since} | {zero} | {lost} | {scale} |"


def _span(values: Sequence[float], form: str) -> str:
    if not values:
        return "—"
    return " … ".join(dict.fromkeys(form.format(value) for value in (min(values), max(values))))


def _answer(
    title: str, name: str, findings: Sequence[RangeFinding], wanting: Sequence[RangeFinding]
) -> str:
    failing = sum(finding.held_to.flag.fails for finding in wanting)
    verdict = "suffices" if not wanting else "does not suffice" if failing else "costs precision"
    return (
        f"- **{title}**, plain cast of *{name}*: {verdict}. Of {len(findings)} tensors, {failing} "
        f"do not fit and {len(wanting) - failing} more lose over {BIT_DB:.0f} dB."
    )
