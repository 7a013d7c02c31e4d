"""Small models with one pass each, and one of the width of interest without memory."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from umup_diag.checks.audit import AUDIT
from umup_diag.checks.audit.measured import DEPTH
from umup_diag.checks.audit.settings import AuditSettings
from umup_diag.checks.result import NoteKind
from umup_diag.errors import InputError
from umup_diag.measure import environment
from umup_diag.measure.data.corpus import Corpus
from umup_diag.measure.data.run_seed import run_seed
from umup_diag.measure.init_scales import initial_weights, one_pass
from umup_diag.measure.subject import Subject
from umup_diag.measure.trained_with import trained_with
from umup_diag.measure.training import scalar_loss, to_device
from umup_diag.measure.without_memory import without_memory
from umup_diag.measure.workplace import Workplace
from umup_diag.recording import Frame, Recording, TensorRecord
from umup_diag.scaling import schemes, weight_decay

DEPTHS = (2, 8)  #: of the models that schemes are compared by in depth


def resolve(settings: AuditSettings) -> AuditSettings:
    """The settings with optimizer, learning rate, target and decay rule filled in.

    Raises:
        InputError: if the model cannot be loaded; for an unknown optimizer, scheme or rule.
    """
    subject = Subject.load(settings.model, build=settings.build)
    optimizer, lr = subject.choose_optimizer(settings.optimizer, settings.lr, settings.weight_decay)
    target = schemes.get(settings.target or subject.target)
    rule = settings.decay_rule or target.weight_decay.name
    return replace(
        settings,
        optimizer=optimizer,
        lr=lr,
        target=target.name,
        decay_rule=weight_decay.get(rule).name,
    )


def measure(settings: AuditSettings, workplace: Workplace) -> Recording:
    """A frame for each small model, and one for each width that is looked at without memory.

    Raises:
        InputError: if the model cannot be loaded, built or run, or the folder not written.
    """
    device = environment.device(settings.device)
    subject = Subject.load(settings.model, build=settings.build)
    corpus = Corpus.load(settings.text)
    large = [width for width in (settings.base_width, settings.width) if width is not None]
    others, notes = _large_frames(subject, settings, large)
    if settings.which_scheme:
        deep, why_not = _depth_frames(settings, corpus, device)
        others, notes = [*others, *deep], [*notes, *why_not]
    recording = Recording.create(
        workplace.out,
        command=AUDIT.name,
        settings=settings.encode(),
        environment=environment.environment(device),
        notes=notes,
    )
    total = settings.seeds
    for width in settings.widths:
        label = f"width {width:>5}"
        workplace.progress(label, 0, total)
        for seed in range(total):
            records = _small(
                subject,
                settings,
                corpus,
                width=width,
                stream=run_seed(settings.seed, seed),
                device=device,
            )
            recording.append(_frame(width, seed, records))
            workplace.progress(label, seed + 1, total)
    recording.append(*others)
    return recording


def _depth_frames(
    settings: AuditSettings, corpus: Corpus, device: torch.device
) -> tuple[list[Frame], list[tuple[str, str]]]:
    """Models of the narrowest width at several depths, or a note on why there are none."""
    width, frames = min(settings.widths), []
    stream = run_seed(settings.seed, 0)
    for depth in DEPTHS:
        try:
            subject = Subject.load(settings.model, build={**settings.build, DEPTH: depth})
            records = _small(subject, settings, corpus, width=width, stream=stream, device=device)
        except InputError as error:
            reason = str(error).splitlines()[0]
            text = f"Schemes are compared in width alone: no model of depth {depth}: {reason}"
            return [], [(NoteKind.CAUTION, text)]
        point = {"width": width, "seed": 0, DEPTH: depth}
        frames.append(Frame(point=point, step=0, records=tuple(records)))
    names = [{record.tensor for record in frame.records} for frame in frames]
    if names[0] == names[-1]:
        text = "Schemes are compared in width alone: build(width, depth=…) makes no more layers."
        return [], [(NoteKind.CAUTION, text)]
    return frames, []


def _small(
    subject: Subject,
    settings: AuditSettings,
    corpus: Corpus,
    *,
    width: int,
    stream: int,
    device: torch.device,
) -> list[TensorRecord]:
    """All that is measured of one small model."""
    torch.manual_seed(stream)
    model = subject.model(width).to(device)
    batch = subject.batch(
        corpus, batch_size=settings.batch_size, seq_len=settings.seq_len, seed=stream
    )
    loss = partial(scalar_loss, subject, model, to_device(batch, device))
    return [
        *_settings_of(subject, settings, model),
        *initial_weights(model),
        *one_pass(model, loss),
    ]


def _frame(width: float, seed: int, records: Sequence[TensorRecord]) -> Frame:
    return Frame(point={"width": width, "seed": seed}, step=0, records=tuple(records))


def _large_frames(
    subject: Subject, settings: AuditSettings, widths: Sequence[int]
) -> tuple[list[Frame], list[tuple[str, str]]]:
    """Settings at the widths of interest, and a note on what could not be built there.

    Raises:
        InputError: if the model cannot be built at such a width by itself either.
    """
    frames: list[Frame] = []
    for width in widths:
        try:
            with without_memory():
                model = subject.model(width)
                records = _settings_of(subject, settings, model)
        except InputError as error:
            reason = str(error).splitlines()[0]
            text = (
                f"Width {width} was not built, so that its numbers are powers of the small "
                f"models': without memory, {reason}"
            )
            return frames, [(NoteKind.CAUTION, text)]
        frames.append(_frame(width, 0, records))
    return frames, []


def _settings_of(subject: Subject, settings: AuditSettings, model: nn.Module) -> list[TensorRecord]:
    """What the subject's optimizer trains a model with.

    Raises:
        InputError: if it cannot be made, or its groups cannot be read.
    """
    if settings.optimizer is None:
        return trained_with(model, subject.own_optimizer(model))
    assert settings.lr is not None
    groups = subject.groups(
        model, optimizer=settings.optimizer, lr=settings.lr, weight_decay=settings.weight_decay
    )
    given = [dict(group) for group in groups]
    optimizer = subject.named_optimizer(settings.optimizer, groups)
    return trained_with(model, optimizer, given=given)
