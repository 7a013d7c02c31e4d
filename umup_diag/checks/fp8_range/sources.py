"""What an FP8 range check is given to look at, seen from outside."""

from collections.abc import Sequence
from pathlib import Path

from umup_diag.measure.checkpoint.endings import is_read, what_it_is
from umup_diag.settings import precheck as prechecks

RECORDING = "recording.jsonl"


def precheck(sources: Sequence[Path]) -> None:
    """Refuse what is not there, is there twice, mixes kinds, or is surely no checkpoint.

    Raises:
        ValueError: saying what would do.
    """
    prechecks.existing_paths(sources)
    recordings = [source for source in sources if is_recording(source)]
    if recordings and len(sources) > 1:
        raise ValueError(
            f"{recordings[0]} holds the recording of a run, which is judged by itself.\n"
            f"Run umup-diag fp8-range {recordings[0]}, and the others apart from it."
        )
    for source in sources:
        if source.is_file() and source.stat().st_size and not is_read(source):
            try:
                raise ValueError(what_it_is(source))
            except OSError as error:
                raise ValueError(f"cannot read {source}: {error.strerror}.") from None


def is_recording(source: Path) -> bool:
    """Whether a folder holds a recording."""
    return (source / RECORDING).is_file()
