"""The standard streams: which text they can hold, how wide they are, and whose stdout is."""

import codecs
import json
import os
import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from typing import TYPE_CHECKING, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 100  #: columns where there is no terminal, and COLUMNS says nothing

_TABLE = """
×=x ·=* ÷=/ ±=+- −=- –=- —=- …=... →=-> √=sqrt ∞=inf ≤=<= ≥=>= ≈=~ ∂=d •=* ⟨=< ⟩=> ⌊=floor( ⌋=) ′='
″='' ᵀ=^T ½=1/2 ¼=1/4 ¾=3/4 µ=mu μ=mu σ=sigma α=alpha β=beta ε=eps η=eta κ=kappa λ=lambda ρ=rho
τ=tau Δ=Delta Σ=Sum Π=Prod Φ=Phi ‘=' ’=' “=" ”="
"""
#: What stands for a character that a stream cannot hold.
_PLAIN: Mapping[str, str] = {pair[0]: pair[2:] for pair in _TABLE.split()}


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """Handler of codec errors: each character in plain letters."""
    assert isinstance(error, UnicodeEncodeError)
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(character: str) -> str:
    if character in _PLAIN:
        return _PLAIN[character]
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"


codecs.register_error("umup_diag.plainly", _plainly)


def prepare() -> None:
    """Let stdout and stderr take any text, whatever their encoding: ``u-muP`` where ``µ`` is none.

    Libraries write to them too, so the streams themselves are changed.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # no text file, or one that is closed
            stream.reconfigure(errors="umup_diag.plainly")  # type: ignore[union-attr]


def say(text: str, *, err: bool = False) -> None:
    """Write a line to stdout, or to stderr."""
    # Given a file, click leaves its encoding alone; by itself it writes UTF-8 to an ASCII stream.
    click.echo(text, file=sys.stderr if err else sys.stdout)


def say_json(text: str) -> None:
    """Write JSON to stdout; where that is not UTF-8, other characters than ASCII are escaped."""
    if not _is_utf8(sys.stdout):
        text = re.sub(r"[^\x00-\x7f]", lambda found: json.dumps(found.group())[1:-1], text)
    say(text)


def say_xml(text: str) -> None:
    """Write XML that declares UTF-8 to stdout; where that is not UTF-8, as references."""
    if not _is_utf8(sys.stdout):
        text = text.encode("ascii", "xmlcharrefreplace").decode()
    click.echo(text, file=sys.stdout, nl=False)


def _is_utf8(stream: TextIO) -> bool:
    # A stream without an encoding, such as io.StringIO, holds any character.
    return not stream.encoding or codecs.lookup(stream.encoding).name == "utf-8"


@contextmanager
def stdout_is_the_results() -> Iterator[None]:
    """Send to stderr what anything else writes to stdout: a user's module, a library, a child."""
    with ExitStack() as stack:
        # Tests and notebooks replace sys.stdout; only what is file 1 itself is redirected below it.
        stdout = sys.__stdout__
        if stdout and sys.stdout is stdout and _fileno(stdout) == 1 and _fileno(sys.stderr) == 2:
            kept = os.dup(1)
            stdout.flush()
            os.dup2(2, 1)
            stack.callback(_restore, kept, stdout)
        stack.enter_context(redirect_stdout(sys.stderr))
        yield


def close_stdout() -> None:
    """Give up a stdout that nobody reads, so that nothing complains of it at the exit."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _restore(kept: int, stdout: TextIO) -> None:
    stdout.flush()  # what was kept back belongs to stderr
    os.dup2(kept, 1)
    os.close(kept)


def _fileno(stream: TextIO | None) -> int | None:
    try:
        return stream.fileno() if stream else None
    except (OSError, AttributeError, ValueError):
        return None


def console(*, width: int = PIPE_WIDTH) -> "Console":
    """A console on stdout: as wide as COLUMNS says or the terminal is, else `width`."""
    from rich.console import Console

    found = Console(highlight=False)  # takes COLUMNS by itself
    said = os.environ.get("COLUMNS", "")
    if not (found.is_terminal or (said.isdigit() and int(said) > 0)):
        found = Console(highlight=False, width=width)
    found.on_broken_pipe = _broken_pipe  # type: ignore[method-assign]  # rich exits with 1, a FAIL
    return found


def _broken_pipe() -> None:
    raise BrokenPipeError
