"""The whole check with a trainer whose losses are known: coupled or not, searched, resumed."""

from collections.abc import Callable
from dataclasses import replace
from math import inf, log2
from pathlib import Path

import numpy as np
import pytest

from umup_diag.checks.check import run
from umup_diag.checks.coupling import COUPLING
from umup_diag.checks.coupling.chart import charts
from umup_diag.checks.coupling.finding import pair_findings, search_findings
from umup_diag.checks.coupling.settings import CouplingSettings
from umup_diag.checks.result import Result, Verdict
from umup_diag.errors import InputError
from umup_diag.measure import sweep
from umup_diag.measure.data.run_seed import run_seed
from umup_diag.measure.loss_curve import CurveTask
from umup_diag.measure.workplace import Workplace
from umup_diag.recording import Recording
from umup_diag.report.chart import HeatMap

Train = Callable[[CurveTask], tuple[float, ...]]
SETTINGS = CouplingSettings(
    hp={"lr": (0.25, 0.5, 1.0, 2.0, 4.0), "alpha_attn_softmax": (0.25, 0.5, 1.0, 2.0, 4.0)},
    steps=16,
    seeds=3,
    device="cpu",
    jobs=1,
)


def trainer(coupling: float, *, ignores: str = "") -> Train:
    """Stands for training: a bowl in log2 of both, tilted by the coupling."""

    def train(task: CurveTask) -> tuple[float, ...]:
        settings = task.settings
        assert settings.lr is not None
        lr, alpha = log2(settings.lr), log2(settings.build["alpha_attn_softmax"])
        lr, alpha = 0.0 if ignores == "lr" else lr, 0.0 if ignores == "alpha" else alpha
        draw = np.random.default_rng([settings.seed, int(1e6 * (9 + lr)), int(1e6 * (9 + alpha))])
        noise = 0.0 if ignores else 0.002 * float(draw.normal())
        lr += 0.3 * log2(settings.build.get("sigma_init", 1.0))
        last = 2.0 + 0.1 * (lr - coupling * alpha) ** 2 + 0.05 * (alpha - 1) ** 2 + noise
        return (5.5, *[last] * (settings.steps - 1))

    return train


def checked(folder: Path, settings: CouplingSettings = SETTINGS) -> Result:
    return run(COUPLING, settings, Workplace(out=folder))


def test_what_is_coupled_fails_and_what_is_not_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "loss_curve", trainer(coupling=1.0))
    result = checked(tmp_path)
    assert result.verdict is Verdict.FAIL
    by_tuned = {finding.tensor: finding for finding in pair_findings(result)}
    tuned = by_tuned["lr"]  # the best lr is alpha's; taken over to alpha = 2 from ¼, ½, 1 and 4
    assert tuned.error == pytest.approx(0.1 * (9 + 4 + 1 + 1) / 4, abs=0.01)
    assert str(tuned.fix) == "tune lr and alpha_attn_softmax together"
    assert {path.name for path in tmp_path.iterdir()} == {
        "recording.jsonl",
        "result.json",
        "report.html",
        "pairs.png",
        "pairs.svg",
    }
    (chart,) = charts(result)
    (panel,) = chart.panels  # once for both ways
    assert isinstance(panel, HeatMap)
    assert panel.rows[0].finding is pair_findings(result)[0]
    marks = [mark for row in panel.rows for mark in row.marks.values()]
    assert marks.count("+") + marks.count("–") == marks.count("+") + marks.count("|") == 5
    monkeypatch.setattr(sweep, "loss_curve", trainer(coupling=0.0))
    assert checked(tmp_path).verdict is Verdict.PASS


@pytest.mark.parametrize(("coupling", "verdict"), [(0.0, Verdict.PASS), (-1.5, Verdict.FAIL)])
def test_one_by_one_does_as_well_as_at_random_unless_they_are_coupled(
    coupling: float, verdict: Verdict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "loss_curve", trainer(coupling))
    hp = {**SETTINGS.hp, "alpha_attn_softmax": (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)}
    result = checked(tmp_path, replace(SETTINGS, search=True, hp=hp))
    found = {finding.kind: finding for finding in search_findings(result)}
    search = found["search"]
    assert len(search.independent) == len(search.random) == 5 + 6 + 1
    assert list(search.independent) == sorted(search.independent, reverse=True)
    assert (tmp_path / "searches.png").is_file()
    assert search.verdict in (verdict, Verdict.INCONCLUSIVE)
    if coupling == 0.0:
        assert found["combination"].verdict is Verdict.PASS
        assert found["combination"].difference == pytest.approx(-0.05, abs=0.01)


def test_pairs_are_summed_up_over_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "loss_curve", trainer(coupling=1.0))
    hp = {**SETTINGS.hp, "sigma_init": (0.5, 1.0)}
    result = checked(tmp_path, replace(SETTINGS, hp=hp))
    pairs = pair_findings(result)
    assert len(pairs) == 6
    (note,) = result.notes
    for errors in ((each.error for each in pairs), (each.workshop_error for each in pairs)):
        assert f"{np.mean(list(errors)):.3f} nats" in note.text


def test_searches_in_which_nothing_trains_are_inconclusive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one seed; nothing warns of infinities on the way."""
    healthy = trainer(coupling=0.0)
    doomed = run_seed(SETTINGS.seed, 1)

    def train(task: CurveTask) -> tuple[float, ...]:
        return (5.5, inf) if task.settings.seed == doomed else healthy(task)

    monkeypatch.setattr(sweep, "loss_curve", train)
    result = checked(tmp_path, replace(SETTINGS, search=True))
    for finding in search_findings(result):
        assert finding.verdict is Verdict.INCONCLUSIVE
        assert finding.cause == "with a seed, nothing trains where a search looks"


def test_a_search_cut_off_anywhere_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "loss_curve", trainer(coupling=0.5))
    settings = replace(SETTINGS, search=True)
    checked(tmp_path, settings)
    file, report = tmp_path / Recording.FILE, tmp_path / "result.json"
    whole, findings = file.read_bytes(), report.read_bytes()
    header = whole.index(b"\n") + 1
    for length in np.random.default_rng(0).integers(header, len(whole), size=4):
        file.write_bytes(whole[:length])
        run(COUPLING, settings, Workplace(out=tmp_path, resume=True))
        assert file.read_bytes() == whole
        assert report.read_bytes() == findings


def test_a_hyperparameter_that_changes_nothing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "loss_curve", trainer(0.0, ignores="alpha"))
    with pytest.raises(InputError, match="--hp alpha_attn_softmax changes nothing"):
        checked(tmp_path)


@pytest.mark.parametrize(
    ("hp", "message"),
    [
        (["lr"], "--hp takes two hyperparameters or more"),
        (["lr", "lr"], "'lr' is named twice"),
        (["lr", "alpha=1"], "--hp alpha=1 is a grid of one point"),
        (["lr=0..1", "alpha"], "must be positive"),
        (["lr", "2alpha"], "neither NAME nor NAME=A..B"),
    ],
)
def test_grids_that_will_not_do(hp: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        checked(tmp_path, CouplingSettings(hp=hp, device="cpu"))  # type: ignore[arg-type]
