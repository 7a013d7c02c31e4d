"""How the fresh families' faults are written down: one fault, or the same one in many families."""

from collections.abc import Iterator
from typing import Any

from benchmarks.verdicts.fresh.healthy import trained_with
from benchmarks.verdicts.plant import Plant, plant
from benchmarks.verdicts.recipe import Edit, Family, edit

Rows = tuple[tuple[Family, str, str], ...]  #: family, optimizer, tensor


def planted(family: Family, name: str, optimizer: str, *edits: Edit, **more: Any) -> Plant:
    """One fault under one optimizer."""
    return plant(trained_with(optimizer, family), name, optimizer, *edits, **more)


def same(name: str, what: str, power: float, rows: Rows) -> Iterator[Plant]:
    """The same fault in each row's family, under its optimizer, at its tensor."""
    for family, optimizer, where in rows:
        yield planted(family, name, optimizer, edit(where, what, power))
