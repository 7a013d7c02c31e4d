"""What cannot be measured is said in a line, and what can is measured without it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from reference_model import mup
from tests.checks.audit import planted
from tests.checks.audit.audited import audited
from umup_diag.checks.result import NoteKind, Verdict
from umup_diag.errors import InputError

HERE = "tests.checks.audit.planted:SUBJECTS.mup"


def test_an_optimizer_that_raises_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def optimizer(model: nn.Module) -> Any:
        raise KeyError("lr")

    broken = SimpleNamespace(build=mup.build, loss=mup.loss, optimizer=optimizer)
    monkeypatch.setattr(planted.SUBJECTS, "mup", broken)
    with pytest.raises(InputError, match=r"optimizer\(model\) raised KeyError at .*\.py:\d+: 'lr'"):
        audited(HERE, tmp_path)


def test_a_model_that_needs_memory_is_extrapolated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(width: int) -> nn.Module:
        model = mup.build(width)
        model.mean = model.head.weight.mean().item()  # type: ignore[assignment]
        return model

    hungry = SimpleNamespace(
        build=build, loss=mup.loss, parameter_groups=mup.parameter_groups, target="mup"
    )
    monkeypatch.setattr(planted.SUBJECTS, "mup", hungry)
    result = audited(HERE, tmp_path, seeds=1, lr=2.0**-10, optimizer="adam")
    assert result.verdict is Verdict.PASS
    assert [note.kind for note in result.notes] == [NoteKind.CAUTION]
    assert "Width 4096 was not built" in result.notes[0].text
    rates = {row["parameter"]: row["lr"] for row in result.table}
    assert rates["layers.0.ffn.up"] == pytest.approx(2.0**-10 / 32)


def test_an_unknown_rule_of_decay_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no rule of weight decay 'steady'"):
        audited("reference_model:mup", tmp_path, decay_rule="steady")
