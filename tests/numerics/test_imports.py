"""The formats and the reference load neither torch nor numba: `--help` stays quick."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("modules", "never"),
    [
        ("umup_diag.numerics.formats, umup_diag.numerics.rounding", {"torch", "numpy", "numba"}),
        ("umup_diag.report.formats_table", {"torch", "numba"}),
        ("umup_diag.numerics.histogram, umup_diag.numerics.simulate", {"numba"}),
    ],
)
def test_what_is_not_loaded(modules: str, never: set[str]) -> None:
    code = f"import sys, {modules}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not never & set(done.stdout.split())
