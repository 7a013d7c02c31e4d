"""Declared settings as options of a command line, and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from umup_diag.cli import streams
from umup_diag.errors import InputError
from umup_diag.report.untracked import ignore, untracked
from umup_diag.settings.option import REQUIRED, Setting, Settings, Where, settings_of
from umup_diag.settings.shared import RunSettings
from umup_diag.settings.values import FilePath, Flag, Number, Several, Table, Text, ValueType, Whole

S = TypeVar("S", bound=Settings)
_REST = "rest"  #: the argument that takes what follows an option with `takes_rest`


class _Converted(click.ParamType[Any]):
    """A value type that click does not know."""

    def __init__(self, kind: ValueType, name: str) -> None:
        self.kind, self.name = kind, name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse text; every failure says what would do."""
        if not isinstance(value, str):
            return value
        try:
            return self.kind.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def parameters(group: type[Settings]) -> list[click.Parameter]:
    """Options and arguments for what a command can set, those of every command last."""
    known = [each for each in settings_of(group) if each.option.where is not Where.PLAN]
    common = {each.name for each in settings_of(RunSettings)}
    known.sort(key=lambda setting: setting.name in common)
    found: list[click.Parameter] = [_parameter(setting) for setting in known]
    if any(setting.option.takes_rest for setting in known):
        found.append(click.Argument([_REST], nargs=-1, metavar=""))
    return found


def settings(group: type[S], values: Mapping[str, Any]) -> S:
    """The settings that a command line gave.

    Raises:
        InputError: for what only the whole of a value shows to be wrong.
    """
    known = {setting.name: setting for setting in settings_of(group)}
    chosen = {name: value for name, value in values.items() if name in known}
    for name, setting in known.items():
        if setting.option.takes_rest:
            given = [*chosen.pop(name), *values[_REST]]
            chosen |= {name: given} if given else {}
    return group(**chosen)


def alone(ctx: click.Context, *allowed: str) -> None:
    """Refuse options that a resumed run takes from its recording.

    Raises:
        InputError: naming the first.
    """
    given = click.core.ParameterSource.COMMANDLINE
    for param in ctx.command.params:
        name = param.name or ""
        if param.expose_value and name not in allowed and ctx.get_parameter_source(name) is given:
            raise InputError(
                f"{param.opts[0]} does not go with --resume: an unfinished run keeps its settings."
            )


def resume_option(what: str) -> click.Option:
    """``--resume DIR``."""
    return click.Option(
        ["--resume"],
        type=click.Path(path_type=Path),
        metavar="DIR",
        help=f"Go on with the unfinished {what} in DIR, with the settings it has.",
    )


def require_recording(folder: Path) -> None:
    """Refuse a folder without a recording, before torch is loaded to read it.

    Raises:
        InputError: if it has none.
    """
    path = folder / "recording.jsonl"
    try:
        path.stat()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"there is no recording {path}: {reason}.") from None


def default_out(ctx: click.Context, out: Path) -> Path:
    """The folder to write to: as given, or a default that covers nothing that git keeps.

    Raises:
        InputError: if it cannot be written.
    """
    if ctx.get_parameter_source("out") is not click.core.ParameterSource.DEFAULT:
        return out
    chosen = untracked(out)
    if chosen != out:
        streams.say(f"Writing to {chosen}: git tracks files in {out}. --out chooses.", err=True)
        try:
            ignore(chosen)
        except OSError as error:
            raise InputError(f"cannot write to --out {chosen}: {error.strerror}.") from None
    return chosen


def output_options(out: str) -> list[click.Parameter]:
    """Where results go, and what is printed of them."""
    return [
        click.Option(
            ["--out"],
            type=click.Path(path_type=Path),
            default=Path(out),
            show_default=True,
            help="Folder for what is recorded and reported; the default is under reports/untracked "
            "where git tracks it.",
        ),
        click.Option(
            ["--json", "as_json"], is_flag=True, help="Print the result as JSON and nothing else."
        ),
        click.Option(["-q", "--quiet"], is_flag=True, help="Print the verdict only."),
    ]


def _parameter(setting: Setting) -> click.Parameter:
    option, kind = setting.option, setting.type
    several = isinstance(kind, Several | Table)
    if option.is_argument:
        return click.Argument(
            [setting.name], type=_type(setting), nargs=-1 if several else 1, required=True
        )
    flag = setting.flag
    if isinstance(kind, Flag):
        spelled = f"{flag}/--no-{flag[2:]}" if option.has_negation else flag
        return click.Option(
            [spelled],
            is_flag=True,
            default=option.default,
            show_default=option.has_negation,
            help=option.help,
        )
    default = None if option.default is REQUIRED or several or option.takes_rest else option.default
    text = option.help
    if option.default_text is not None:
        text += f"  [default: {option.default_text}]"
    return click.Option(
        [flag],
        type=_type(setting),
        multiple=several or option.takes_rest,
        default=default,
        show_default=default is not None,
        metavar=option.metavar,
        help=text,
    )


def _type(setting: Setting) -> click.ParamType[Any]:
    kind = setting.type.of if isinstance(setting.type, Several) else setting.type
    match kind:
        case Whole(at_least=None, at_most=None):
            return click.INT
        case Whole():
            return click.IntRange(kind.at_least, kind.at_most)
        case Number():
            return click.FloatRange(kind.at_least, kind.at_most, min_open=kind.is_open)
        case Text():
            return click.STRING
        case FilePath():
            return click.Path(path_type=Path)
        case _:
            return _Converted(kind, getattr(kind, "name", setting.name))
