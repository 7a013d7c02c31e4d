"""What a plan of each check may say: the options of its command, read off the command itself."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import click

from umup_diag.checks.run import RUNNERS
from umup_diag.checks.scale_law.ranges import Values, parse_values
from umup_diag.errors import InputError
from umup_diag.plans.plan import Key, Schema, exceptions

#: Check → the commands whose options its plan takes: fp8-range judges a run that it records first.
_COMMANDS = {"fp8-range": ("record", "fp8-range")}
#: Options that only make sense for a checkpoint, which a plan does not take.
_OF_CHECKPOINTS = {"fp8-range": frozenset({"batches"})}
#: Options of commands that are about the terminal, or about taking up what a kill left.
_NOT_IN_PLANS = frozenset({"as_json", "quiet", "resume", "out", "help", "more_over", "sources"})


@cache
def schemas() -> Mapping[str, Schema]:
    """Check → its keys, for every check that has a runner and a command."""
    from umup_diag.cli import cli

    return {
        name: _schema(name, [cli.commands[command] for command in _COMMANDS.get(name, (name,))])
        for name in RUNNERS
    }


def _schema(name: str, commands: Sequence[click.Command]) -> Schema:
    options: dict[str | None, click.Parameter] = {}
    left_out = _NOT_IN_PLANS | _OF_CHECKPOINTS.get(name, frozenset())
    for param in (param for command in commands for param in command.params):
        if param.name not in left_out and "--all" not in param.opts:
            options.setdefault(param.name, param)
    keys = [
        Key(
            name=param.name or "",
            convert=_converter(param),
            default=_default(param),
        )
        for param in options.values()
    ]
    keys.append(Key(name="out", convert=_path, default=None))
    if any(key.name == "model" for key in keys):
        keys.append(Key(name="build", convert=_table, default={}))
    if name == "unit-scale":
        keys.append(Key(name="exceptions", convert=exceptions, default=()))
    if name == "scale-law":
        keys.append(Key(name="over", convert=_over, default={}))  # in place of the option's string
    return {key.name: key for key in keys}


def _default(param: click.Parameter) -> Any:
    if getattr(param, "multiple", False):
        return ()
    value = param.to_info_dict()["default"]
    return None if value is None else param.type.convert(value, param, None)


def _converter(param: click.Parameter) -> Callable[[Any], Any]:
    def several(value: Any) -> Any:
        if not isinstance(value, list):
            raise ValueError("write a list")
        return tuple(map(convert, value))

    def convert(value: Any) -> Any:
        _same_type(param.type, value)
        if isinstance(value, list):
            value = ",".join(map(str, value))
        try:
            return param.type.convert(value, param, None)
        except click.BadParameter as error:
            raise ValueError(error.message) from None

    return several if getattr(param, "multiple", False) else convert


def _same_type(kind: click.ParamType[Any], value: Any) -> None:
    """TOML has types: 4.7 is no count, true no number, 3 no name."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(kind, click.types.IntParamType):
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("write a whole number")
    elif isinstance(kind, click.types.FloatParamType):
        if not number:
            raise ValueError("write a number")
    elif isinstance(kind, click.types.BoolParamType):
        if not isinstance(value, bool):
            raise ValueError("write true or false")
    elif isinstance(kind, click.types.StringParamType | click.Path | click.Choice):
        if not isinstance(value, str):
            raise ValueError("write a string")
    elif isinstance(value, bool | float | dict):
        raise ValueError("write it as on the command line, or as a list")


def _path(value: Any) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError("write a folder, as a string")
    return Path(value)


def _over(value: Any) -> dict[str, Values]:
    if not isinstance(value, dict):
        raise ValueError('write a table, as in over = {alpha = "1/8..8", s = [64, 128]}')
    texts = {
        name: ",".join(map(str, values)) if isinstance(values, list) else str(values)
        for name, values in value.items()
    }
    try:
        return {name: parse_values(text) for name, text in texts.items()}
    except InputError as error:
        raise ValueError(str(error)) from None


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("write a table, as in build = {depth = 8}")
    return value
