"""Slopes over depth, predicted and measured, of schemes under optimizers: one table."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from time import process_time

from umup_diag.checks.coordcheck.finding import SlopeFinding, first_offender
from umup_diag.checks.coordcheck.judge import judge
from umup_diag.checks.coordcheck.measure import measure, resolve
from umup_diag.checks.coordcheck.settings import CoordcheckSettings
from umup_diag.checks.result import Result
from umup_diag.measure.workplace import Workplace
from umup_diag.recording import Recording
from umup_diag.report.answer import changes
from umup_diag.report.style import signed
from umup_diag.scaling.kinds import Kind

DEPTHS, WIDTH = (2, 4, 8, 16, 32, 64), 128
SCHEMES = ("sp", "mup", "depth_mup", "completep", "umup")
RUNS = [
    *((scheme, optimizer) for scheme in SCHEMES for optimizer in ("adam", "sgd")),
    ("spectral", "muon"),
    ("spectral", "muon-kimi"),
]
TIME = "seconds.txt"  #: of CPU, beside a recording

HEAD = """# Slopes over depth: predicted and measured

`python -m reports.make depth`

Reference Llama, head size 64, width {width}, depths {depths}, {seeds} seeds (fewer at the largest),
one batch of 32 bytes of text. Slopes of log2 of the first update's loss change against log2 depth,
means over the tensors of a block at a place in the stack, and of the sum over the stack; in
parentheses what is predicted ([docs/depth.md](../../docs/depth.md)). *Branch* is the gain of the
layers that end a residual branch, up to where they join the stream. SP and µP have no rule for
depth: they are held to the rule whose learning rates are theirs, which is CompleteP's under Adam
and Depth-µP's under SGD. u-µP's gradients are of unit size and not the loss's, so that what they
foretell falls by half a power less. Muon and Muon-Kimi differ by a constant where shapes stay, so
that their slopes are the same. The smallest depth is measured, and no fit counts it. *CPU* is
on one thread of a shared machine.

| scheme | optimizer | first | middle | last | sum | branch | others | verdict | to change | CPU |
|---|---|---|---|---|---|---|---|---|---|---|
"""


def record(scratch: Path) -> None:
    """Do the runs, each in a folder of its own."""
    for scheme, optimizer in RUNS:
        settings = resolve(
            CoordcheckSettings(
                model=f"reference_model:{scheme}",
                depths=DEPTHS,
                width=WIDTH,
                optimizer=optimizer,
                device="cpu",
            )
        )
        folder = scratch / f"{scheme}-{optimizer}"
        began = process_time()
        measure(settings, Workplace(out=folder))
        (folder / TIME).write_text(f"{process_time() - began:.0f}")


def tell(scratch: Path, out: Path) -> None:
    """Write the table."""
    lines = []
    for scheme, optimizer in RUNS:
        folder = scratch / f"{scheme}-{optimizer}"
        recording = Recording.load(folder)
        settings = CoordcheckSettings.decode(recording.settings)
        result = judge(recording, settings)
        cells = [scheme, optimizer, *_cells(result), f"{(folder / TIME).read_text()} s"]
        lines.append(f"| {' | '.join(cells)} |")
    head = HEAD.format(
        width=WIDTH, depths=", ".join(map(str, DEPTHS)), seeds=CoordcheckSettings.seeds
    )
    out.mkdir(exist_ok=True)
    (out / "depth.md").write_text(head + "\n".join(lines) + "\n")
    print(f"{out / 'depth.md'}: {len(lines)} rows")


def _cells(result: Result) -> Iterator[str]:
    slopes = [each for each in result.findings if isinstance(each, SlopeFinding)]
    falls = [each for each in slopes if each.kind == Kind.LOSS_CHANGE]
    for place in ("[first]", "[middle]", "[last]", "[all]"):
        yield _mean([each for each in falls if place in each.tensor])
    yield _mean(
        [
            each
            for each in slopes
            if each.kind == Kind.GAIN and each.tensor.endswith(("].attention.out", "].ffn.down"))
        ]
    )
    yield _mean([each for each in falls if "[" not in each.tensor])
    yield str(result.verdict)
    told = changes(slopes, among={each.tensor for each in slopes}) if first_offender(slopes) else []
    yield "; ".join(f"{each.cause}: {each.action} of {', '.join(each.tensors)}" for each in told)


def _mean(findings: Sequence[SlopeFinding]) -> str:
    """Measured, and in parentheses predicted."""
    if not findings:
        return "–"
    measured = signed(mean(each.slope for each in findings))
    predicted = {round(each.expected, 2) for each in findings}
    return f"{measured} ({', '.join(map(signed, sorted(predicted)))})"
