"""Short training runs at every size and seed, into a recording that can be taken up again."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import inf, isfinite
from pathlib import Path

import torch

from umup_diag.checks.coordcheck import COORDCHECK, verification
from umup_diag.checks.coordcheck.judge import FILLED_IN, judge
from umup_diag.checks.coordcheck.settings import CoordcheckSettings
from umup_diag.checks.verdict import Verdict
from umup_diag.errors import InputError
from umup_diag.measure import environment
from umup_diag.measure.data.corpus import Corpus
from umup_diag.measure.data.run_seed import run_seed
from umup_diag.measure.rescaled import rescaled
from umup_diag.measure.subject import Subject
from umup_diag.measure.training import Schedule, train
from umup_diag.measure.workplace import Progress, Workplace, silent
from umup_diag.recording import Frame, Recording
from umup_diag.scaling import schemes
from umup_diag.scaling.kinds import Kind
from umup_diag.settings.axes import WIDTH

UNFINISHED = "recording.unfinished.jsonl"
LARGEST_RISE = 1000  #: of the loss; a planted fault at a small rate raises it a few times at most
#: What one update may be to take off the loss, over the loss. Gradients of unit size, as u-µP's ops
#: give them, foretell some thousands at a small rate.
LARGEST_FALL = 1e8


def resolve(settings: CoordcheckSettings) -> CoordcheckSettings:
    """The settings with the optimizer, its learning rate and the target filled in.

    Raises:
        InputError: if the model cannot be loaded; for an unknown optimizer or scheme; for a
            learning rate without the name of an optimizer, where the model brings its own.
    """
    return complete(settings, Subject.load(settings.model, build=settings.build))


def complete(settings: CoordcheckSettings, subject: Subject) -> CoordcheckSettings:
    """The same for a subject at hand: `settings.model` is but its name."""
    if settings.verify_fix and list(settings.axes) != [WIDTH]:
        raise InputError("--verify-fix knows width alone; leave out the other axes.")
    optimizer, lr = subject.choose_optimizer(settings.optimizer, settings.lr, settings.weight_decay)
    target = schemes.get(settings.target or subject.target).name
    return replace(settings, optimizer=optimizer, lr=lr, target=target, **settings.filled_in)


def measure(settings: CoordcheckSettings, workplace: Workplace) -> Recording:
    """Train at every place and seed, in a new recording or to the end of an unfinished one.

    A new recording takes the place of a finished one; an unfinished one is kept beside it.

    Args:
        settings: as `resolve` leaves them.
        workplace: folder of the recording.

    Raises:
        InputError: if the model cannot be built or trained, the text not read, or the folder not
            written; if the recording to resume is another check's, has other settings, or was made
            with another text.
    """
    device = environment.device(settings.device)
    subject = Subject.load(settings.model, build=settings.build)
    corpus = Corpus.load(settings.text)
    if workplace.resume:
        recording = _resume(workplace.out, settings, corpus)
    else:
        _set_unfinished_aside(workplace.out)
        found_out = {"text_digest": corpus.digest}
        if subject.filled_in:
            found_out[FILLED_IN] = subject.filled_in
        recording = Recording.create(
            workplace.out,
            command=COORDCHECK.name,
            settings=settings.encode(),
            environment={**environment.environment(device), **found_out},
        )
    sweep(subject, corpus, settings, recording, device=device, progress=workplace.progress)
    return recording


def sweep(
    subject: Subject,
    corpus: Corpus,
    settings: CoordcheckSettings,
    recording: Recording,
    *,
    device: torch.device,
    progress: Progress = silent,
    kinds: Collection[Kind] = (),
) -> None:
    """Do the runs that a recording does not have yet, until they settle the verdict.

    A run that meets a loss that is not finite ends early and ends the sweep: the finding is made.

    Args:
        subject: what to train.
        corpus: text, for a subject that brings no batches.
        settings: as `complete` leaves them.
        recording: gets the frames of each run, appended together.
        device: to train on.
        progress: called for each place with the number of its runs done.
        kinds: of tensors whose moments to record besides; the judge reads none of them.

    Raises:
        InputError: if the model cannot be built or trained, or the recording not written.
    """
    schedule = Schedule(
        steps=settings.steps,
        optimizer=settings.optimizer,
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        batch_size=settings.batch_size,
        seq_len=settings.seq_len,
        kinds=kinds,
        spectral=settings.spectral,
    )
    run = partial(train, corpus=corpus, schedule=schedule, device=device)
    _runs(partial(run, subject), settings, recording, progress)
    if settings.verify_fix:
        changes = verification.changes(verification.split(recording)[0], settings)
        if changes:
            fixed = rescaled(subject, changes, base_width=settings.axes[WIDTH][0])
            _runs(partial(run, fixed), settings, recording, progress, is_fixed=True)


def _runs(
    run: Callable[..., Iterable[Frame]],
    settings: CoordcheckSettings,
    recording: Recording,
    progress: Progress,
    *,
    is_fixed: bool = False,
) -> None:
    """Of the model as it is, or of that with the fixes."""
    suffix = ", fixed" if is_fixed else ""
    for seeds in settings.looks:
        recorded = verification.split(recording)[is_fixed].runs()
        planned = settings.runs(seeds)
        labels = {_key(place): f"{_words(place, settings)}{suffix}" for place, _ in planned}
        total = Counter(_key(place) for place, _ in planned)
        done = Counter(_key(place) for place, seed in planned if _key(place, seed) in recorded)
        for key, label in labels.items():
            progress(label, done[key], total[key])
        for place, seed in planned:
            frames = recorded.get(_key(place, seed))
            if frames is None:
                stream = run_seed(settings.seed, seed)
                frames = [frame.in_moments() for frame in run(seed=seed, stream=stream, **place)]
                if place == settings.places[0]:  # larger ones may show just what is wrong
                    _require_small_changes(frames, settings)
                if is_fixed:
                    frames = [verification.marked(frame) for frame in frames]
                recording.append(*frames)
                key = _key(place)
                done[key] += 1
                progress(labels[key], done[key], total[key])
            if not isfinite(frames[-1].losses[-1]):
                return
        if _is_settled(verification.split(recording)[is_fixed], settings, seeds):
            return


def _key(place: Mapping[str, int], seed: int | None = None) -> tuple[tuple[str, float], ...]:
    return *place.items(), *([] if seed is None else [("seed", seed)])


def _words(place: Mapping[str, int], settings: CoordcheckSettings) -> str:
    """Where a model is built, on the axes that are varied."""
    return ", ".join(f"{name} {place[name]:>5}" for name in settings.axes)


def _is_settled(runs: Recording, settings: CoordcheckSettings, seeds: int) -> bool:
    """Whether no further look would be taken."""
    last = seeds == settings.looks[-1]
    alone = replace(settings, verify_fix=False)
    return last or judge(runs, alone).verdict is not Verdict.INCONCLUSIVE


def _require_small_changes(frames: Sequence[Frame], settings: CoordcheckSettings) -> None:
    """Refuse a learning rate beyond any regime in which slopes mean something.

    Raises:
        InputError: if the loss rises a thousandfold and yet is finite, or if one update is to take
            off it many times what there is of it.
    """
    losses = [frame.losses[-1] for frame in frames]
    if 0 < LARGEST_RISE * abs(losses[0]) < max(losses) < inf:
        rate = "" if settings.lr is None else f", {settings.lr:g},"
        raise InputError(
            f"the learning rate{rate} is far too large: the loss rises from {losses[0]:.3g} to "
            f"{max(losses):.3g} in {len(losses) - 1} updates.\n"
            "Slopes over width are measured while changes are small; lower --lr."
        )
    changes = [r.value for f in frames[1:2] for r in f.records if r.kind == Kind.LOSS_CHANGE]
    if all(map(isfinite, losses)) and LARGEST_FALL * abs(losses[0]) < sum(changes):
        raise InputError(
            "the learning rate is far too large: to first order, one update is to take "
            f"{sum(changes):.0e} off a loss of {losses[0]:.3g}.\n"
            "Slopes over width are measured while changes are small; lower --lr."
        )


def _resume(folder: Path, settings: CoordcheckSettings, corpus: Corpus) -> Recording:
    recording = Recording.resume(folder)
    # the device may be another one than the run began on
    recorded = {**recording.settings, "device": settings.device}
    if recording.command != COORDCHECK.name or CoordcheckSettings.decode(recorded) != settings:
        raise InputError(
            f"{recording.path} is no coord check with these settings, so it cannot be resumed with "
            "them; start anew."
        )
    if recording.environment.get("text_digest") != corpus.digest:
        raise InputError(f"the text {corpus.name} has changed since the run began; start anew.")
    return recording


def _set_unfinished_aside(folder: Path) -> None:
    try:
        if (folder / Recording.FILE).exists() and not _is_finished(folder):
            (folder / Recording.FILE).replace(folder / UNFINISHED)
    except OSError as error:
        raise InputError(f"cannot write to --out {folder}: {error.strerror}.") from None


def _is_finished(folder: Path) -> bool:
    """Whether the recording in a folder is of a coord check that came to its end."""
    try:
        recording = Recording.load(folder)
        settings = CoordcheckSettings.decode(recording.settings)
    except InputError:
        return False
    if recording.command != COORDCHECK.name:
        return False
    plain, fixed = verification.split(recording)
    if not settings.verify_fix or not _is_through(plain, settings):
        return _is_through(plain, settings)
    return _is_through(fixed, settings) or not verification.changes(plain, settings)


def _is_through(runs: Recording, settings: CoordcheckSettings) -> bool:
    if not all(map(isfinite, runs.losses)):
        return True
    done = len(runs.runs())
    return any(
        len(settings.runs(seeds)) == done and _is_settled(runs, settings, seeds)
        for seeds in settings.looks
    )
