"""The checks that a plan can name: each from its settings to a Result, with its report written.

The command line, the gate, the pytest plugin and `umup_diag.testing` all call these. Importing this
module imports neither torch nor matplotlib.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umup_diag.errors import InputError
from umup_diag.scaling import unit_expectations
from umup_diag.scaling.kinds import Kind

if TYPE_CHECKING:
    import torch

    from umup_diag.judge.plan import Plan
    from umup_diag.judge.result import Result
    from umup_diag.measure.corpus import Corpus
    from umup_diag.measure.recording import Recording
    from umup_diag.measure.subject import Subject
    from umup_diag.measure.sweep import SweepSettings

Progress = Callable[[int, int], None]  #: called with width and seed after each run


def coordcheck(
    *,
    model: str,
    out: Path,
    device: str,
    text: Path | None,
    build: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> "Result":
    """Sweep widths, judge slopes, write the report; options as `umup_diag.measure.sweep.plan`.

    Raises:
        InputError: for bad settings, or a model that cannot be built or trained.
    """
    from umup_diag.measure import environment, sweep
    from umup_diag.measure.corpus import Corpus
    from umup_diag.measure.subject import Subject

    where = environment.device(device)
    subject, corpus = Subject.load(model, build=build), Corpus.load(text)
    settings = sweep.plan(subject, corpus, build=build, **options)
    recording = sweep.begin(settings, out, where)
    return swept(subject, corpus, settings, recording, out=out, device=where, progress=progress)


def swept(
    subject: "Subject",
    corpus: "Corpus",
    settings: "SweepSettings",
    recording: "Recording",
    *,
    out: Path,
    device: "torch.device",
    progress: Progress | None = None,
) -> "Result":
    """Bring a sweep's recording, new or taken up again, to its end; judge, write the report."""
    from umup_diag.judge import coordcheck as check
    from umup_diag.measure import sweep
    from umup_diag.render import report

    report.clear(out, "coordcheck")
    sweep.sweep(subject, corpus, settings, recording, device=device, progress=progress)
    result = check.judge(recording)
    report.write(result, out)
    return result


def unit_scale(
    *,
    model: str,
    out: Path,
    device: str,
    tolerance: float,
    exceptions: tuple[Mapping[str, Any], ...] = (),
    build: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> "Result":
    """Measure at init, judge each RMS, write the report.

    Options are those of `umup_diag.measure.init_scale.InitSettings`; exceptions have the fields of
    `umup_diag.judge.unit_scale.ScaleException`.

    Raises:
        InputError: for bad settings, or a model that cannot be built or run.
    """
    from umup_diag.judge import unit_scale as check
    from umup_diag.measure import environment, init_scale
    from umup_diag.measure.subject import Subject
    from umup_diag.render import report

    where = environment.device(device)
    subject = Subject.load(model, build=build)
    settings = init_scale.InitSettings(model=model, build=dict(build or {}), **options)
    excepted = [check.ScaleException(**fields).encode() for fields in exceptions]
    report.clear(out, "unit-scale")
    recording = init_scale.record(
        subject,
        settings,
        out,
        device=where,
        extra={"tolerance": tolerance, "exceptions": excepted},
        progress=progress,
    )
    result = check.judge(recording)
    report.write(result, out)
    return result


def scale_law(*, op: str | None, out: Path, **options: Any) -> "Result":
    """Measure an op, fit its scale, judge the law, write the report.

    Options are those of `umup_diag.scale_law_check.scale_law`.

    Raises:
        InputError: for bad settings, or an op that cannot be loaded or measured.
    """
    from umup_diag.scale_law_check import scale_law as check

    if op is None:
        raise InputError('scale-law takes op = "attention", or "pkg.mod:function".')
    return check(op, out=out, **options)


#: check → what runs it. A new check is one more entry here and a command of the same name.
RUNNERS: Mapping[str, Callable[..., "Result"]] = {
    "coordcheck": coordcheck,
    "unit-scale": unit_scale,
    "scale-law": scale_law,
}


def run(plan: "Plan", out: Path, *, progress: Progress | None = None) -> "Result":
    """Run the check of a plan, with its results in `out`.

    Raises:
        InputError: as the check, or if it judged nothing: that is no pass.
    """
    settings = {name: value for name, value in plan.settings.items() if name != "out"}
    result = RUNNERS[plan.check](**settings, out=out, progress=progress)
    if not result.findings:
        reason = f" {result.notes[0]}" if result.notes else ""
        raise InputError(f"{plan.path}:1: {plan.check} found nothing to judge.{reason}")
    return result


#: check → the kinds that its findings have, to group them before there are any.
KINDS: Mapping[str, tuple[str, ...]] = {
    "coordcheck": tuple(Kind),
    "unit-scale": unit_expectations.KINDS,
    "scale-law": ("output",),
}
