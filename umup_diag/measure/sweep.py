"""Short runs at every width and seed, into a recording that can be taken up again."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from umup_diag.errors import InputError
from umup_diag.measure.corpus import Corpus
from umup_diag.measure.environment import environment
from umup_diag.measure.recording import Recording
from umup_diag.measure.subject import Subject
from umup_diag.measure.training import Schedule, train
from umup_diag.scaling import optimizers, schemes

FILE = "recording.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSettings:
    """Everything that the rows of a sweep depend on, as kept in its recording.

    Attributes:
        model: import path of the subject.
        widths: ascending.
        seeds: runs at each width.
        seed: what their random numbers start from.
        steps: updates.
        optimizer: by name; None for the subject's own.
        lr: for a named optimizer.
        batch_size: sequences.
        seq_len: tokens each.
        text: the corpus, by name.
        text_digest: and by content.
        target: the scheme whose slopes the model is held to.
        build: keyword arguments of `build` besides the width.
    """

    model: str
    widths: tuple[int, ...]
    seeds: int
    seed: int
    steps: int
    optimizer: str | None
    lr: float | None
    batch_size: int
    seq_len: int
    text: str
    text_digest: str
    target: str
    build: Mapping[str, Any] = field(default_factory=dict)

    @property
    def keys(self) -> list[tuple[int, int]]:
        """(width, seed) of every run, narrowest first."""
        return [(width, seed) for width in self.widths for seed in range(self.seeds)]

    @property
    def schedule(self) -> Schedule:
        """How each run trains."""
        return Schedule(
            steps=self.steps,
            optimizer=self.optimizer,
            lr=self.lr,
            batch_size=self.batch_size,
            seq_len=self.seq_len,
        )


def plan(
    subject: Subject,
    corpus: Corpus,
    *,
    widths: tuple[int, ...],
    seeds: int,
    seed: int,
    steps: int,
    optimizer: str | None,
    lr: float | None,
    batch_size: int,
    seq_len: int,
    target: str | None,
    build: Mapping[str, Any] | None = None,
) -> SweepSettings:
    """Fill in what was left open: the optimizer, its learning rate, the target scheme.

    Raises:
        InputError: for an unknown optimizer or scheme, or a learning rate for an optimizer that is
            the subject's own.
    """
    optimizer, lr = which_optimizer(subject, optimizer, lr)
    return SweepSettings(
        model=subject.name,
        widths=widths,
        seeds=seeds,
        seed=seed,
        steps=steps,
        optimizer=optimizer,
        lr=lr,
        batch_size=batch_size,
        seq_len=seq_len,
        text=corpus.name,
        text_digest=corpus.digest,
        target=schemes.get(target or subject.target).name,
        build=dict(build or {}),
    )


def which_optimizer(
    subject: Subject, optimizer: str | None, lr: float | None
) -> tuple[str | None, float | None]:
    """The optimizer's name and its learning rate; None and None for the subject's own.

    Raises:
        InputError: for an unknown optimizer, or a learning rate for the subject's own.
    """
    if optimizer is None and subject.optimizer is None:
        optimizer = "adam"
    if optimizer is None and lr is not None:
        raise InputError(
            f"--lr needs --optimizer: {subject.name} brings its own optimizer(model), which "
            "sets its own."
        )
    if optimizer is not None:
        optimizers.get(optimizer)
        lr = subject.lr(optimizer) if lr is None else lr
    return optimizer, lr


def begin(settings: SweepSettings, out: Path, device: torch.device) -> Recording:
    """Start a recording in `out`; one that was never finished is set aside, not overwritten.

    Raises:
        InputError: if `out` cannot be written.
    """
    path = out / FILE
    try:
        unfinished = path.exists() and _unfinished(path)
        if unfinished:
            path.replace(path.with_suffix(".unfinished.jsonl"))
    except OSError as error:
        raise InputError(f"cannot write to --out {out}: {error.strerror}.") from None
    return Recording.create(path, asdict(settings), environment(device))


def resume(out: Path) -> tuple[SweepSettings, Recording]:
    """Take up the recording in `out`.

    Raises:
        InputError: if there is none.
    """
    recording = Recording.load(out / FILE)
    fields: dict[str, Any] = {**recording.settings}
    return SweepSettings(**{**fields, "widths": tuple(fields["widths"])}), recording


def same_text(name: str, digest: str) -> Corpus:
    """The text that a recording was made with.

    Args:
        name: of the corpus.
        digest: that it had then.

    Raises:
        InputError: if it is gone or has changed.
    """
    corpus = Corpus.load() if name == Corpus.MANUAL else Corpus.load(Path(name))
    if corpus.digest != digest:
        raise InputError(f"the text {name} has changed since the run began; start anew.")
    return corpus


def _unfinished(path: Path) -> bool:
    try:
        recording = Recording.load(path)
    except InputError:
        return True
    runs: int = len(recording.settings["widths"]) * recording.settings["seeds"]
    return len(recording.runs) < runs


def sweep(
    subject: Subject,
    corpus: Corpus,
    settings: SweepSettings,
    recording: Recording,
    *,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Do the runs that the recording does not have yet.

    A run that meets a loss that is not finite ends early and ends the sweep: the finding is made.

    Args:
        subject: what to train.
        corpus: text for it.
        settings: from `plan` or `resume`.
        recording: from `begin` or `resume`.
        device: where to train.
        progress: called with width and seed after each run.
    """
    for width, seed in settings.keys:
        run = recording.runs.get((width, seed))
        if run is None:
            sequence = np.random.SeedSequence([settings.seed, seed])
            run = train(
                subject,
                corpus,
                settings.schedule,
                width=width,
                seed=seed,
                stream=int(sequence.generate_state(1)[0]),
                device=device,
            )
            recording.append(run)
        if progress is not None:
            progress(width, seed)
        if len(run.losses) <= settings.steps or not np.isfinite(run.losses[-1]):
            return
