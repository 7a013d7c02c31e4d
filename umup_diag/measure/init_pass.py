"""One forward and one backward pass at init, over seeds and batches: RMS, and what theory expects.

The model is never updated. What theory expects of a tensor depends on who feeds whom and on what
attention averages, so it is worked out beside the measurement (`umup_diag.measure.wiring`) from the
laws of `umup_diag.scaling.unit_expectations`, and both go into the row.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from umup_diag.errors import InputError
from umup_diag.measure import random_tokens
from umup_diag.measure.environment import environment
from umup_diag.measure.recorder import Measurement, Recorder
from umup_diag.measure.recording import Recording, Row, Run
from umup_diag.measure.subject import Subject
from umup_diag.measure.training import scalar_loss, to_device
from umup_diag.measure.wiring import Flow, Wiring
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.roles import Fans, Role
from umup_diag.scaling.unit_expectations import (
    KINDS,
    UNIT,
    Attention,
    Expectation,
    attention_logits,
    backward_gain,
    forward_gain,
)

FILE = "recording.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class InitRow(Row):
    """A row with what theory expects.

    Attributes:
        batch: index of the batch at that width and seed.
        expected_low: smallest admissible RMS, before any tolerance.
        expected_high: largest.
        because: why that is not 1; None where it is.
    """

    batch: int
    expected_low: float
    expected_high: float
    because: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InitSettings:
    """Everything that the rows depend on.

    Attributes:
        model: import path of the subject.
        build: keyword arguments of `build` besides the width.
        width: widths to build at.
        seeds: models at each width.
        batches: batches for each model.
        batch_size: sequences in a batch.
        seq_len: tokens in a sequence. Few: each layer of attention makes positions more alike, and
            the more positions there are, the further that takes deep layers off the scale laws.
        seed: what the random numbers start from.
    """

    model: str
    build: Mapping[str, Any]
    width: tuple[int, ...]
    seeds: int
    batches: int
    batch_size: int
    seq_len: int
    seed: int


def record(
    subject: Subject,
    settings: InitSettings,
    out: Path,
    *,
    device: torch.device,
    extra: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Recording:
    """Measure every model into a new recording in `out`.

    Args:
        subject: what to build.
        settings: how many of what.
        out: folder.
        device: where to run.
        extra: more settings to keep in the recording, for the judge.
        progress: called with width and seed after each model.

    Raises:
        InputError: if the model cannot be built or run, or `out` not written.
    """
    recording = Recording.create(
        out / FILE, {**asdict(settings), **(extra or {})}, environment(device)
    )
    for width in settings.width:
        for seed in range(settings.seeds):
            stream = int(np.random.SeedSequence([settings.seed, seed]).generate_state(1)[0])
            recording.append(
                _run(subject, settings, width=width, seed=seed, stream=stream, device=device)
            )
            if progress is not None:
                progress(width, seed)
    return recording


def _run(
    subject: Subject,
    settings: InitSettings,
    *,
    width: int,
    seed: int,
    stream: int,
    device: torch.device,
) -> Run:
    torch.manual_seed(stream)
    model = subject.model(width).to(device)
    source = subject.batches or random_tokens.batches
    batches = list(
        islice(
            source(batch_size=settings.batch_size, seq_len=settings.seq_len, seed=stream),
            settings.batches,
        )
    )
    if len(batches) < settings.batches:
        raise InputError(
            f"--model {subject.name}: batches(...) gave {len(batches)} batches, "
            f"not {settings.batches}; lower --batches."
        )
    rows: list[InitRow] = []
    losses: list[float] = []
    for index, batch in enumerate(batches):
        loss, found = observe(model, partial(scalar_loss, subject, model, to_device(batch, device)))
        losses.append(loss)
        rows += [replaced(row, width=width, seed=seed, batch=index) for row in found]
    return Run(width=width, seed=seed, losses=tuple(losses), rows=tuple(rows))


def replaced(row: InitRow, *, width: int, seed: int, batch: int) -> InitRow:
    """The row of one pass, put in its place among the others."""
    return InitRow(**{**asdict(row), "width": width, "seed": seed, "batch": batch})


def observe(model: nn.Module, loss: Callable[[], Tensor]) -> tuple[float, list[InitRow]]:
    """Run one forward and backward pass; gradients that were there are put back as they were.

    Args:
        model: left as it was.
        loss: calls the model; returns a scalar.

    Returns:
        The loss, and a row per tensor and kind (width 0, seed 0, batch 0).

    Raises:
        InputError: if the loss does not depend on any parameter.
    """
    recorder, wiring = Recorder(model), Wiring(model)
    with gradients_kept(model), recorder.step(KINDS), wiring.watch():
        value = loss()
        if not value.requires_grad:
            raise InputError(
                "the loss does not depend on any parameter of the model, so there are no "
                "gradients to look at; return it with its graph."
            )
        flow = wiring.flow(value)
        value.backward()
    expectations = _Expectations(flow=flow, calls=wiring.attention(), fans=_fans(recorder.take()))
    return value.item(), [_row(seen, expectations.of(seen)) for seen in recorder.take()]


@contextmanager
def gradients_kept(model: nn.Module) -> Iterator[None]:
    """Leave parameters' gradients as they were; those made inside are dropped one by one."""
    kept = {parameter: parameter.grad for parameter in model.parameters()}
    hooks = []
    for parameter in kept:
        parameter.grad = None
        if parameter.requires_grad:
            hooks.append(parameter.register_post_accumulate_grad_hook(_drop_gradient))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for parameter, gradient in kept.items():
            parameter.grad = gradient


def _drop_gradient(parameter: Tensor) -> None:
    parameter.grad = None


def _fans(measurements: Sequence[Measurement]) -> dict[str, Fans]:
    return {seen.tensor: seen.fans for seen in measurements if seen.fans is not None}


def _row(seen: Measurement, expected: Expectation) -> InitRow:
    return InitRow(
        width=0,
        seed=0,
        step=0,
        batch=0,
        tensor=seen.tensor,
        kind=seen.kind,
        order=seen.order,
        fan_in=seen.fans.fan_in if seen.fans else None,
        fan_out=seen.fans.fan_out if seen.fans else None,
        head_dim=seen.head_dim,
        count=seen.histogram.count,
        rms=seen.histogram.rms,
        absmax=seen.histogram.absmax,
        nonfinite=seen.histogram.nonfinite_count,
        expected_low=expected.low,
        expected_high=expected.high,
        because=expected.because,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expectations:
    """The laws, applied to what is wired to what."""

    flow: Flow
    calls: Sequence[Attention | None]
    fans: Mapping[str, Fans]

    def of(self, seen: Measurement) -> Expectation:
        if seen.kind is Kind.ATTENTION_LOGITS:
            assert seen.head_dim is not None
            return attention_logits(seen.head_dim)
        if seen.fans is None or seen.fans.is_vector:
            return UNIT
        if seen.kind is Kind.INPUT:
            return self._input(seen.tensor)
        if seen.kind is Kind.OUTPUT:
            return self._output(seen.tensor, seen.fans)
        if seen.kind is Kind.GRAD_OUTPUT:
            return self._gradient(seen.tensor)
        return UNIT

    def _input(self, layer: str) -> Expectation:
        calls = [call for index in self.flow.pooled.get(layer, ()) if (call := self.calls[index])]
        if not calls:
            return UNIT
        squares = [(call.forward / call.sigma) ** 2 for call in calls]
        return Expectation.at(
            sqrt(sum(squares) / len(squares)), "mean over visible positions ÷ σ of attention"
        )

    def _output(self, layer: str, fans: Fans) -> Expectation:
        if layer in self.flow.readouts:
            gain = forward_gain(Role.OUTPUT, fans)
            return Expectation.at(gain, f"1/√{fans.fan_in}: a readout")
        return self._input(layer)

    def _gradient(self, layer: str) -> Expectation:
        if layer in self.flow.readouts:
            return UNIT
        if parts := self.flow.parts.get(layer):
            return self._attended(parts)
        consumers = self.flow.consumers.get(layer, frozenset())
        if len(consumers) != 1 or consumers <= self.flow.readouts:
            return UNIT
        (after,) = consumers
        fans = self.fans[after]
        gain = backward_gain(fans)
        if abs(gain - 1) < 1e-9:
            return UNIT
        return Expectation.at(gain, f"√({fans.fan_out}/{fans.fan_in}): came through {after}")

    def _attended(self, parts: Sequence[Any]) -> Expectation:
        squares = elements = 0.0
        for part in parts:
            call = self.calls[part.call]
            if call is None:
                continue
            arriving = [backward_gain(self.fans[after]) for after in self.flow.after(part.call)]
            unit = sqrt(sum(gain**2 for gain in arriving)) if arriving else 1.0
            gain = getattr(call, part.name) * unit / call.sigma
            squares += part.elements * gain**2
            elements += part.elements
        if not elements:
            return UNIT
        names = " and ".join(dict.fromkeys(part.name for part in parts))
        return Expectation.at(
            sqrt(squares / elements), f"gradient of softmax towards {names} ÷ σ of attention"
        )
