"""The command line: parse, call, render, exit. Heavy imports wait until a command runs."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from umup_diag.errors import InputError

if TYPE_CHECKING:
    from umup_diag.judge.result import Result
    from umup_diag.measure.recording import Recording
    from umup_diag.measure.sweep import SweepSettings

INTERRUPTED = 130  # as a shell reports a process that Ctrl-C ended


class Widths(click.ParamType[tuple[int, ...]]):
    """``128..4096`` doubles from one to the other; ``128,192,256`` is the list."""

    name = "widths"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Parse; every failure says what would do."""
        if isinstance(value, tuple):
            return value
        try:
            first, dots, last = value.partition("..")
            widths = (
                self._doubling(int(first), int(last))
                if dots
                else [int(width) for width in value.split(",")]
            )
        except ValueError:
            self.fail(f"{value!r} is neither like 128..4096 nor like 128,256,512.", param, ctx)
        if not widths:
            self.fail(
                f"{value!r} has no widths: write the smaller first, and the larger as that times a "
                "power of two.",
                param,
                ctx,
            )
        if min(widths) < 1:
            self.fail(f"{value!r}: a width is at least 1.", param, ctx)
        if len(set(widths)) < 2:
            self.fail(f"{value!r} is one width; a slope takes two or more.", param, ctx)
        return tuple(sorted(set(widths)))

    @staticmethod
    def _doubling(first: int, last: int) -> list[int]:
        if first < 1:
            return [first]
        widths = [first]
        while widths[-1] < last:
            widths.append(2 * widths[-1])
        return widths if widths[-1] == last else []


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="umup-diag")
def cli() -> None:
    """Is your model scaled right, which tensor is wrong, and will it fit in FP8?

    Exit codes: 0 every check passes, 1 one fails, 2 could not run, 3 inconclusive.
    """


def common(out: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options that every command has."""
    options = [
        click.option(
            "--seed",
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            help="What the random numbers start from.",
        ),
        click.option(
            "--device",
            default="auto",
            show_default=True,
            help="cpu, cuda, cuda:1; auto takes CUDA where there is one.",
        ),
        click.option(
            "--out",
            type=click.Path(path_type=Path),
            default=Path(out),
            show_default=True,
            help="Folder for what is recorded and reported.",
        ),
        click.option(
            "--json", "as_json", is_flag=True, help="Print the result as JSON and nothing else."
        ),
        click.option("-q", "--quiet", is_flag=True, help="Print the verdict only."),
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@cli.command()
@click.option(
    "--model",
    default="reference_model:umup",
    show_default=True,
    metavar="PKG.MOD[:ATTR]",
    help="What offers build(width) -> nn.Module.",
)
@click.option(
    "--widths",
    type=Widths(),
    default="128..1024",
    show_default=True,
    help="128..4096 doubles; 128,192,256 is the list.",
)
@click.option(
    "--target",
    metavar="SCHEME",
    help="Hold the model to the slopes of sp, ntk, mup, depth_mup or umup.  "
    "[default: the model's own target, else mup]",
)
@click.option(
    "--optimizer", metavar="NAME", help="adam, adamw or sgd.  [default: the model's own, else adam]"
)
@click.option(
    "--lr",
    type=click.FloatRange(min=0, min_open=True),
    help="Learning rate of a named optimizer.  [default: the model's, small]",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Updates before changes are measured.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Runs at each width; the intervals come from them.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Sequences in the batch; its tokens must stay well below the smallest width.",
)
@click.option(
    "--seq-len",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Tokens in a sequence.",
)
@click.option(
    "--text",
    type=click.Path(path_type=Path),
    help="A file to read as bytes.  [default: Python's manual]",
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Go on with the unfinished recording in DIR, with the settings it has.",
)
@click.option("--all", "every", is_flag=True, help="List every finding by itself.")
@common(out="reports/coordcheck")
@click.pass_context
def coordcheck(
    ctx: click.Context,
    /,
    *,
    out: Path,
    resume: Path | None,
    device: str,
    every: bool,
    as_json: bool,
    quiet: bool,
    model: str,
    text: Path | None,
    **options: Any,
) -> None:
    """Train a few steps at several widths, and hold each tensor's growth to µP's."""
    from umup_diag.judge import coordcheck as check
    from umup_diag.measure import environment, sweep
    from umup_diag.measure.corpus import Corpus
    from umup_diag.measure.subject import Subject
    from umup_diag.render import report
    from umup_diag.render import text as telling

    where = environment.device(device)
    if resume is None:
        subject, corpus = Subject.load(model), Corpus.load(text)
        settings = sweep.plan(subject, corpus, **options)
        recording = sweep.begin(settings, out, where)
    else:
        _alone(ctx, "resume", "device", "every", "as_json", "quiet")
        out = resume
        settings, recording = sweep.resume(out)
        subject = Subject.load(settings.model)
        corpus = sweep.same_text(settings)
    report.clear(out, "coordcheck")
    with (
        _progress(settings, as_json or quiet) as step,
        _resumable(settings, recording, out),
    ):
        sweep.sweep(subject, corpus, settings, recording, device=where, progress=step)
    result = check.judge(recording)
    page = report.write(result, out)
    _tell(
        result,
        page,
        lambda: telling.coordcheck(result, every=every),
        as_json=as_json,
        quiet=quiet,
    )
    sys.exit(result.verdict.exit_code)


def _alone(ctx: click.Context, *allowed: str) -> None:
    """Refuse options that a resumed run takes from its recording."""
    given = click.core.ParameterSource.COMMANDLINE
    for param in ctx.command.params:
        name = param.name or ""
        if name not in allowed and ctx.get_parameter_source(name) is given:
            raise InputError(
                f"{param.opts[0]} does not go with --resume: an unfinished run keeps its settings."
            )


@contextmanager
def _progress(settings: "SweepSettings", silent: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar per width on a terminal; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    bars = Progress(
        TextColumn("width {task.description:>5}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=silent or not console.is_terminal,
    )
    with bars:
        tasks = {
            width: bars.add_task(str(width), total=settings.seeds, start=False)
            for width in settings.widths
        }

        def step(width: int, seed: int) -> None:
            bars.start_task(tasks[width])
            bars.update(tasks[width], completed=seed + 1)

        yield step


@contextmanager
def _resumable(settings: "SweepSettings", recording: "Recording", out: Path) -> Iterator[None]:
    """On Ctrl-C, say what is kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(
            f"\nInterrupted: {len(recording.runs)} of {len(settings.keys)} runs are recorded.\n"
            f"Go on with: umup-diag coordcheck --resume {out}",
            err=True,
        )
        sys.exit(INTERRUPTED)


def _tell(
    result: "Result", page: Path, table: Callable[[], Any], *, as_json: bool, quiet: bool
) -> None:
    from rich.console import Console

    from umup_diag.render import json
    from umup_diag.render import text as telling

    if as_json:
        click.echo(json.dumps(result))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=100)
    console.print(telling.verdict(result) if quiet else table())
    if not quiet:
        console.print(f"report: {page}", soft_wrap=True)


def main() -> None:
    """Entry point: bad input is one clear message on stderr and exit code 2."""
    try:
        cli.main(standalone_mode=False)
    except InputError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nInterrupted.", err=True)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
