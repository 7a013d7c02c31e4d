"""The whole check with a trainer whose losses are known: searched, recorded, judged, resumed."""

import json
from dataclasses import replace
from math import inf, isfinite, log2
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from umup_diag.checks.check import run
from umup_diag.checks.result import Result, Verdict
from umup_diag.checks.transfer import TRANSFER
from umup_diag.checks.transfer.finding import TransferFinding, transfer_findings
from umup_diag.checks.transfer.settings import TransferSettings
from umup_diag.errors import InputError
from umup_diag.measure import sweep
from umup_diag.measure.loss_curve import CurveTask
from umup_diag.measure.workplace import Workplace
from umup_diag.recording import Recording

SETTINGS = TransferSettings(over={"width": (64, 128, 256)}, steps=16, seeds=3, device="cpu", jobs=1)


def trainer(**known: Any) -> Any:
    """Stands for training: a quadratic in log2 lr whose optimum goes with a power of width."""
    power, ceiling = known.get("power", 0.0), known.get("ceiling", inf)
    noise, curvature = known.get("noise", 0.005), known.get("curvature", 0.1)

    def train(task: CurveTask) -> tuple[float, ...]:
        settings = task.settings
        assert settings.lr is not None
        draw = np.random.default_rng([settings.seed, settings.width])
        best = 0.6 + power * log2(settings.width / 64) + 0.05 * draw.normal()
        u = log2(settings.lr) - best
        if u > ceiling:
            return (5.5, inf)
        draw = np.random.default_rng([settings.seed, settings.width, int(2**40 * settings.lr)])
        last = 1.0 + 8.0 / settings.width + curvature * u * u + noise * float(draw.normal())
        falling = [5.5 - (5.5 - last) * step / 8 for step in range(8)]
        return (*falling, *[last] * (settings.steps - 8))

    return train


def checked(folder: Path, settings: TransferSettings = SETTINGS) -> tuple[Result, TransferFinding]:
    result = run(TRANSFER, settings, Workplace(out=folder))
    (finding,) = transfer_findings(result)
    return result, finding


@pytest.mark.parametrize(
    ("power", "verdict"),
    [(0.0, Verdict.PASS), (-1.0, Verdict.FAIL), (-0.5, Verdict.FAIL), (0.5, Verdict.FAIL)],
)
def test_a_drift_is_found_with_its_sign_and_power(
    power: float, verdict: Verdict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "loss_curve", trainer(power=power))
    result, finding = checked(tmp_path)
    assert finding.drift == pytest.approx(power, abs=0.06)
    assert result.verdict is verdict
    if verdict is Verdict.FAIL:
        assert str(finding.fix) == f"multiply the learning rate by width^{power:+g}"
        assert "octaves from width 64 to 256" in str(finding.cause)
    assert {path.name for path in tmp_path.iterdir()} == {
        "recording.jsonl",
        "result.json",
        "report.html",
        "transfer.png",
        "transfer.svg",
    }


def test_what_is_given_up_and_the_extrapolation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "loss_curve", trainer(power=-1.0, noise=0.0))
    _, finding = checked(tmp_path, replace(SETTINGS, extrapolate_to=2048))
    assert finding.cost_nats == pytest.approx(0.1 * 2**2, rel=0.15)  # two octaves off
    assert finding.extrapolated == pytest.approx(2 ** (0.6 - 5), rel=0.15)
    assert finding.band is not None
    assert finding.unfelt == pytest.approx((0.01 * (1 + 8 / 256) / 0.1) ** 0.5 / 2, rel=0.05)
    assert finding.band[1] == min(finding.unfelt or 0, 0.25)


def test_noise_that_hides_the_optimum_never_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "loss_curve", trainer(noise=0.3))
    result, finding = checked(tmp_path)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert finding.cause


def test_an_optimum_at_the_edge_extends_the_grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "loss_curve", trainer())
    result, finding = checked(tmp_path, replace(SETTINGS, lr=(2.0**-9, 2.0**-6)))
    assert result.verdict is Verdict.PASS
    assert max(point.value for point in finding.sizes[0].points) > 2.0


def test_runs_that_diverge_near_the_optimum_are_no_optimum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "loss_curve", trainer(ceiling=-1.0))
    result, finding = checked(tmp_path)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "runs break off right next to the best value" in str(finding.cause)
    assert "were given up early, which saved" in str(result.notes[0])
    monkeypatch.setattr(sweep, "loss_curve", trainer(ceiling=-inf))
    with pytest.raises(InputError, match="nothing trains at width 64: every run with lr from"):
        checked(tmp_path)


def test_a_hyperparameter_that_changes_nothing_is_said_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "loss_curve", lambda task: (5.0,) * 16)
    with pytest.raises(InputError, match="--hp alpha_ffn_act changes nothing: at width 64"):
        checked(tmp_path, replace(SETTINGS, hp="alpha_ffn_act"))


def test_a_sweep_cut_off_anywhere_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "loss_curve", trainer(power=-0.5, ceiling=3.0))
    checked(tmp_path)
    file, report = tmp_path / Recording.FILE, tmp_path / "result.json"
    whole, findings = file.read_bytes(), json.loads(report.read_text())["findings"]
    draw = np.random.default_rng(0)
    header = whole.index(b"\n") + 1
    for length in draw.integers(header, len(whole), size=6):
        file.write_bytes(whole[:length])
        run(TRANSFER, SETTINGS, Workplace(out=tmp_path, resume=True))
        assert file.read_bytes() == whole
        assert json.loads(report.read_text())["findings"] == findings


def test_resuming_with_other_settings_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "loss_curve", trainer())
    checked(tmp_path)
    with pytest.raises(InputError, match="no transfer with these settings"):
        run(TRANSFER, replace(SETTINGS, steps=24), Workplace(out=tmp_path, resume=True))


def test_giving_up_does_not_move_the_optimum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is given up has no part in the fit: the same optimum where nothing is."""
    monkeypatch.setattr(sweep, "loss_curve", trainer())
    _, with_all = checked(tmp_path)
    monkeypatch.setattr(sweep, "loss_curve", trainer(ceiling=2.7))
    _, without = checked(tmp_path)
    assert any(not isfinite(point.loss) for size in without.sizes for point in size.points)
    assert [size.log2 for size in without.sizes] == [size.log2 for size in with_all.sizes]
