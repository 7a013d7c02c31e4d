"""Assertions for a test suite::

    from umup_diag.testing import assert_unit_scale

    def test_scale():
        assert_unit_scale(build(256), batch, exceptions={"head:output": (0.0, 1.0)})

Importing this module imports no torch; calling its functions does.
"""

import math
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from umup_diag.checks.result import Finding

__all__ = ["assert_fits_fp8", "assert_unit_scale", "assert_width_stable"]

LISTED = 12  #: offenders that a message names
Loss = Callable[[Any, Any], "Tensor"]


def assert_unit_scale(
    model: "nn.Module",
    batch: Any,
    *,
    loss: Loss | None = None,
    exceptions: Mapping[str, tuple[float, float]] | None = None,
    tolerance: float = math.sqrt(2),
) -> None:
    """Assert that every tensor's RMS at init is 1, or what u-µP says instead.

    One model and one batch are looked at, so an RMS is judged as it is, without an interval: use a
    batch of a few hundred tokens or more, in short sequences of which none repeats a token (the
    scale laws take positions to be independent).

    Args:
        model: freshly initialised; its gradients are left as they were.
        batch: what `loss` takes.
        loss: ``loss(model, batch)``, a scalar; None for the next-token cross-entropy of a
            (B, T + 1) batch.
        exceptions: ``"tensor"`` or ``"tensor:kind"``, patterns allowed, → (smallest, largest) RMS.
        tolerance: factor either way.

    Raises:
        AssertionError: naming every offender; warns of exceptions that nothing needs any more.
        InputError: if the loss does not depend on the model, or an exception is no range.
    """
    __tracebackhide__ = True  # pytest then shows the line of the test
    import warnings

    from umup_diag.checks.unit_scale.judge import STALE, ScaleException, judge_rows
    from umup_diag.measure.init_pass import observe
    from umup_diag.measure.subject import next_token_loss

    _, rows = observe(model, partial(loss or next_token_loss, model, batch))
    ranges = []
    for name, (low, high) in (exceptions or {}).items():
        tensor, _, kind = name.partition(":")
        ranges.append(
            ScaleException(
                tensor=tensor, kind=kind or None, low=low, high=high, reason="given to the test"
            )
        )
    findings, notes = judge_rows(rows, tolerance=tolerance, exceptions=ranges, alone=True)
    for note in notes:
        if note.startswith(STALE):
            warnings.warn(note, stacklevel=2)
    demand(findings, "is not at unit scale")


def assert_width_stable(
    build: "Callable[[int], nn.Module]",
    *,
    widths: Sequence[int] = (128, 256, 512),
    target: str = "mup",
    loss: Loss | None = None,
    batches: Callable[..., Iterable[Any]] | None = None,
    optimizer: "Callable[[Any], Any] | str" = "adam",
    lr: float | None = None,
    seeds: int = 5,
    steps: int = 3,
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
        seeds: runs at each width.
        steps: updates before changes are measured.

    Raises:
        AssertionError: naming every offender, and if the seeds do not settle it.
        InputError: if the model cannot be built or trained.
    """
    __tracebackhide__ = True
    import torch

    from umup_diag.checks.coordcheck import judge as coordcheck
    from umup_diag.measure import sweep
    from umup_diag.measure.corpus import Corpus
    from umup_diag.measure.subject import Subject, next_token_loss

    named = isinstance(optimizer, str)
    subject = Subject(
        name=getattr(build, "__qualname__", "build"),
        build=build,
        loss=loss or next_token_loss,
        batches=batches,
        optimizer=None if isinstance(optimizer, str) else optimizer,
        target=target,
    )
    corpus = Corpus.load()
    settings = sweep.plan(
        subject,
        corpus,
        widths=tuple(sorted(widths)),
        seeds=seeds,
        seed=0,
        steps=steps,
        optimizer=str(optimizer) if named else None,
        lr=lr,
        batch_size=1,
        seq_len=16,
        target=target,
    )
    with tempfile.TemporaryDirectory() as folder:
        device = torch.device("cpu")
        recording = sweep.begin(settings, Path(folder), device)
        sweep.sweep(subject, corpus, settings, recording, device=device)
        result = coordcheck.judge(recording)
    demand(result.findings, "is not stable over width")


def assert_fits_fp8(
    model: "nn.Module",
    batch: Any,
    *,
    loss: Loss | None = None,
    formats: Mapping[str, str] | None = None,
    max_underflow: float = 0.1,
) -> None:
    """Assert that every matmul operand fits in FP8 as it is, without scaling, for this batch.

    A tensor fits if no element rounds beyond the format's largest value and at most `max_underflow`
    of its non-zero elements round to zero.

    Args:
        model: as it is; its gradients are left as they were.
        batch: what `loss` takes.
        loss: as for `assert_unit_scale`.
        formats: kind → format by name; None for E4M3 inputs and weights and E5M2 gradients.
        max_underflow: share of the non-zero elements.

    Raises:
        AssertionError: naming every tensor that does not fit.
        InputError: for an unknown format or kind, or if there is no linear layer.
    """
    __tracebackhide__ = True
    from umup_diag.checks.result import Finding, Verdict
    from umup_diag.measure.init_pass import gradients_kept
    from umup_diag.measure.recorder import MATMUL_KINDS, Recorder
    from umup_diag.measure.subject import next_token_loss
    from umup_diag.numerics import formats as known
    from umup_diag.scaling.kinds import Kind

    chosen = {Kind.INPUT: "e4m3fn", Kind.WEIGHT: "e4m3fn", Kind.GRAD_OUTPUT: "e5m2"}
    chosen |= {Kind(kind): name for kind, name in (formats or {}).items()}
    recorder = Recorder(model)
    with gradients_kept(model), recorder.step(MATMUL_KINDS):
        (loss or next_token_loss)(model, batch).backward()
    findings = []
    for seen in recorder.take():
        fmt, histogram = known.get(chosen[seen.kind]), seen.histogram
        over, under = histogram.overflow_fraction(fmt), histogram.underflow_fraction(fmt)
        bad = [
            f"{share:.1%} {what}"
            for share, limit, what in (
                (over, 0.0, "overflows"),
                (under, max_underflow, "underflows to zero"),
            )
            if share > limit
        ]
        if histogram.nonfinite_count:
            bad.append(f"{histogram.nonfinite_count} elements are not finite")
        findings.append(
            Finding(
                tensor=seen.tensor,
                kind=seen.kind,
                verdict=Verdict.FAIL if bad else Verdict.PASS,
                cause=f"{' and '.join(bad)} in {fmt.name}" if bad else None,
                fix=f"multiply by 2^{histogram.best_scale_log2(fmt)} before the cast"
                if bad
                else None,
            )
        )
    demand(findings, "does not fit in FP8")


def demand(findings: "Sequence[Finding]", what: str) -> None:
    """Raise unless every finding passes, and there is one."""
    __tracebackhide__ = True
    from umup_diag.checks.result import Verdict
    from umup_diag.report.sentences import sentence

    if not findings:
        raise AssertionError("nothing was judged: the model has no layer with a weight")
    offenders = [each for each in findings if each.verdict is not Verdict.PASS]
    if not offenders:
        return
    lines = [f"{each.verdict}: {sentence(each)}" for each in offenders[:LISTED]]
    if len(offenders) > LISTED:
        lines.append(f"… and {len(offenders) - LISTED} more")
    tensors = f"{len(offenders)} of {len(findings)} tensors"
    raise AssertionError(f"the model {what}, in {tensors}:\n  " + "\n  ".join(lines))
