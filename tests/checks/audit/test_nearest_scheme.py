"""Every scheme is recognised, wherever a model keeps its factors, and differences are in words."""

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

import reference_model
from tests.checks.audit import planted
from tests.checks.audit.audited import audited
from umup_diag.checks.result import Result
from umup_diag.scaling.roles import Role
from umup_diag.scaling.schemes import SCHEMES, Scheme

#: Powers of width that may be moved from the initial weights into the multiplier.
MOVES = (-1.0, -0.75, -0.5, -0.25, 0.25, 0.5, 0.75, 1.0)
#: Rows that are one in width, and in depth where a depth rule tells them apart.
SAME = {
    **{name: {"mup", "mean_field", "munit"} for name in ("mup", "mean_field", "munit")},
    **{name: {"completep", "spectral"} for name in ("completep", "spectral")},
}
#: Nothing but where factors stand tells these apart: the one with fewer moves comes first.
BY_MOVES = {"mup": "mup", "completep": "completep", "spectral": "completep"}


def moved(scheme: Scheme, seed: str) -> Scheme:
    """The same model, abc-symmetry: A ← Aθ, B ← B/θ, C ← C/θ, and C/θ² under SGD."""
    rows, draw = dict(scheme.rows), Random(seed)
    for role in (Role.HIDDEN, Role.OUTPUT):
        theta = draw.choice(MOVES)
        row = rows[role]
        twice = 2 if row.grad_weight is None else 1
        rows[role] = replace(
            row,
            init=row.init - theta,
            multiplier=row.multiplier + theta,
            adam_lr=row.adam_lr - theta,
            sgd_lr=row.sgd_lr - twice * theta,
            muon_lr=row.muon_lr - theta,
            muon_kimi_lr=row.muon_kimi_lr - theta,
        )
    return replace(scheme, rows=rows)


def alike(result: Result) -> set[str]:
    return {note.text.split(":")[0] for note in result.notes if ": the same" in note.text}


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "muon-kimi"])
@pytest.mark.parametrize("name", SCHEMES)
def test_a_scheme_is_recognised_from_moved_versions(
    name: str, optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = replace(getattr(reference_model, name), scheme=moved(SCHEMES[name], name + optimizer))
    monkeypatch.setattr(planted.SUBJECTS, "mup", subject)
    result = audited(
        "tests.checks.audit.planted:SUBJECTS.mup",
        tmp_path,
        widths=(64, 128),
        seeds=1,
        optimizer=optimizer,
        which_scheme=True,
    )
    assert alike(result) == SAME.get(name, {name})
    assert result.settings["target"] in SAME.get(name, {name})


@pytest.mark.parametrize("name", BY_MOVES)
def test_of_schemes_that_are_one_the_one_with_fewer_moves_is_named(
    name: str, tmp_path: Path
) -> None:
    result = audited(f"reference_model:{name}", tmp_path, seeds=1, which_scheme=True)
    assert result.settings["target"] == BY_MOVES[name]


def test_a_difference_is_told_in_words(tmp_path: Path) -> None:
    result = audited(
        "tests.checks.audit.planted:SUBJECTS.rate", tmp_path, seeds=1, which_scheme=True
    )
    said = {note.text.split(":")[0]: note.text for note in result.notes}
    assert said["mup"] == (
        "mup: hidden: your learning rate is constant in width, theirs falls as width^-1"
    )


def test_a_model_without_depth_is_compared_in_width_alone(tmp_path: Path) -> None:
    result = audited("tests.checks.audit.planted:no_depth", tmp_path, seeds=1, which_scheme=True)
    assert "in width alone" in result.notes[0].text
    assert "completep" in alike(result)
