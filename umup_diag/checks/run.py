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

    from umup_diag.checks.fp8_range.judge import Question
    from umup_diag.checks.result import Result
    from umup_diag.measure.corpus import Corpus
    from umup_diag.measure.history import History
    from umup_diag.measure.long_run import LongRun
    from umup_diag.measure.recording import Recording
    from umup_diag.measure.subject import Subject
    from umup_diag.measure.sweep import SweepSettings
    from umup_diag.plans.plan import Plan

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
    from umup_diag.checks.coordcheck import judge as check
    from umup_diag.measure import sweep
    from umup_diag.report import folder as report

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

    Options are those of `umup_diag.measure.init_pass.InitSettings`; exceptions have the fields of
    `umup_diag.checks.unit_scale.judge.ScaleException`.

    Raises:
        InputError: for bad settings, or a model that cannot be built or run.
    """
    from umup_diag.checks.unit_scale import judge as check
    from umup_diag.measure import environment
    from umup_diag.measure import init_pass as init_scale
    from umup_diag.measure.subject import Subject
    from umup_diag.report import folder as report

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


def begin_recording(
    *,
    model: str,
    text: Path | None,
    optimizer: str | None,
    lr: float | None,
    build: Mapping[str, Any] | None = None,
    **options: Any,
) -> "tuple[LongRun, Subject, Corpus]":
    """Settle what a training run needs: options as `umup_diag.measure.long_run.LongRun`.

    Raises:
        InputError: for bad settings, or a model that cannot be loaded.
    """
    from umup_diag.measure import sweep
    from umup_diag.measure.corpus import Corpus
    from umup_diag.measure.long_run import LongRun
    from umup_diag.measure.subject import Subject

    subject, corpus = Subject.load(model, build=build), Corpus.load(text)
    name, rate = sweep.which_optimizer(subject, optimizer, lr)
    run = LongRun(
        model=model,
        optimizer=name,
        lr=rate,
        text=corpus.name,
        text_digest=corpus.digest,
        **options,
    )
    return run, subject, corpus


def recorded(
    run: "LongRun",
    subject: "Subject",
    corpus: "Corpus",
    *,
    out: Path,
    device: "torch.device",
    resume: bool = False,
    progress: Callable[[int], None] | None = None,
) -> "History":
    """Train and record, from the start or from where a kill left it."""
    from umup_diag.measure import long_run
    from umup_diag.measure.batches import Batches

    batches = Batches(
        subject=subject,
        corpus=corpus,
        batch_size=run.batch_size,
        seq_len=run.seq_len,
        seed=run.seed,
    )
    return long_run.train(
        run, subject, batches, out, device=device, resume=resume, progress=progress
    )


def question(
    *,
    formats: str | None,
    underflow: float,
    subnormal: float,
    near: float,
    horizon: int | None,
    strict: bool,
) -> "Question":
    """What is asked of an FP8 range check, from the options of its command.

    Raises:
        InputError: for an unknown format.
    """
    from umup_diag.checks.fp8_range.format_fit import Limits, resolve
    from umup_diag.checks.fp8_range.judge import Question

    return Question(
        formats=tuple(dict.fromkeys(map(resolve, formats.split(",")))) if formats else (),
        limits=Limits(
            near_max_octaves=near,
            near_min_octaves=near,
            underflow_fraction=underflow,
            subnormal_fraction=subnormal,
        ),
        strict=strict,
        horizon=horizon,
    )


def fp8_range(
    *,
    out: Path,
    device: str,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    until: int | None,
    progress: Progress | None = None,
    **options: Any,
) -> "Result":
    """Record a training run, judge its range, write the report.

    Options are those of `begin_recording` and `question`.

    Raises:
        InputError: for bad settings, or a model that cannot be built or trained.
    """
    from inspect import signature

    from umup_diag.checks.fp8_range import judge as check
    from umup_diag.measure import environment
    from umup_diag.report import folder as report

    asked = {name: options.pop(name) for name in signature(question).parameters}
    where, ask = environment.device(device), question(**asked)
    report.clear(out, "fp8-range")
    run, subject, corpus = begin_recording(**options)
    on_step = None if progress is None else lambda done: progress(run.width, done)
    history = recorded(run, subject, corpus, out=out, device=where, progress=on_step)
    result = check.judge(
        history.chosen(include=include, exclude=exclude, until=until),
        ask,
        settings={**history.settings, **asked},
        environment={**environment.environment(where), "seed": run.seed},
        notes=[],
    )
    report.write(result, out)
    return result


#: check → what runs it. A new check is one more entry here and a command of the same name.
RUNNERS: Mapping[str, Callable[..., "Result"]] = {
    "coordcheck": coordcheck,
    "unit-scale": unit_scale,
    "fp8-range": fp8_range,
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
    "fp8-range": (Kind.INPUT, Kind.WEIGHT, Kind.GRAD_OUTPUT),
    "scale-law": ("output",),
}
