"""A fix that is applied from outside and judged again."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.checks.coordcheck.test_any_model import Tied, adam
from umup_diag.checks.coordcheck import COORDCHECK
from umup_diag.checks.coordcheck.judge import judge
from umup_diag.checks.coordcheck.measure import complete, sweep
from umup_diag.checks.coordcheck.settings import CoordcheckSettings
from umup_diag.checks.coordcheck.verification import split
from umup_diag.checks.result import NoteKind, Result
from umup_diag.checks.verdict import Verdict
from umup_diag.measure.data.corpus import Corpus
from umup_diag.measure.subject import Subject
from umup_diag.recording import Recording

SETTINGS = CoordcheckSettings(
    model="tied", widths=(64, 128, 256), seeds=3, steps=1, verify_fix=True, device="cpu"
)


def verified(
    build: Callable[[int], nn.Module] = Tied, optimizer: Any = None
) -> tuple[Result, Recording]:
    subject = Subject(name="tied", build=build, optimizer=optimizer or adam())
    settings = complete(SETTINGS, subject)
    recording = Recording(command=COORDCHECK.name, settings={}, environment={})
    sweep(subject, Corpus.load(), settings, recording, device=torch.device("cpu"))
    return judge(recording, settings), recording


def said(result: Result) -> list[str]:
    return [note.text for note in result.notes if note.kind is NoteKind.VERIFIED]


def test_a_fix_that_helps_is_said_to() -> None:
    result, recording = verified(optimizer=adam(power=0.0))
    assert result.verdict is Verdict.FAIL, "the model as it is"
    (text,) = said(result)
    assert text.startswith("With the fix applied to up, down: PASS (")
    plain, fixed = split(recording)
    assert len(plain.runs()) == len(fixed.runs()) == 9
    settings = replace(complete(SETTINGS, Subject(name="tied", build=Tied, optimizer=adam())))
    alone = judge(plain, replace(settings, verify_fix=False))
    assert alone.findings == result.findings, "the fixed runs change nothing of the findings"


def test_a_healthy_model_needs_none() -> None:
    result, recording = verified()
    assert said(result) == ["Nothing to verify: no fix is named."]
    assert not split(recording)[1].frames


def test_what_cannot_be_applied_from_outside_is_said() -> None:
    """One weight serves both layers, so the readout's multiplier is not its start and rate."""
    result, recording = verified(lambda width: Tied(width, power=-0.5))
    assert said(result) == ["Not verified, for it cannot be applied from outside: head."]
    assert not split(recording)[1].frames


def test_a_fix_that_does_not_help_is_said_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the change has no effect."""
    monkeypatch.setattr(
        "umup_diag.checks.coordcheck.measure.rescaled", lambda subject, _, base_width: subject
    )
    (text,) = said(verified(optimizer=adam(power=0.0))[0])
    assert "still FAIL" in text
    assert "first offender up" in text


class Twins(nn.Module):
    """Two layers that are built by one line, of which one may have another rate."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(256, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.head = nn.Linear(width, 256, bias=False)
        for each in (*self.layers, self.head):
            nn.init.normal_(each.weight, std=width**-0.5)
        self.multiplier = (width / 64) ** -0.5

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        for layer in self.layers:
            x = x + layer(x)
        out: Tensor = self.head(x) * self.multiplier
        return out


def one_rate_unscaled(model: Twins) -> torch.optim.Optimizer:
    ratio = model.head.in_features / 64
    rates = {model.layers[1].weight: 1.0, model.layers[0].weight: 1 / ratio}
    rates[model.head.weight] = ratio**-0.5
    groups = [{"params": [p], "lr": 2.0**-11 * rates.get(p, 1.0)} for p in model.parameters()]
    return torch.optim.Adam(groups)


def test_a_name_is_starred_only_if_all_its_siblings_were_mended() -> None:
    (text,) = said(verified(Twins, one_rate_unscaled)[0])
    assert text.startswith("With the fix applied to layers.1: PASS")
