"""What every command of umup-diag has in common: help in plain letters, and ``--debug``."""

import sys
from dataclasses import dataclass
from typing import Any

import click


@dataclass(slots=True)
class Debugging:
    """Whether the traceback of an error is shown; the object of every click context."""

    is_on: bool = False


def _switch_on(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001
    if value:
        ctx.ensure_object(Debugging).is_on = True


def _owners(ctx: click.Context, option: str) -> list[str]:
    """The commands beside this one that have an option."""
    group = ctx.parent.command if ctx.parent else None
    beside = group.commands.values() if isinstance(group, click.Group) else ()
    return [str(each.name) for each in beside if any(option in param.opts for param in each.params)]


class _Common(click.Command):
    """A command with such help and that option."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                ["--debug"],
                is_flag=True,
                expose_value=False,
                callback=_switch_on,
                help="Show the traceback of an error.",
            )
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; an option of another command is said to be one."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            owners = _owners(ctx, error.option_name)
            if not owners:
                raise
            raise click.UsageError(
                f"{ctx.info_name} has no {error.option_name}: it is an option of "
                f"{' and '.join(owners)}.",
                ctx,
            ) from None

    def get_help(self, ctx: click.Context) -> str:
        """The help; click alone would write UTF-8 even to a stream that is ASCII."""
        encoding = sys.stdout.encoding or "utf-8"
        text = super().get_help(ctx)
        return text.encode(encoding, "umup_diag.plainly").decode(encoding)


class Command(_Common):
    """One of the commands."""


class Group(_Common, click.Group):
    """All of them."""
