"""A TOML file as text: what it says, and in which line."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umup_diag.errors import InputError, in_a_line


@dataclass(frozen=True, slots=True)
class Document:
    """A TOML file's text, to point at lines in."""

    path: Path
    text: str

    def parse(self) -> dict[str, Any]:
        """Its content.

        Raises:
            InputError: if it is not TOML.
        """
        try:
            return tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            at = re.search(r"\(at line (\d+), column (\d+)\)|\(at end of document\)", str(error))
            line = at.group(1) if at and at.group(1) else str(len(self.text.splitlines()) or 1)
            reason = str(error).split(" (at ")[0]
            raise InputError(f"{self.path}:{line}: this is not TOML: {reason}.") from None
        except RecursionError:
            raise InputError(f"{self.path}:1: it is nested deeper than any plan.") from None
        except ValueError as error:  # a number of thousands of digits, a date that is none
            reason = in_a_line(error, at_most=100)
            raise InputError(f"{self.path}:1: a value in it cannot be read: {reason}.") from None

    def line(self, key: str, *, table: str = "", index: int = 0) -> int:
        """Line of a key: in the table of that name, and in the index-th if there are several."""
        here, count, header = "", -1 if table else 0, 1
        assignment = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*(=|\.)")
        for number, line in enumerate(self.text.splitlines(), start=1):
            if found := re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?", line):
                here = found.group(1).replace('"', "")
                if here == table:
                    count += 1
                    header = number
                if count == index and here == f"{table}.{key}".lstrip("."):
                    return number
            elif here == table and count == index and assignment.match(line):
                return number
        return header

    def error(self, message: str, key: str = "", *, table: str = "", index: int = 0) -> InputError:
        """The exception for what is wrong with a key."""
        return InputError(f"{self.path}:{self.line(key, table=table, index=index)}: {message}")
