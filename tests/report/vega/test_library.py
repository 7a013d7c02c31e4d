"""The library that draws, and what is kept of it."""

import os
import re
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from umup_diag.report.vega import library

PATIENCE = 60  #: seconds; a fork that hangs fails instead of stopping all tests
SPEC = {
    "$schema": library.SCHEMA,
    "data": {"values": [{"x": 1, "y": 2}, {"x": 2, "y": 1}]},
    "mark": {"type": "line", "clip": True},
    "encoding": {
        "x": {"field": "x", "type": "quantitative"},
        "y": {"field": "y", "type": "quantitative"},
    },
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, and nothing in memory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    library.script.cache_clear()
    yield tmp_path / "umup-diag"
    library.script.cache_clear()


def test_the_same_specification_gives_the_same_bytes() -> None:
    first, second = library.svg(SPEC), library.svg(SPEC)
    assert first == second
    text = first.decode()
    clips = re.findall(r'<clipPath id="([^"]+)"', text)
    assert clips == ["id0"]
    assert set(re.findall(r"url\(#([^)]+)\)", text)) == set(clips)
    assert library.png(first, scale=1).startswith(b"\x89PNG")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_draws_the_same() -> None:
    drawn = library.svg(SPEC)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            status = 0 if library.svg(SPEC) == drawn else 2
            os.write(write, b"done")
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        ended, _, _ = select.select([pipe], [], [], PATIENCE)
        if not ended:  # it waits for a thread that was not forked along
            os.kill(child, signal.SIGKILL)
        said = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert (said, status) == (b"done", 0)


def test_the_script_is_kept_and_read_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = library.script()
    assert "vegaEmbed" in made
    [kept] = cache.iterdir()
    library.script.cache_clear()
    monkeypatch.setattr(library, "_call", lambda *_, **__: pytest.fail("made again"))
    assert library.script() == made
    library.script.cache_clear()
    kept.write_bytes(kept.read_bytes()[:-9])  # cut off, or changed
    monkeypatch.setattr(library, "_call", lambda *_, **__: b"made again")
    assert library.script() == "made again"


def test_a_cache_that_cannot_be_written_is_done_without(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write_text("a file where the folder should be")
    monkeypatch.setattr(library, "_call", lambda *_, **__: b"made")
    assert library.script() == "made"
    assert cache.read_text() == "a file where the folder should be"
