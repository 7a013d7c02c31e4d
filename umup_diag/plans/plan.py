"""A check plan: one TOML file that says which check to run, on what, with which settings.

::

    check = "unit-scale"              # a command of umup-diag
    description = "unit scale at init, as deep as we train"
    model = "mypkg.mymodel"           # every other key is a setting of that check: --seq-len is
    width = [128, 512]                # seq_len, with the same default
    build = {depth = 8}               # keyword arguments of build(width, …)

    [[exceptions]]                    # unit-scale only: a range that you accept, and why
    tensor = "layers.*.attention.q"   # a name or a pattern
    kind = "grad_output"              # left out: every kind
    range = [0.0, 0.2]
    reason = "small by nature, see the paper"

Everything here is text in, plan out; `umup_diag.plans.files` reads the files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from umup_diag.checks.check import Check
from umup_diag.errors import InputError, in_a_line, short
from umup_diag.plans.document import Document
from umup_diag.settings.nearest import missing, nearest
from umup_diag.settings.option import REQUIRED, Settings, Where, settings_of
from umup_diag.settings.values import EntryError, FilePath, ValueType

#: What every plan may say besides the settings of its check.
COMMON = ("check", "description")
_OUT = "out"
_PROJECT_TABLE = "tool.umup-diag"

Checks = Mapping[str, Check[Any]]
Keys = Mapping[str, ValueType]  #: key → how it is written


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A valid plan.

    Attributes:
        path: of its file.
        check: to run.
        description: in the user's words; may be empty.
        settings: of the check, defaults filled in.
        out: folder of its results; None for one of the plan's name.
        lines: key → its line in the file.
    """

    path: Path
    check: Check[Any]
    description: str
    settings: Settings
    out: Path | None
    lines: Mapping[str, int]

    @property
    def name(self) -> str:
        """Of the plan and of its folder of results."""
        return self.path.stem


def parse(
    document: Document, checks: Checks, defaults: Mapping[str, Mapping[str, Any]] | None = None
) -> Plan:
    """Read one plan.

    Args:
        document: the file.
        checks: name → check.
        defaults: name → converted values that take the place of the settings' own defaults.

    Raises:
        InputError: naming file, line, key and the nearest valid one.
    """
    content = document.parse()
    if not content:
        raise InputError(f'{document.path}:1: this plan is empty; begin with check = "unit-scale".')
    name = content.get("check")
    if name is None:
        raise InputError(
            f'{document.path}:1: there is no key check; add check = "…", '
            f"one of {', '.join(checks)}.{missing(content, ['check'])}"
        )
    if not isinstance(name, str) or name not in checks:
        meant = nearest(name, checks) if isinstance(name, str) else ""
        raise document.error(
            f"check = {short(name)} is no check{meant}; there are {', '.join(checks)}.",
            "check",
        )
    check = checks[name]
    keys = _keys(check)
    for key in content:
        if key not in keys and key not in COMMON:
            raise document.error(
                f"{name} has no key {key!r}{nearest(key, [*keys, *COMMON])}; "
                f"it has {', '.join([*COMMON, *keys])}.",
                key,
            )
    description = content.get("description", "")
    if not isinstance(description, str):
        raise document.error("description is a string.", "description")
    convert = partial(_convert, document)
    values = dict((defaults or {}).get(name, {}))
    values |= {
        key: convert(key, kind, content[key]) for key, kind in keys.items() if key in content
    }
    for setting in settings_of(check.plan_settings):
        if setting.option.default is REQUIRED and setting.name not in values:
            raise InputError(
                f"{document.path}:1: {name} takes {setting.name} = …: {setting.option.help}"
            )
    out = values.pop(_OUT, None)
    return Plan(
        path=document.path,
        check=check,
        description=description,
        settings=check.plan_settings(**values),
        out=out,
        lines={key: document.line(key) for key in content},
    )


def parse_defaults(document: Document, checks: Checks) -> dict[str, Mapping[str, Any]]:
    """Read ``[tool.umup-diag]`` of a pyproject.toml: check → values in place of its defaults.

    Keys at its top apply to every check that has them; a table named after a check, such as
    ``[tool.umup-diag.coordcheck]``, to that check alone.

    Raises:
        InputError: naming file, line, key and the nearest valid one.
    """
    table: Any = document.parse()
    for part in ("tool", "umup-diag"):
        table = table.get(part, {})
        if not isinstance(table, dict):
            raise document.error(f"{part} is a table, [{_PROJECT_TABLE}].", part)
    keys = {name: _keys(check) for name, check in checks.items()}
    every = {key for own in keys.values() for key in own}
    shared = {key: value for key, value in table.items() if key not in checks}
    for key in shared:
        if key not in every:
            raise document.error(
                f"[{_PROJECT_TABLE}] has no key {key!r}{nearest(key, [*every, *checks])}.",
                key,
                table=_PROJECT_TABLE,
            )
    defaults: dict[str, Mapping[str, Any]] = {}
    for name in checks:
        own = table.get(name, {})
        inner = f"{_PROJECT_TABLE}.{name}"
        if not isinstance(own, dict):
            raise document.error(f"{name} is a table, [{inner}].", name, table=_PROJECT_TABLE)
        for key in own:
            if key not in keys[name]:
                raise document.error(
                    f"[{inner}] has no key {key!r}{nearest(key, keys[name])}.", key, table=inner
                )
        places = {key: (_PROJECT_TABLE, value) for key, value in shared.items()}
        places |= {key: (inner, value) for key, value in own.items()}
        defaults[name] = {
            key: _convert(document, key, keys[name][key], value, table=where)
            for key, (where, value) in places.items()
            if key in keys[name]
        }
    return defaults


def _keys(check: Check[Any]) -> Keys:
    """What a plan of a check may say, besides `COMMON`."""
    settings = settings_of(check.plan_settings)
    keys: dict[str, ValueType] = {
        each.name: each.type for each in settings if each.option.where is not Where.COMMAND
    }
    return keys | {_OUT: FilePath()}


def _convert(document: Document, key: str, kind: ValueType, value: Any, *, table: str = "") -> Any:
    try:
        return kind.convert(value)
    except EntryError as error:
        raise document.error(f"{key}: {error}", error.key, table=key, index=error.index) from None
    except (ValueError, OverflowError, RecursionError) as error:
        said = f"{key} = {short(value)}: {in_a_line(error)}"
        raise document.error(said, key, table=table) from None
