"""The tables of `umup-diag formats`."""

import math

import pytest
from rich.console import Console
from rich.table import Table

from umup_diag.numerics import formats
from umup_diag.report.formats_table import formats_table, value_table


def rows(table: Table) -> dict[str, list[str]]:
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(table)
    lines = [line.strip("│").split("│") for line in capture.get().splitlines() if "│" in line]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_limits() -> None:
    table = rows(formats_table())
    assert set(table) == set(formats.ALL)
    assert table["E4M3FN"] == [
        "8",
        "4",
        "3",
        "7",
        "448",
        "0.015625",
        "0.001953125",
        "> 464",
        "2^-10",
        "2",
        "0",
    ]
    assert table["E5M2"][4:9] == ["57344", "2^-14", "2^-16", "61440", "2^-17"]
    assert table["E8M0"][4:9] == ["2^127", "2^-127", "2^-127", "> 2.552118e+38", "–"]


@pytest.mark.parametrize(
    ("value", "name", "cells"),
    [
        (460.0, "E4M3FN", ["448", "448", "448", "448", "-2.61%"]),
        (464.0, "E4M3FN", ["448", "448", "448", "448", "-3.45%"]),
        (465.0, "E4M3FN", ["448", "448", "448", "nan", "-3.66%"]),
        (460.0, "E2M1", ["6", "6", "6", "–", "-98.70%"]),
        (2.0**-10, "E4M3FN", ["0", "0.001953125", "0", "0", "-100.00%"]),
        (-math.inf, "E5M2", ["-57344", "-57344", "-57344", "-inf", "–"]),
        (math.nan, "E2M1", ["nan", "nan", "nan", "–", "–"]),
    ],
)
def test_what_a_value_becomes(value: float, name: str, cells: list[str]) -> None:
    assert rows(value_table(value))[name] == cells
