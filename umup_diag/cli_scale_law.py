"""The command ``umup-diag scale-law``: parse, call, render, exit."""

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from itertools import product
from math import isclose, log2, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from umup_diag.errors import InputError

if TYPE_CHECKING:
    import torch

    from umup_diag.judge.result import Result
    from umup_diag.measure.monte_carlo import Estimate, Progress

Values = tuple[float, ...]

# The paper's symbols for what a keyword argument must spell out.
ALIASES = {"s": "seq_len", "d_head": "head_dim"}
USER_RELATIVE_ERROR = 0.002
MAX_POINTS = 10_000
REPORT_COLUMNS = 110


def parse_number(text: str) -> Fraction:
    """A positive number: ``64``, ``0.5`` or ``1/8``.

    Raises:
        InputError: if it is not one.
    """
    try:
        number = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(f"--over: {text!r} is not a number (64, 0.5 and 1/8 are).") from error
    if number <= 0:
        raise InputError(f"--over: {text!r} must be positive: laws are fitted on log scales.")
    return number


def parse_values(text: str) -> Values:
    """One parameter's values: ``A..B`` doubles, ``A..B:N`` has N geometric points, ``A,B,C`` lists.

    Whole numbers stay ``int`` when all of them are, so that an op can use them as sizes.

    Raises:
        InputError: if it is none of these.
    """
    first, dots, rest = text.partition("..")
    if not dots:
        numbers = [parse_number(part) for part in text.split(",")]
    else:
        last, colon, count_text = rest.partition(":")
        low, high = parse_number(first), parse_number(last)
        if high <= low:
            raise InputError(f"--over: {text!r} must rise; write the smaller end first.")
        if colon:
            return _geometric(float(low), float(high), count_text)
        steps = log2(high / low)
        if not isclose(steps, round(steps), abs_tol=1e-9):
            raise InputError(
                f"--over: doubling from {first} does not meet {last}; write {text}:N for N points."
            )
        numbers = [low * 2**i for i in range(round(steps) + 1)]
    if len(set(numbers)) < len(numbers):
        raise InputError(f"--over: {text!r} repeats a value.")
    if all(number.denominator == 1 for number in numbers):
        return tuple(int(number) for number in numbers)
    return tuple(float(number) for number in numbers)


def _geometric(low: float, high: float, count_text: str) -> Values:
    if not count_text.isdigit() or int(count_text) < 2:
        raise InputError(f"--over: {count_text!r} is not a number of points (2 or more).")
    steps = int(count_text) - 1
    return tuple(low * (high / low) ** (i / steps) for i in range(steps + 1))


def parse_over(tokens: Sequence[str]) -> dict[str, Values]:
    """``NAME=VALUES`` tokens as a mapping, in order.

    Raises:
        InputError: if one is not of that form, or a name comes twice.
    """
    over: dict[str, Values] = {}
    for token in tokens:
        name, equals, values = token.partition("=")
        if not equals or not name.isidentifier() or not values:
            raise InputError(f"{token!r} is not NAME=A..B, NAME=A,B,C or NAME=VALUE.")
        if name in over:
            raise InputError(f"--over names {name!r} twice.")
        over[name] = parse_values(values)
    return over


def run_scale_law(
    op: str,
    *,
    over: Mapping[str, Values] | None = None,
    inputs: int = 1,
    causal: bool = True,
    relative_error: float | None = None,
    tolerance: float | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: "Progress | None" = None,
) -> "tuple[Result, list[Estimate]]":
    """Measure an op, fit its scale and judge the law; what the command does, without the printing.

    Args:
        op: ``attention``, another built-in, or ``pkg.mod:function``.
        over: values of each parameter; a built-in op has defaults for those left out.
        inputs: how many tensors a user's op takes.
        causal: for ``attention``.
        relative_error: wanted standard error of each RMS; None for the op's default.
        tolerance: the relative error that a law may have anywhere; None for the default.
        seed: the run's seed.
        device: where the draws are worked on.
        progress: called with (points done, points in all).

    Raises:
        InputError: if the op cannot be loaded, called or measured.
    """
    from umup_diag.judge.law_fit import by_quantity
    from umup_diag.judge.scale_law import TOLERANCE, judge_scale_law
    from umup_diag.measure.builtin_ops import BUILTIN_OPS
    from umup_diag.measure.monte_carlo import Sampler, measure
    from umup_diag.measure.ops import user_sampler

    over = dict(over or {})
    notes: list[str] = []
    sampler: Sampler
    name = "full-attention" if op == "attention" and not causal else op
    if name in BUILTIN_OPS:
        builtin = BUILTIN_OPS[name]
        values = {ALIASES.get(key, key): value for key, value in over.items()}
        unknown = set(values) - set(builtin.grid)
        if unknown:
            known = ", ".join(builtin.grid) or "none"
            raise InputError(f"{op} has no parameter {sorted(unknown)[0]!r}; it has: {known}.")
        grid = _grid({**builtin.grid, **values})
        sampler, error = builtin.sampler, relative_error or builtin.relative_error
    elif ":" in op:
        grid = _grid(over)
        sampler, seen = user_sampler(op, inputs=inputs, grid=grid, seed=seed)
        error = relative_error or USER_RELATIVE_ERROR
        notes += [f"The op ignores {n}: its output does not change with it." for n in seen.ignored]
        notes += [
            f"No gradient reaches {n}: measured forward only."
            for n in sampler.inputs
            if n not in sampler.gradients
        ]
    else:
        raise InputError(
            f"no op {op!r}: give pkg.mod:function, or one of {', '.join(sorted(BUILTIN_OPS))}."
        )
    estimates = measure(
        sampler, grid, relative_error=error, seed=seed, device=_device(device), progress=progress
    )
    limit = TOLERANCE if tolerance is None else tolerance
    result = judge_scale_law(
        op=name,
        measured=by_quantity(estimates),
        parameters=list(grid[0]),
        settings={
            "op": name,
            "over": {key: sorted({point[key] for point in grid}) for key in grid[0]},
            "relative_error": error,
            "tolerance": limit,
            "seed": seed,
            "device": device,
        },
        environment=_environment(seed),
        tolerance=limit,
        notes=notes,
    )
    return result, estimates


def _grid(over: Mapping[str, Values]) -> list[dict[str, float]]:
    size = prod(len(values) for values in over.values())
    if size > MAX_POINTS:
        raise InputError(f"--over makes {size} grid points; {MAX_POINTS} are allowed.")
    return [dict(zip(over, values, strict=True)) for values in product(*over.values())]


def _device(name: str) -> "torch.device":
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"--device {name!r} cannot be used here: {error}".splitlines()[0]
        ) from error
    return device


def _environment(seed: int) -> dict[str, Any]:
    import torch

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "seed": seed,
    }


def _run_and_tell(
    op: str,
    *,
    over: Mapping[str, Values],
    out: Path,
    as_json: bool,
    quiet: bool,
    **settings: Any,
) -> int:
    from rich.console import Console

    from umup_diag.render.scale_law import document, terminal

    result, estimates = _with_progress(op, over=over, quiet=quiet or as_json, **settings)
    text = json.dumps(document(result), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    _write(out, result, estimates, text)
    if as_json:
        click.echo(text, nl=False)
    elif quiet:
        click.echo(result.verdict.value)
    else:
        console = Console()
        console.print(terminal(result), crop=False)  # The lines to paste stay whole.
        console.print(f"\nWritten to {out}", highlight=False)
    return result.verdict.exit_code


def _with_progress(op: str, *, quiet: bool, **settings: Any) -> "tuple[Result, list[Estimate]]":
    """Run with a progress bar on stderr, on a terminal only."""
    if quiet or not sys.stderr.isatty():
        return run_scale_law(op, **settings)
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"measuring {op}", total=None)
        return run_scale_law(
            op,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            **settings,
        )


def _write(out: Path, result: "Result", estimates: "list[Estimate]", text: str) -> None:
    from rich.console import Console

    from umup_diag.render.scale_law import terminal
    from umup_diag.render.scale_law_figure import figures

    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "result.json").write_text(text, encoding="utf-8")
        with (out / "recording.jsonl").open("w", encoding="utf-8") as rows:
            rows.writelines(json.dumps(asdict(estimate)) + "\n" for estimate in estimates)
        with (out / "report.txt").open("w", encoding="utf-8") as report:
            Console(file=report, width=REPORT_COLUMNS).print(terminal(result), crop=False)
        for stem, figure in figures(result, tolerance=result.settings["tolerance"]).items():
            figure.savefig(out / f"{stem}.png", dpi=110)
    except OSError as error:
        raise InputError(f"cannot write to --out {str(out)!r}: {error.strerror}.") from error


@click.command("scale-law", short_help="Fit an op's scale by Monte-Carlo.")
@click.argument("op")
@click.argument("more_over", metavar="", nargs=-1)
@click.option(
    "--over",
    multiple=True,
    metavar="NAME=A..B …",
    help="Parameter values: A..B doubles, A..B:N has N points, or A,B,C. Several may follow.",
)
@click.option(
    "--inputs",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="How many tensors your op takes.",
)
@click.option("--causal/--no-causal", default=True, show_default=True, help="For attention.")
@click.option(
    "--relative-error",
    type=click.FloatRange(0, 0.5, min_open=True),
    help="Wanted standard error of each scale; default set by the op.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, min_open=True),
    help="Relative error that a law may have anywhere.  [default: 0.125]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, or auto.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("reports/scale-law"),
    show_default=True,
)
@click.option("--json", "as_json", is_flag=True, help="The result on stdout and nothing else.")
@click.option("-q", "--quiet", is_flag=True, help="Only the verdict.")
def scale_law(
    op: str,
    more_over: tuple[str, ...],
    over: tuple[str, ...],
    inputs: int,
    causal: bool,
    relative_error: float | None,
    tolerance: float | None,
    seed: int,
    device: str,
    out: Path,
    as_json: bool,
    quiet: bool,
) -> None:
    r"""Fit an op's scale by Monte-Carlo, and compare it with the published law.

    OP is attention, full-attention, gated-silu, silu, gelu, relu, softmax, cross-entropy, or your
    own as pkg.mod:function. It is called with --inputs unit-normal tensors, and with the --over
    parameters by keyword.

    \b
    umup-diag scale-law attention
    umup-diag scale-law mypkg.ops:relu2_glu --inputs 2 --over alpha=1/8..8
    umup-diag scale-law attention --no-causal --over s=64..4096 d_head=16..128 alpha=1/4..4
    """
    try:
        verdict_code = _run_and_tell(
            op,
            over=parse_over([*over, *more_over]),
            inputs=inputs,
            causal=causal,
            relative_error=relative_error,
            tolerance=tolerance,
            seed=seed,
            device=device,
            out=out,
            as_json=as_json,
            quiet=quiet,
        )
    except InputError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    sys.exit(verdict_code)


if __name__ == "__main__":
    scale_law()
