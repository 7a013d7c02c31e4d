"""Training runs at many points, in a pool, into one recording that can be taken up again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from umup_diag.errors import InputError
from umup_diag.measure import environment
from umup_diag.measure.cluster import cluster_pool
from umup_diag.measure.data.corpus import Corpus
from umup_diag.measure.data.run_seed import run_seed
from umup_diag.measure.loss_curve import CurveTask, loss_curve
from umup_diag.measure.pool import Pool, Submits, threads_each, usual_jobs
from umup_diag.measure.subject import Subject
from umup_diag.measure.workplace import Workplace
from umup_diag.recording import Frame, Recording
from umup_diag.recording.frame import Point, describe_point
from umup_diag.settings.option import settings_of
from umup_diag.settings.shared import TrainingRunSettings
from umup_diag.settings.sweep import WARMUP_SHARE, SweepSettings

S = TypeVar("S", bound=SweepSettings)
Key = tuple[tuple[str, float], ...]  #: a point that can be looked up
TUNED = 2.0**5  #: a rate to begin with, over the small one that a coord check trains at
JOBS = "jobs"  #: folder of a cluster's pickles and logs, beside the recording

#: Axes that are settings of the run; any other is an argument of the model's `build`.
RUN_AXES = frozenset(
    {"width", "steps", "batch_size", "seq_len", "lr", "weight_decay"}
    & {each.name for each in fields(TrainingRunSettings)}
)


#: Of those, what an octave grid cannot be laid over.
COUNTED = frozenset({"width", "steps", "batch_size", "seq_len"})


def require_axes(option: str, names: Iterable[str]) -> None:
    """That the seed is no axis: it is one already.

    Args:
        option: that named them.
        names: of axes or hyperparameters.

    Raises:
        InputError: if it is among them.
    """
    if "seed" in names:
        raise InputError(
            f"{option} seed: every point is trained with several seeds already; --seeds says with "
            "how many, --seed from which on."
        )


def at_point(base: TrainingRunSettings, point: Point, *, seed: int) -> TrainingRunSettings:
    """The settings of the run at a point: its axes, and the seed of its index on the seed axis.

    Args:
        base: what no axis says.
        point: axis → value; an axis that is no setting of a run goes to `build`.
        seed: of the sweep.
    """
    axes = {name: value for name, value in point.items() if name != "seed"}
    own = {name: value for name, value in axes.items() if name in RUN_AXES}
    built = {name: value for name, value in axes.items() if name not in RUN_AXES}
    run: TrainingRunSettings = replace(
        base,
        **own,  # type: ignore[arg-type]
        build={**base.build, **built},
        seed=run_seed(seed, int(point["seed"])),
    )
    return replace(run, warmup=round(WARMUP_SHARE * run.steps))


class Sweep:
    """The runs of a check: asked for by their points, done or read back, in a fixed order.

    A context manager; leaving it ends its processes.

    Attributes:
        recording: gets a frame a run, in the order in which runs were asked for.
        settings: of the check.
        base: of every run.
    """

    def __init__(
        self,
        settings: SweepSettings,
        base: TrainingRunSettings,
        workplace: Workplace,
        *,
        command: str,
        executor: Submits | None = None,
    ) -> None:
        """Begin, or go on with the recording in the workplace.

        Args:
            settings: of the check, as its `resolve` leaves them.
            base: of every run, where no axis says otherwise.
            workplace: folder of the recording.
            command: of the check.
            executor: to run on, in place of processes of its own.

        Raises:
            InputError: if the recording to resume is another check's or has other settings, if the
                text has changed, or if nothing can be written.
        """
        device = environment.device(settings.device)
        self.settings, self.base, self._progress = settings, base, workplace.progress
        corpus = Corpus.load(settings.text)
        jobs = settings.jobs or usual_jobs(device)
        if workplace.resume:
            self.recording = _resume(workplace.out, settings, corpus, command)
        else:
            self.recording = Recording.create(
                workplace.out,
                command=command,
                settings=settings.encode(),
                environment={
                    **environment.environment(device),
                    "threads": threads_each(jobs),
                    "text_digest": corpus.digest,
                },
            )
        self._known = {tuple(frame.point.items()): frame.losses for frame in self.recording.frames}
        threads = int(self.recording.environment["threads"])
        self._pool = _pool(settings, threads, workplace.out, jobs, executor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.__exit__(kind, error, trace)

    def curves(
        self, points: Sequence[Point], *, bounds: Mapping[Key, float] | None = None
    ) -> dict[Key, tuple[float, ...]]:
        """The losses of runs: those recorded already as they are, the others trained.

        Args:
            points: with a ``seed`` each.
            bounds: point → loss that the run must have come below by half of its updates.

        Raises:
            InputError: for what cannot be built or trained.
        """
        wanted = {tuple(point.items()): point for point in points}
        missing = {key: point for key, point in wanted.items() if key not in self._known}
        tasks = [
            CurveTask(
                name=f"the run at {describe_point(point)}",
                settings=at_point(self.base, point, seed=self.settings.seed),
                bound=(bounds or {}).get(key, inf),
            )
            for key, point in missing.items()
        ]
        done = len(self._known)
        total = done + len(tasks)
        self._progress("runs", done, total)
        curves = self._pool.run(loss_curve, tasks, name=lambda task: task.name)
        for (key, point), losses in zip(missing.items(), curves, strict=True):
            self.recording.append(Frame(point=point, step=len(losses), losses=losses))
            self._known[key] = losses
            done += 1
            self._progress("runs", done, total)
        return {key: self._known[key] for key in wanted}


def resolve(settings: S, lr: float | None) -> tuple[S, float | None]:
    """The settings with the optimizer filled in, and the learning rate where `lr` leaves it open.

    The latter is `TUNED` times the model's own, which is small.

    Raises:
        InputError: if the model cannot be loaded or brings a step of its own; for an unknown
            optimizer, or a rate or a decay for one that the model brings itself.
    """
    subject = Subject.load(settings.model, build=settings.build)
    if subject.step is not None:
        raise InputError(
            f"--model {subject.name} brings its own step(model, batch, optimizer), and a sweep "
            "trains by loss and optimizer alone."
        )
    optimizer, rate = subject.choose_optimizer(settings.optimizer, lr, settings.weight_decay)
    usual = None if rate is None else rate * TUNED
    return replace(settings, optimizer=optimizer), lr or usual


def _pool(
    settings: SweepSettings, threads: int, folder: Path, jobs: int, executor: Submits | None
) -> Pool:
    if executor is not None:
        return Pool.on(executor)
    if settings.cluster is not None:
        return cluster_pool(settings.cluster, settings.cluster_option, folder / JOBS)
    return Pool.local(jobs, threads=threads)


def _resume(folder: Path, settings: SweepSettings, corpus: Corpus, command: str) -> Recording:
    recording = Recording.resume(folder)
    kind = type(settings)
    places = {s.name: getattr(settings, s.name) for s in settings_of(kind) if s.option.is_place}
    if recording.command != command or kind.decode({**recording.settings, **places}) != settings:
        raise InputError(
            f"{recording.path} is no {command} with these settings, so it cannot be resumed with "
            "them; start anew."
        )
    if recording.environment.get("text_digest") != corpus.digest:
        raise InputError(f"the text {corpus.name} has changed since the sweep began; start anew.")
    return recording
