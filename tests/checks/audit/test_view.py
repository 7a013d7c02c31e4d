"""The terminal's table: alike layers on one row, powers and ratios, what is wrong below a name."""

from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.checks.audit.audited import audited
from umup_diag.checks.audit.view import answer, table


def shown(folder: Path, *, every: bool = False, **options: Any) -> str:
    model = "tests.checks.audit.planted:SUBJECTS.rate"
    result = audited(model, folder, widths=(64, 128), seeds=1, optimizer="adam", **options)
    text = StringIO()
    Console(file=text, width=100).print(table(result, every))
    assert answer(result).changes[0].action == "multiply the learning rate by width^-1"
    return text.getvalue()


def test_alike_layers_share_a_row_with_their_powers(tmp_path: Path) -> None:
    lines = shown(tmp_path).splitlines()
    at = next(n for n, line in enumerate(lines) if "layers.*.ffn.up (2)" in line)
    assert lines[at].split()[2:5] == ["hidden", "10944×4096", "0.016"]
    assert "^-0.5" in lines[at]
    assert lines[at + 1].split() == ["rate"]
    head = next(line for line in lines if line.startswith("head"))
    assert "0.031 ^-1" in head
    assert lines[-1].startswith("audit: FAIL")


def test_with_a_base_width_it_shows_ratios(tmp_path: Path) -> None:
    text = shown(tmp_path, base_width=1024)
    head = next(line for line in text.splitlines() if line.startswith("head"))
    assert "0.031 ×0.25" in head
    assert "× what it is at width 1024" in text


def test_all_lists_every_finding(tmp_path: Path) -> None:
    text = shown(tmp_path, every=True)
    assert "layers.0.ffn.up" in text
    assert "PASS: embedding held: in 1 group" in text
