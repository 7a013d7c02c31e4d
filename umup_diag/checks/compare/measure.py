"""Two recordings as one: the run is an axis of its points."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from umup_diag.checks.compare.settings import CompareSettings
from umup_diag.checks.result import NoteKind
from umup_diag.errors import InputError
from umup_diag.measure.workplace import Workplace
from umup_diag.recording import Recording

RUN = "run"  #: the axis; 0 is A and 1 is B


def measure(settings: CompareSettings, workplace: Workplace) -> Recording:
    """The moments of both recordings.

    Raises:
        InputError: if one cannot be read, they are of different commands, nothing is left to
            compare, or the folder of the results is one of theirs.
    """
    folders = settings.run_a, settings.run_b
    for folder in folders:
        if workplace.out.resolve() == folder.resolve():
            raise InputError(f"--out {workplace.out} holds a recording to compare; name another.")
    runs = [Recording.load(folder) for folder in folders]
    commands = [run.command for run in runs]
    if commands[0] != commands[1]:
        raise InputError(
            f"{folders[0]} is of umup-diag {commands[0]} and {folders[1]} of {commands[1]}; "
            "compare recordings of the same command."
        )
    found = Recording.create(
        workplace.out,
        command="compare",
        settings={"command": commands[0], "run_a": str(folders[0]), "run_b": str(folders[1])},
        environment=runs[1].environment,
        notes=_differences(*runs),
    )
    for number, run in enumerate(runs):
        selected = run.select(include=settings.include, exclude=settings.exclude)
        frames = [
            replace(frame.in_moments(), point={**frame.point, RUN: number}, wiring=None)
            for frame in selected.frames
            if frame.step is None or frame.step >= settings.after
        ]
        if not frames:
            raise InputError(f"{run.path} has no frame from step {settings.after} on.")
        found.append(*frames)
    return found


def _differences(a: Recording, b: Recording) -> list[tuple[str, str]]:
    """In what the runs were set up differently, a sentence."""
    changes = [
        f"{name} {_written(before)} → {_written(after)}"
        for of_a, of_b in ((a.settings, b.settings), (a.environment, b.environment))
        for name, before, after in _changed(of_a, of_b)
    ]
    text = f"Set up differently: {', '.join(changes)}." if changes else "Set up alike."
    return [(NoteKind.REMARK, text)]


def _changed(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    names = dict.fromkeys([*a, *b])
    return [(name, a.get(name), b.get(name)) for name in names if a.get(name) != b.get(name)]


def _written(value: Any) -> str:
    return "none" if value is None else str(value)
