"""Axes that a model is built along, by the names of arguments of its ``build``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from umup_diag.settings.values import Table, sizes

WIDTH, DEPTH = "width", "depth"
OPTIONS: Mapping[str, str] = {WIDTH: "--widths", DEPTH: "--depths"}  #: axes with one of their own


@dataclass(frozen=True, slots=True)
class Axes(Table):
    """``name=1..8`` again and again: whole numbers, as widths are written."""

    name = "name=1..8"

    def parse(self, text: str) -> dict[str, Any]:
        """One axis."""
        name, equals, written = text.partition("=")
        if not (name.isidentifier() and equals and written):
            raise ValueError(f"{text!r} is not like kv_repeat=1..8.")
        return self.convert({name: written})

    def convert(self, value: Any) -> dict[str, Any]:
        """A copy with whole numbers, or what several entries make together."""
        if isinstance(value, tuple):
            named = [name for entry in value for name in entry]
            if twice := [name for name in named if named.count(name) > 1]:
                raise ValueError(f"{twice[0]} is given twice")
            value = {name: one for entry in value for name, one in entry.items()}
        if not isinstance(value, dict):
            raise ValueError('write a table, as in axis = {kv_repeat = "1..8"}')
        for name, option in OPTIONS.items():
            if name in value:
                raise ValueError(f"{name} has an option of its own; use {option}")
        return {name: _sizes(name, one) for name, one in value.items()}

    @staticmethod
    def words(value: Mapping[str, Any]) -> list[str]:
        """The entries as `parse` reads them."""
        return [f"{name}={','.join(map(str, one))}" for name, one in value.items()]


def _sizes(name: str, value: Any) -> tuple[int, ...]:
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    try:
        return sizes(text, "value", "like 1..8 nor like 1,2,3")
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


AXES = Axes()
