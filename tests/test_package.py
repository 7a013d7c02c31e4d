"""What ``import umup_diag`` offers, and ``python -m umup_diag``."""

import runpy
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import umup_diag


def test_every_public_name_is_there() -> None:
    for name in umup_diag.__all__:
        assert getattr(umup_diag, name) is not None
    assert set(umup_diag.__all__) <= set(dir(umup_diag))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        umup_diag.nothing  # noqa: B018


def test_the_version_is_that_of_the_installed_package() -> None:
    assert umup_diag.__version__ == version("umup-diag")


def test_the_package_runs_as_a_module(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["umup-diag", "--version"])
    runpy.run_path(str(Path(umup_diag.__file__).with_name("__main__.py")))
    assert umup_diag.__version__ in capsys.readouterr().out
