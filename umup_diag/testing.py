"""Assertions for a test suite::

    from umup_diag.testing import assert_unit_scale

    def test_scale():
        assert_unit_scale(build(256), batch, exceptions={"head:output": (0.0, 1.0)})

Importing this module imports no torch; calling its functions does.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from umup_diag.checks.coordcheck import COORDCHECK
from umup_diag.checks.coordcheck.settings import CoordcheckSettings
from umup_diag.checks.fp8_range import FP8_RANGE
from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.checks.result import Finding, NoteKind, Verdict
from umup_diag.checks.unit_scale import UNIT_SCALE
from umup_diag.checks.unit_scale.exceptions import ScaleException
from umup_diag.checks.unit_scale.settings import UnitScaleSettings
from umup_diag.errors import InputError
from umup_diag.settings.nearest import nearest

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["assert_fits_fp8", "assert_unit_scale", "assert_width_stable"]

LISTED = 12  #: offenders that a message names
Loss = Callable[[Any, Any], "Tensor"]


def assert_unit_scale(
    model: "nn.Module",
    batch: Any,
    *,
    loss: Loss | None = None,
    exceptions: Mapping[str, tuple[float, float]] | None = None,
    tolerance: float = UnitScaleSettings.tolerance,
) -> None:
    """Assert that every tensor's RMS at init is 1, or what u-µP says instead.

    One model and one batch are looked at, so an RMS is judged as it is, without an interval: use a
    batch of a few hundred tokens or more, in short sequences of which none repeats a token (the
    scale laws take positions to be independent).

    Args:
        model: freshly initialised; its gradients are left as they were.
        batch: what `loss` takes.
        loss: ``loss(model, batch)``, a scalar; None for the model's own or the one that the
            batch's shape asks for (`umup_diag.measure.subject.default_loss`): next-token
            cross-entropy of a (B, T + 1) batch.
        exceptions: ``"tensor"`` or ``"tensor:kind"``, patterns allowed, → (smallest, largest) RMS.
        tolerance: factor either way.

    Raises:
        AssertionError: naming every offender; warns of exceptions that nothing needs any more.
        InputError: if the loss does not depend on the model, or an exception is no range.
    """
    __tracebackhide__ = True  # pytest then shows the line of the test
    from umup_diag.checks.unit_scale.judge import judge
    from umup_diag.measure.init_pass import observe
    from umup_diag.measure.subject import default_loss
    from umup_diag.recording import Recording

    ranges = []
    for name, (low, high) in (exceptions or {}).items():
        tensor, _, kind = name.partition(":")
        ranges.append(
            ScaleException(
                tensor=tensor, kind=kind or None, low=low, high=high, reason="given to the test"
            )
        )
    settings = UnitScaleSettings(tolerance=tolerance, exceptions=tuple(ranges))
    frame = observe(model, partial(loss or default_loss, model, batch))
    result = judge(
        Recording(command=UNIT_SCALE.name, settings={}, environment={}, frames=[frame]), settings
    )
    for note in result.notes:
        if note.kind is NoteKind.STALE_EXCEPTION:
            warnings.warn(note.text, stacklevel=2)
    demand(result.findings, "is not at unit scale")


def assert_width_stable(
    build: "Callable[[int], nn.Module]",
    *,
    widths: Sequence[int] = (128, 256, 512),
    target: str = "mup",
    loss: Loss | None = None,
    batches: Callable[..., Iterable[Any]] | None = None,
    optimizer: "Callable[[Any], Any] | str" = "adam",
    lr: float | None = None,
    seeds: int | str = CoordcheckSettings.seeds,
    steps: int = CoordcheckSettings.steps,
) -> None:
    """Assert that every tensor grows with width as its scheme says: a coord check.

    Args:
        build: ``build(width)``, freshly initialised.
        widths: two or more.
        target: the scheme whose slopes the model is held to.
        loss: as for `assert_unit_scale`.
        batches: ``batches(*, batch_size, seq_len, seed)``; None for text read as bytes.
        optimizer: ``optimizer(model)``, or the name of one.
        lr: for an optimizer by name; None for a small one.
        seeds: runs at each width; "auto" for as many as the verdict takes.
        steps: updates before changes are measured.

    Raises:
        AssertionError: naming every offender, and if the seeds do not settle it.
        InputError: if the model cannot be built or trained.
    """
    __tracebackhide__ = True
    import torch

    from umup_diag.checks.coordcheck.judge import judge
    from umup_diag.checks.coordcheck.measure import complete, sweep
    from umup_diag.measure.data.corpus import Corpus
    from umup_diag.measure.subject import Subject, default_loss
    from umup_diag.recording import Recording

    name, own = (optimizer, None) if isinstance(optimizer, str) else (None, optimizer)
    subject = Subject(
        name=getattr(build, "__qualname__", "build"),
        build=build,
        loss=loss or default_loss,
        batches=batches,
        optimizer=own,
        target=target,
    )
    settings = complete(
        CoordcheckSettings(
            model=subject.name,
            widths=tuple(widths),
            optimizer=name,
            lr=lr,
            steps=steps,
            seeds=seeds,
        ),
        subject,
    )
    recording = Recording(command=COORDCHECK.name, settings={}, environment={})
    sweep(subject, Corpus.load(), settings, recording, device=torch.device("cpu"))
    demand(judge(recording, settings).findings, "is not stable over width")


def assert_fits_fp8(
    model: "nn.Module",
    batch: Any,
    *,
    loss: Loss | None = None,
    formats: Mapping[str, str] | None = None,
    max_underflow: float = RangeSettings.underflow,
) -> None:
    """Assert that every matmul operand fits in FP8 as it is, without scaling, for this batch.

    A tensor fits if no element rounds beyond the format's largest value and at most `max_underflow`
    of its non-zero elements round to zero.

    Args:
        model: as it is; its gradients are left as they were.
        batch: what `loss` takes.
        loss: as for `assert_unit_scale`.
        formats: kind → format by name; for other kinds, what `umup-diag fp8-range` holds them to.
        max_underflow: share of the non-zero elements.

    Raises:
        AssertionError: naming every tensor that does not fit, or if there is no linear layer.
        InputError: for an unknown format or kind.
    """
    __tracebackhide__ = True
    from umup_diag.checks.fp8_range.finding import range_findings
    from umup_diag.checks.fp8_range.format_fit import Flag
    from umup_diag.checks.fp8_range.judge import judge
    from umup_diag.measure.init_pass import gradients_kept
    from umup_diag.measure.recorder import Recorder
    from umup_diag.measure.subject import default_loss
    from umup_diag.recording import Frame, Recording

    held_to = dict(formats or {})
    for kind in held_to:
        if kind not in FP8_RANGE.kinds:
            raise InputError(f"there is no kind {kind!r}{nearest(kind, map(str, FP8_RANGE.kinds))}")
    recorder = Recorder(model)
    with gradients_kept(model), recorder.step():
        (loss or default_loss)(model, batch).backward()
    findings: list[Finding] = []
    for kind in FP8_RANGE.kinds:
        records = tuple(record for record in recorder.take() if record.kind == kind)
        recording = Recording(
            command=FP8_RANGE.name, settings={}, environment={}, frames=[Frame(records=records)]
        )
        settings = RangeSettings(formats=held_to.get(kind), underflow=max_underflow)
        # What precedes a layer that starts at zero has no gradient yet: it neither fits nor fails.
        findings += [
            each
            for each in range_findings(judge(recording, settings))
            if each.held_to.flag is not Flag.ALL_ZERO
        ]
    demand(findings, "does not fit in FP8")


def demand(findings: Sequence[Finding], what: str) -> None:
    """Raise unless every finding passes, and there is one."""
    __tracebackhide__ = True
    if not findings:
        raise AssertionError("nothing was judged: the model has no layer with a weight")
    offenders = [each for each in findings if each.verdict is not Verdict.PASS]
    if not offenders:
        return
    lines = [f"{each.verdict}: {each.sentence}" for each in offenders[:LISTED]]
    if len(offenders) > LISTED:
        lines.append(f"… and {len(offenders) - LISTED} more")
    tensors = f"{len(offenders)} of {len(findings)} tensors"
    raise AssertionError(f"the model {what}, in {tensors}:\n  " + "\n  ".join(lines))
