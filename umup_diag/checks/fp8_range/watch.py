"""Following a recording that is being made, until the user has seen enough."""

from pathlib import Path
from time import sleep

from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.checks.fp8_range.watcher import Watcher, lines
from umup_diag.errors import InputError
from umup_diag.measure.recorder import MATMUL_KINDS
from umup_diag.measure.workplace import Workplace
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import Frame, Recording
from umup_diag.recording.follower import Follower

SECONDS = 1.0  #: between two looks at the file


def watch(folder: Path, settings: RangeSettings, workplace: Workplace) -> list[Frame]:
    """Say what comes near a limit as the frames come, until Ctrl-C; gives all frames.

    Raises:
        InputError: if the folder's recording cannot be read, or is not of a training run.
    """
    follower, watcher = Follower(folder / Recording.FILE), Watcher(settings=settings)
    frames: list[Frame] = []
    workplace.say(f"watching {folder}; Ctrl-C judges what is there by then.")
    try:
        while True:
            new = follower.read()
            if follower.has_restarted:  # a resumed run takes frames back
                frames, watcher = [], Watcher(settings=settings)
            for frame in _of_training(new, folder, follower.command):
                frames.append(frame)
                for line in lines(frame.step, watcher.see(frame)):
                    workplace.say(line)
            sleep(SECONDS)
    except KeyboardInterrupt:
        return frames


def recorded(recording: Recording) -> list[Frame]:
    """The frames of a recording of training.

    Raises:
        InputError: if it is of something else.
    """
    return _of_training(recording.frames, recording.path, recording.command)


def _of_training(frames: list[Frame], source: Path | None, command: str) -> list[Frame]:
    is_of_training = all(
        isinstance(record.statistics, CodeHistogram) and record.kind in MATMUL_KINDS
        for frame in frames
        for record in frame.records
    )
    if not is_of_training:
        raise InputError(
            f"{source} is not a recording of a training run, but of umup-diag {command}.\n"
            "Give one that umup-diag record wrote, or a checkpoint."
        )
    return frames
