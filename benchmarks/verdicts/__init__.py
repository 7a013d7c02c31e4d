"""Models that are scaled right and models that are not, with the truth about each.

Every case is an attribute by its name: ``--model benchmarks.verdicts:gpt2-adam-table-3``.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """The subject of the case of that name."""
    if not name.startswith("_") and "-" in name:
        from benchmarks.verdicts.manifest import find

        if found := find(name):
            return found.subject()
    raise AttributeError(f"there is no case {name!r}")
