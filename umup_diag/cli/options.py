"""Options and their types, shared by the commands."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from umup_diag.errors import InputError


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


def alone(ctx: click.Context, *allowed: str) -> None:
    """Refuse options that a resumed run takes from its recording."""
    given = click.core.ParameterSource.COMMANDLINE
    for param in ctx.command.params:
        name = param.name or ""
        if name not in allowed and ctx.get_parameter_source(name) is given:
            raise InputError(
                f"{param.opts[0]} does not go with --resume: an unfinished run keeps its settings."
            )
