"""A check plan: one TOML file that says which check to run, on what, with which settings.

::

    check = "unit-scale"              # a command of umup-diag
    description = "unit scale at init, as deep as we train"
    model = "mypkg.mymodel"           # every other key is an option of that command: --seq-len is
    width = [128, 512]                # seq_len, with the same default
    build = {depth = 8}               # keyword arguments of build(width, …)

    [[exceptions]]                    # unit-scale only: a range that you accept, and why
    tensor = "layers.*.attention.q"   # a name or a pattern
    kind = "grad_output"              # left out: every kind
    range = [0.0, 0.2]
    reason = "small by nature, see the paper"

Everything here is text in, plan out; `umup_diag.plans.files` reads the files.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umup_diag.errors import InputError
from umup_diag.plans.document import Document

#: What every plan may say besides the options of its check.
COMMON = ("check", "description")
EXCEPTION_KEYS = ("tensor", "kind", "range", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a plan.

    Attributes:
        name: as in TOML.
        convert: from a TOML value; raises ValueError with what would do.
        default: when neither the plan nor pyproject.toml has it.
    """

    name: str
    convert: Callable[[Any], Any]
    default: Any


Schema = Mapping[str, Key]  #: name → key, of one check


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A valid plan.

    Attributes:
        path: of its file.
        check: which.
        description: in the user's words; may be empty.
        settings: all options of the check, defaults filled in.
        lines: key → its line in the file.
    """

    path: Path
    check: str
    description: str
    settings: Mapping[str, Any]
    lines: Mapping[str, int]

    @property
    def name(self) -> str:
        """Of the plan and of its folder of results."""
        return self.path.stem


def parse(
    document: Document,
    schemas: Mapping[str, Schema],
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
) -> Plan:
    """Read one plan.

    Args:
        document: the file.
        schemas: check → its keys.
        defaults: check → converted values that take the place of the keys' own.

    Raises:
        InputError: naming file, line, key and the nearest valid one.
    """
    content = document.parse()
    if not content:
        raise InputError(f'{document.path}:1: this plan is empty; begin with check = "unit-scale".')
    check = content.get("check")
    if check is None:
        raise InputError(
            f'{document.path}:1: there is no key check; add check = "…", '
            f"one of {', '.join(schemas)}.{_rather(content, ['check'])}"
        )
    if check not in schemas:
        raise document.error(
            f"check = {check!r} is no check{_nearest(str(check), schemas)}; "
            f"there are {', '.join(schemas)}.",
            "check",
        )
    schema = schemas[check]
    for name in content:
        if name not in schema and name not in COMMON:
            raise document.error(
                f"{check} has no key {name!r}{_nearest(name, [*schema, *COMMON])}; "
                f"it has {', '.join([*COMMON, *schema])}.",
                name,
            )
    description = content.get("description", "")
    if not isinstance(description, str):
        raise document.error("description is a string.", "description")
    settings = {key.name: key.default for key in schema.values()}
    settings |= (defaults or {}).get(check, {})
    for name, key in schema.items():
        if name in content:
            settings[name] = _convert(document, key, content[name])
    return Plan(
        path=document.path,
        check=check,
        description=description,
        settings=settings,
        lines={name: document.line(name) for name in content},
    )


def parse_defaults(
    document: Document, schemas: Mapping[str, Schema]
) -> dict[str, Mapping[str, Any]]:
    """Read ``[tool.umup-diag]`` of a pyproject.toml: check → values in place of its defaults.

    Keys at its top apply to every check that has them; a table named after a check, such as
    ``[tool.umup-diag.coordcheck]``, to that check alone.

    Raises:
        InputError: naming file, line, key and the nearest valid one.
    """
    table = document.parse().get("tool", {}).get("umup-diag", {})
    where = "tool.umup-diag"
    every = {name: key for schema in schemas.values() for name, key in schema.items()}
    shared = {name: value for name, value in table.items() if name not in schemas}
    for name in shared:
        if name not in every:
            raise document.error(
                f"[{where}] has no key {name!r}{_nearest(name, [*every, *schemas])}.",
                name,
                table=where,
            )
    defaults: dict[str, Mapping[str, Any]] = {}
    for check, schema in schemas.items():
        own = table.get(check, {})
        inner = f"{where}.{check}"
        for name in own:
            if name not in schema:
                raise document.error(
                    f"[{inner}] has no key {name!r}{_nearest(name, schema)}.", name, table=inner
                )
        found = {
            name: _convert(document, schema[name], value, table=where)
            for name, value in shared.items()
            if name in schema and name not in own
        }
        found |= {
            name: _convert(document, schema[name], value, table=inner)
            for name, value in own.items()
        }
        defaults[check] = found
    return defaults


def _convert(document: Document, key: Key, value: Any, *, table: str = "") -> Any:
    try:
        return key.convert(value)
    except ExceptionsError as error:
        raise document.error(
            f"exceptions: {error}", error.key, table="exceptions", index=error.index
        ) from None
    except ValueError as error:
        raise document.error(f"{key.name} = {value!r}: {error}", key.name, table=table) from None


class ExceptionsError(ValueError):
    """What is wrong with one of the ``[[exceptions]]``."""

    def __init__(self, message: str, *, key: str, index: int) -> None:
        super().__init__(message)
        self.key, self.index = key, index


def exceptions(value: Any) -> tuple[dict[str, Any], ...]:
    """Convert ``[[exceptions]]`` to the fields of `ScaleException`.

    Raises:
        ExceptionsError: if one of them is malformed.
    """
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ValueError("write each exception as a table of its own, under [[exceptions]]")
    return tuple(_exception(entry, index) for index, entry in enumerate(value))


def _exception(entry: Mapping[str, Any], index: int) -> dict[str, Any]:
    def wrong(message: str, key: str) -> ExceptionsError:
        return ExceptionsError(message, key=key, index=index)

    for name in entry:
        if name not in EXCEPTION_KEYS:
            raise wrong(f"there is no key {name!r}{_nearest(name, EXCEPTION_KEYS)}.", name)
    for name in ("tensor", "range", "reason"):
        if name not in entry:
            raise wrong(f"the key {name} is missing.{_rather(entry, EXCEPTION_KEYS)}", name)
    for name in ("tensor", "reason", "kind"):
        if name in entry and not (isinstance(entry[name], str) and entry[name].strip()):
            raise wrong(f"{name} is a string that says something.", name)
    ends = entry["range"]
    numbers = isinstance(ends, list) and all(
        isinstance(end, int | float) and not isinstance(end, bool) for end in ends
    )
    if not (numbers and len(ends) == 2 and 0 <= ends[0] <= ends[1]):
        raise wrong("range is [smallest RMS, largest RMS].", "range")
    return {
        "tensor": entry["tensor"],
        "kind": entry.get("kind"),
        "low": float(ends[0]),
        "high": float(ends[1]),
        "reason": entry["reason"],
    }


def _nearest(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _rather(found: Iterable[str], wanted: Iterable[str]) -> str:
    """Point at a key that looks like a missing one written wrongly."""
    wanted = list(wanted)
    for name in found:
        if name not in wanted and difflib.get_close_matches(name, wanted, n=1, cutoff=0.6):
            return f" There is {name!r}."
    return ""
