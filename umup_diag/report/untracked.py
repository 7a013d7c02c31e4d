"""Where results go when nobody said where: never over what a repository keeps."""

import subprocess
from pathlib import Path

NAME = "untracked"


def untracked(out: Path) -> Path:
    """A default folder or file of results, or its namesake under ``untracked/`` if git tracks it.

    Args:
        out: the default, relative to the working directory: ``reports/coordcheck``.

    Returns:
        `out`, or ``reports/untracked/coordcheck`` where git tracks `out` or a file in it.
    """
    if not _is_tracked(out):
        return out
    return out.parent / NAME / out.name


def ignore(out: Path) -> None:
    """Keep ``untracked/`` out of ``git status``, if `out` is in there.

    Raises:
        OSError: if that cannot be written.
    """
    if out.parent.name == NAME:
        out.parent.mkdir(parents=True, exist_ok=True)
        (out.parent / ".gitignore").write_text("*\n", encoding="utf-8")


def _is_tracked(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z", "--", str(path)], capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False  # no git, no repository
    return done.returncode == 0 and bool(done.stdout)
