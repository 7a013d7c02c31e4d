"""How results of a transfer check are shown."""

from dataclasses import replace

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from umup_diag.checks.result import Result
from umup_diag.checks.transfer.chart import charts
from umup_diag.checks.transfer.drift import Interval
from umup_diag.checks.transfer.finding import SizeOptimum, TransferFinding, transfer_findings
from umup_diag.report import cells
from umup_diag.report.answer import Answer, plain
from umup_diag.report.style import number, signed, verdict_line
from umup_diag.report.view import View


def view() -> View:
    """How the results of this check are shown."""
    return View(
        table=table,
        answer=answer,
        columns={
            "hyperparameter": lambda finding: finding.tensor,
            "verdict": lambda finding: finding.verdict,
            "over": lambda finding: finding.axis,
            "drift, octaves a doubling": lambda finding: _number(finding.drift),
            "95 % interval": lambda finding: _span(finding.interval),
            "passing": lambda finding: _span(finding.band),
            "given up, nats": lambda finding: _number(finding.cost_nats),
            "cause": cells.cause,
            "fix": cells.fix,
        },
        charts=charts,
        stems=("transfer",),
    )


def answer(result: Result) -> Answer:
    """How far the optimum drifts, and the power to scale by."""
    settings, said = result.settings, plain(result)
    sizes = ", ".join(f"{size:g}" for found in transfer_findings(result) for size in _sizes(found))
    about = (
        f"{settings['model']}: the best {settings['hp']} at {_axis(result)} {sizes}, "
        f"{settings['seeds']} seeds each."
    )
    return replace(said, about=about, lead="Drift", first=next(iter(result.findings), None))


def table(result: Result, every: bool = False) -> RenderableType:  # noqa: ARG001
    """The optimum of every size, the drift, what it costs, what to change, the verdict."""
    parts: list[RenderableType] = []
    for finding in transfer_findings(result):
        parts += [_optima(finding), Text(), *_sentences(finding)]
    parts += [Text(note.text) for note in result.notes]
    return Group(*parts, verdict_line(result))


def _optima(finding: TransferFinding) -> Table:
    rows = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in (finding.axis, f"best {finding.tensor}", "95 % interval", "log2", "loss there"):
        rows.add_column(heading, justify="right", no_wrap=True)
    rows.add_column("curvature, nats/octave²", justify="right")
    for each in finding.sizes:
        rows.add_row(f"{each.size:g}", *_cells(each))
    return rows


def _cells(each: SizeOptimum) -> tuple[str, ...]:
    if each.log2 is None or each.interval is None or each.loss is None or each.curvature is None:
        return ("none", each.reason or "", "", "", "")
    half = each.interval[1] - each.log2
    return (
        number(2.0**each.log2),
        f"×/÷ {2.0 ** min(half, 99):.2f}",
        signed(each.log2),
        f"{each.loss:.3f}",
        f"{each.curvature:.3f}",
    )


def _sentences(finding: TransferFinding) -> list[Text]:
    if finding.drift is None or finding.interval is None or finding.band is None:
        return [Text(finding.cause or "")]
    smallest, largest = finding.sizes[0].size, finding.sizes[-1].size
    lines = [
        Text(f"drift: {finding.measured}"),
        Text(
            f"given up at {finding.axis} {largest:g} by the best {finding.tensor} of "
            f"{smallest:g}: {finding.cost_nats:.3f} nats, {finding.cost_fraction:.1%} of the loss"
        ),
        Text(
            f"at {finding.axis} {finding.target:g}, if it goes on like this: {finding.tensor} "
            f"{number(finding.extrapolated or 0)} ({_values(finding.extrapolated_interval)})"
        ),
    ]
    if finding.cause:
        lines.append(Text(finding.cause))
    if finding.fix:
        lines.append(Text(f"to do: {finding.fix}", "bold"))
    return lines


def _sizes(finding: TransferFinding) -> list[float]:
    return [each.size for each in finding.sizes]


def _axis(result: Result) -> str:
    return " and ".join(finding.axis for finding in transfer_findings(result))


def _number(value: float | None) -> str:
    return "" if value is None else signed(value)


def _span(ends: Interval | None) -> str:
    return "" if ends is None else cells.span(ends, signed)


def _values(ends: Interval | None) -> str:
    return "" if ends is None else " … ".join(map(number, ends))
