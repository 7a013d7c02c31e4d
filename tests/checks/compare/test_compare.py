"""Two recordings compared: planted changes are found, and noise is not one."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import run
from umup_diag.checks.compare.finding import ChangeFinding, change_findings
from umup_diag.checks.compare.judge import judge
from umup_diag.checks.compare.measure import measure
from umup_diag.checks.compare.settings import CompareSettings
from umup_diag.checks.result import Result, Verdict
from umup_diag.errors import InputError
from umup_diag.measure.workplace import Workplace
from umup_diag.recording import Frame, Moments, Recording, TensorRecord, Value

Size = Callable[[int, int], float]  #: (step, seed) → RMS


def write(
    folder: Path,
    *,
    steps: Sequence[int] = range(20),
    seeds: Sequence[int] = (),
    losses: Sequence[float] = (),
    lr: float = 0.1,
    **sizes: Size,
) -> Path:
    recording = Recording.create(
        folder, command="record", settings={"lr": lr}, environment={"torch": "x"}
    )
    for seed in seeds or [0]:
        for at, step in enumerate(steps):
            records = tuple(
                TensorRecord(
                    tensor=name,
                    kind="weight",
                    order=order,
                    statistics=Moments(count=9, rms=size(step, seed)),
                )
                for order, (name, size) in enumerate(sizes.items())
            )
            loss = (losses[at],) if losses else ()
            point = {"seed": seed} if seeds else {}
            recording.append(Frame(point=point, step=step, losses=loss, records=records))
    return folder


def compared(a: Path, b: Path, **settings: object) -> Result:
    chosen = CompareSettings(run_a=a, run_b=b, **settings)  # type: ignore[arg-type]
    return judge(measure(chosen, Workplace(out=a.parent / "compared")), chosen)


def by_name(result: Result) -> dict[str, ChangeFinding]:
    return {finding.tensor: finding for finding in change_findings(result)}


def noise(size: float, seed: int) -> Size:
    random = np.random.default_rng(seed)
    return lambda step, seed: size * float(2 ** random.normal(0, 0.05))


def test_a_tensor_that_changed_is_found_with_its_size_and_the_rest_passes(tmp_path: Path) -> None:
    a = write(tmp_path / "a", q=noise(1.0, 1), k=noise(1.0, 2), v=noise(1.0, 3))
    b = write(tmp_path / "b", q=noise(1.0, 4), k=noise(2.0, 5), v=noise(1.0, 6), lr=0.2)
    result = compared(a, b)
    found = by_name(result)
    assert change_findings(result)[0].tensor == "k"
    verdicts = {name: finding.verdict for name, finding in found.items()}
    assert verdicts == {"q": Verdict.PASS, "k": Verdict.FAIL, "v": Verdict.PASS}
    low, high = found["k"].interval
    assert low < 1.0 < high
    # Student's quantile for 20 pairs, 2.09, times √2 · 0.05 / √20
    assert (high - low) / 2 == pytest.approx(2.09 * 0.05 * 2**0.5 / 20**0.5, rel=0.5)
    assert any("lr 0.1 → 0.2" in note.text for note in result.notes)


def test_with_several_seeds_the_interval_is_over_seeds(tmp_path: Path) -> None:
    offsets = {0: 0.0, 1: 0.3, 2: 0.6}
    a = write(tmp_path / "a", seeds=range(3), q=lambda step, seed: 1.0)
    b = write(tmp_path / "b", seeds=range(3), q=lambda step, seed: 2 ** offsets[seed])
    (finding,) = change_findings(compared(a, b))
    assert (finding.seeds, finding.pairs) == (3, 60)
    assert finding.change == pytest.approx(0.3)
    assert finding.interval[1] - 0.3 == pytest.approx(4.303 * 0.3 / 3**0.5, rel=1e-3)
    assert finding.verdict is Verdict.INCONCLUSIVE


def test_steps_that_follow_their_neighbours_widen_the_interval(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    drift = np.cumsum(random.normal(0, 0.02, 100))
    shuffled = random.permutation(drift)
    a = write(tmp_path / "a", steps=range(100), q=lambda *_: 1.0, k=lambda *_: 1.0)
    b = write(
        tmp_path / "b",
        steps=range(100),
        q=lambda step, _: 2 ** float(drift[step]),
        k=lambda step, _: 2 ** float(shuffled[step]),
    )
    widths = {name: np.ptp(f.interval) for name, f in by_name(compared(a, b)).items()}
    assert widths["q"] > 3 * widths["k"]


def test_the_same_recording_twice_has_not_changed(tmp_path: Path) -> None:
    a = write(tmp_path / "a", steps=[0], q=lambda *_: 1.5, zero=lambda *_: 0.0)
    b = write(tmp_path / "b", steps=[0], q=lambda *_: 1.5, zero=lambda *_: 0.0)
    result = compared(a, b)
    assert result.verdict is Verdict.PASS
    assert any("Set up alike." in note.text for note in result.notes)


def test_one_pair_has_no_interval_and_a_zero_in_one_run_fails(tmp_path: Path) -> None:
    a = write(tmp_path / "a", steps=[0], q=lambda *_: 1.0, z=lambda *_: 0.0, only=lambda *_: 1.0)
    b = write(tmp_path / "b", steps=[0], q=lambda *_: 9.0, z=lambda *_: 1.0)
    result = compared(a, b)
    found = by_name(result)
    assert found["q"].verdict is Verdict.INCONCLUSIVE
    assert found["z"].verdict is Verdict.FAIL
    said = [note.text for note in result.notes]
    assert any("One pair of frames" in text for text in said)
    assert "In A alone: only." in said


def test_the_losses_are_compared_over_the_last_half(tmp_path: Path) -> None:
    a = write(tmp_path / "a", losses=[3.0] * 10 + [2.0] * 10, q=lambda *_: 1.0)
    b = write(tmp_path / "b", losses=[9.0] * 10 + [2.5] * 10, q=lambda *_: 1.0)
    (note,) = [n.text for n in compared(a, b).notes if n.text.startswith("Loss")]
    assert note == (
        "Loss over the last 10 updates of both: 2.0000 in A, 2.5000 in B, +0.5000 "
        "(+0.5000 … +0.5000)."
    )


def test_numbers_with_a_sign_are_compared_by_size(tmp_path: Path) -> None:
    for name, value in (("a", -0.5), ("b", 2.0)):
        recording = Recording.create(tmp_path / name, command="c", settings={}, environment={})
        record = TensorRecord(tensor="q", kind="gain", statistics=Value(value=value, count=1))
        recording.append(Frame(step=0, records=(record,)))
    (finding,) = change_findings(compared(tmp_path / "a", tmp_path / "b"))
    assert (finding.before, finding.change) == (-1.0, 2.0)


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    a = write(tmp_path / "a", q=lambda *_: 1.0)
    other = write(tmp_path / "other", steps=[100], q=lambda *_: 1.0)
    with pytest.raises(InputError, match="no tensor of the same point and step"):
        compared(a, other)
    Recording.create(tmp_path / "c", command="coordcheck", settings={}, environment={})
    with pytest.raises(InputError, match="of the same command"):
        compared(a, tmp_path / "c")
    with pytest.raises(InputError, match="no frame from step 30"):
        compared(a, a, after=30)
    settings = CompareSettings(run_a=a, run_b=other)
    with pytest.raises(InputError, match="name another"):
        measure(settings, Workplace(out=tmp_path / "other"))


def test_the_command_prints_keeps_and_exits(tmp_path: Path) -> None:
    write(tmp_path / "a", q=lambda *_: 1.0, k=lambda *_: 1.0)
    write(tmp_path / "b", q=lambda *_: 4.0, k=lambda *_: 1.0)
    done = run(tmp_path, "compare", "a", "b")
    assert (done.exit_code, done.err) == (1, "")
    assert "q" in done.out
    assert "+2.00" in done.out
    assert "compare: FAIL (1 PASS, 1 FAIL)" in done.out
    made = {path.name for path in (tmp_path / "reports" / "compare").iterdir()}
    assert made == {"recording.jsonl", "result.json", "report.html", "changes.png", "changes.svg"}
    result = json.loads((tmp_path / "reports" / "compare" / "result.json").read_text())
    assert result["findings"][0]["change"] == 2.0
    assert run(tmp_path, "compare", "a", "a", "-q").exit_code == 0
    missing = run(tmp_path, "compare", "a", "nowhere")
    assert (missing.exit_code, missing.err.count("\n")) == (2, 1)
