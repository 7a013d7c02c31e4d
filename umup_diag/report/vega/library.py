"""The library that draws: vl-convert, which carries Vega-Lite and a JavaScript engine.

It makes PNG and SVG without a browser or a network, and gives the code that it draws with as one
script for the page. It is imported when the first picture is drawn. Putting that script together
takes longer than all the pictures of a report, so it is kept in the user's cache.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from base64 import b64decode
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

VERSION = "6.4"  #: of Vega-Lite, of those that vl-convert carries
SCHEMA = f"https://vega.github.io/schema/vega-lite/v{VERSION.partition('.')[0]}.json"

#: What a new interpreter runs for a forked process.
_ELSEWHERE = """
import base64, json, sys, vl_convert
function, arguments = json.load(sys.stdin)
made = getattr(vl_convert, function)(**arguments)
made = made.encode() if isinstance(made, str) else made
sys.stdout.write(base64.b64encode(made).decode())
"""
_started_in: list[int] = []  # the process that the engine's thread lives in


_ID = re.compile(r'(id="|url\(#)((?:clip|gradient_)\d+)(?=["\)])')


def svg(spec: dict[str, Any]) -> bytes:
    """A picture of lines and letters; the same specification gives the same bytes."""
    drawn = _call("vegalite_to_svg", vl_spec=spec, vl_version=VERSION).decode()
    names: dict[str, str] = {}  # the library numbers on through a process; here a picture from 0

    def renamed(found: re.Match[str]) -> str:
        return found[1] + names.setdefault(found[2], f"id{len(names)}")

    return _ID.sub(renamed, drawn).encode()


def png(drawn: bytes, *, scale: float) -> bytes:
    """An SVG picture as pixels, `scale` of them for each unit."""
    return _call("svg_to_png", svg=drawn.decode(), scale=scale)


@cache
def script() -> str:
    """Vega, Vega-Lite and what puts them into a page, as one script; it asks for no network."""
    kept = _cache() / f"vega-{VERSION}-vl-convert-{version('vl-convert-python')}.js"
    with suppress(OSError):  # there is none yet
        digest, _, made = kept.read_bytes().partition(b"\n")
        if digest == _digest(made):
            return made.decode()
    made = _call("javascript_bundle", vl_version=VERSION)
    with suppress(OSError):  # a cache that cannot be written costs time alone
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_name(f"{kept.name}.{os.getpid()}")
        partial.write_bytes(b"\n".join([_digest(made), made]))
        partial.replace(kept)
    return made.decode()


def _cache() -> Path:
    """Where the XDG base directory specification has a user's caches."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "umup-diag"


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _call(function: str, **arguments: Any) -> bytes:
    """Call vl-convert; after a fork in another interpreter, for its thread does not fork along."""
    if _started_in and _started_in[0] != os.getpid():
        done = subprocess.run(
            [sys.executable, "-c", _ELSEWHERE],
            input=json.dumps([function, arguments]),
            capture_output=True,
            text=True,
            check=True,
        )
        return b64decode(done.stdout)
    import vl_convert

    _started_in[:] = [os.getpid()]
    made: str | bytes = getattr(vl_convert, function)(**arguments)
    return made.encode() if isinstance(made, str) else made
