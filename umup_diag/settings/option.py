"""One setting with its default, its help and its bounds; and a group of them as a dataclass."""

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from enum import Enum
from inspect import get_annotations
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Self, get_args, get_type_hints

from umup_diag.errors import InputError, short
from umup_diag.settings.values import FilePath, Flag, Number, Several, Text, ValueType, Whole

_KEY = "umup_diag.option"


class Required(Enum):
    """The default of a setting that must be given."""

    REQUIRED = "required"


REQUIRED = Required.REQUIRED


class Where(Enum):
    """Where a setting can be given; the Python functions take all."""

    ANYWHERE = "anywhere"
    COMMAND = "command"  #: an option of the command, and no key of a plan
    PLAN = "plan"  #: a key of a plan, and no option of the command


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """How a setting is given and what it means.

    Attributes:
        help: a phrase that stands alone.
        default: when nothing else is said; `REQUIRED` for what must be given.
        at_least: smallest value; excluded if `is_open`.
        at_most: largest value.
        is_open: whether `at_least` itself is too small.
        metavar: of the value in usage lines; None for the type's.
        default_text: what stands in the help for a default of None.
        type: how it is written; None for what the annotation says.
        where: it can be given.
        is_argument: whether the command takes it by position.
        has_negation: whether a flag has a ``--no-`` form.
        takes_rest: whether what follows the option on the command line belongs to it too.
        is_place: whether it says where something runs, not what: a resumed run may change it.
        precheck: what can be seen to be wrong with a value before torch is loaded; raises
            ValueError saying what would do.
    """

    help: str
    default: Any = REQUIRED
    at_least: float | None = None
    at_most: float | None = None
    is_open: bool = False
    metavar: str | None = None
    default_text: str | None = None
    type: ValueType | None = None
    where: Where = Where.ANYWHERE
    is_argument: bool = False
    has_negation: bool = False
    takes_rest: bool = False
    is_place: bool = False
    precheck: Callable[[Any], object] | None = None

    def field(self, **changes: Any) -> Any:
        """A dataclass field of this option, with changes where a command differs."""
        option = replace(self, **changes)
        if isinstance(option.default, dict):
            return field(default_factory=lambda: dict(option.default), metadata={_KEY: option})
        if option.default is REQUIRED:
            return field(metadata={_KEY: option})
        return field(default=option.default, metadata={_KEY: option})


def option(text: str, **attributes: Any) -> Any:
    """A dataclass field with a setting; the text is its help, the rest as in `Option`.

    Example::

        seeds: int = option("Runs at each width.", default=5, at_least=1)
    """
    return Option(help=text, **attributes).field()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """An option in its place in a dataclass.

    Attributes:
        name: of the field, and of the key in a plan; ``seq_len`` is ``--seq-len``.
        option: what was declared.
        type: how it is written.
        is_optional: whether None is a value.
    """

    name: str
    option: Option
    type: ValueType
    is_optional: bool

    @property
    def flag(self) -> str:
        """As the command line spells it."""
        return "--" + self.name.replace("_", "-")

    def written(self, value: Any) -> str:
        """A value about as it was typed."""
        several = isinstance(value, tuple | list)
        return " ".join(map(str, value)) if several else str(value) or "''"

    def convert(self, value: Any) -> Any:
        """From TOML or Python.

        Raises:
            ValueError: saying what would do.
        """
        return None if value is None and self.is_optional else self.type.convert(value)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of every group of settings: a frozen dataclass of `option` fields, checked when made.

    No slots: groups are composed by inheriting from several.

    Raises:
        InputError: for a value of the wrong type or out of bounds.
    """

    def __post_init__(self) -> None:
        for setting in settings_of(type(self)):
            value = getattr(self, setting.name)
            try:
                object.__setattr__(self, setting.name, setting.convert(value))
            except (ValueError, OverflowError) as error:
                raise InputError(f"{setting.name} = {short(value)}: {error}") from None

    def precheck(self) -> None:
        """Refuse what can be seen to be wrong without loading torch or the model.

        Not done when settings are made: those of an old recording may name what is gone since.

        Raises:
            InputError: naming the option.
        """
        for setting in settings_of(type(self)):
            value, check = getattr(self, setting.name), setting.option.precheck
            if check is None or value is None:
                continue
            try:
                check(value)
            except ValueError as error:
                given = f"{setting.flag} {setting.written(value)}: "
                raise InputError(
                    str(error) if setting.option.is_argument else f"{given}{error}"
                ) from None

    def encode(self) -> dict[str, Any]:
        """As recordings and results keep it: paths are text."""
        values = {setting.name: getattr(self, setting.name) for setting in settings_of(type(self))}
        return {name: str(v) if isinstance(v, Path) else v for name, v in values.items()}

    @classmethod
    def decode(cls, written: Mapping[str, Any]) -> Self:
        """Read back what `encode` wrote; what other commands keep beside it is passed over.

        Raises:
            InputError: if a setting without default is missing, or one is not valid.
        """
        known = {setting.name for setting in settings_of(cls)}
        try:
            return cls(**{name: value for name, value in written.items() if name in known})
        except TypeError as error:
            raise InputError(f"these are not the settings of {cls.__name__}: {error}.") from None


def settings_of(group: type[Settings]) -> tuple[Setting, ...]:
    """The settings of a dataclass: its own in order of declaration, then those that it inherits."""
    hints, known = get_type_hints(group), {each.name: each for each in fields(group)}
    own_first = dict.fromkeys(name for part in group.__mro__ for name in get_annotations(part))
    return tuple(_setting(known[name], hints[name]) for name in own_first if name in known)


def _setting(each: Field[Any], annotation: Any) -> Setting:
    declared = each.metadata[_KEY]
    assert isinstance(declared, Option)
    inner, is_optional = _inner(annotation)
    return Setting(
        name=each.name,
        option=declared,
        type=declared.type or _type(inner, declared),
        is_optional=is_optional,
    )


def _inner(annotation: Any) -> tuple[Any, bool]:
    """An annotation without its None."""
    if isinstance(annotation, UnionType):
        left = [each for each in get_args(annotation) if each is not NoneType]
        return left[0], len(left) < len(get_args(annotation))
    return annotation, False


def _type(annotation: Any, declared: Option) -> ValueType:
    bounds = {"at_least": declared.at_least, "at_most": declared.at_most}
    if annotation is bool:
        return Flag()
    if annotation is int:
        return Whole(**bounds)  # type: ignore[arg-type]
    if annotation is float:
        return Number(**bounds, is_open=declared.is_open)
    if annotation is str:
        return Text()
    if annotation is Path:
        return FilePath()
    arguments = get_args(annotation)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return Several(_type(arguments[0], declared))
    raise TypeError(f"an option of type {annotation} needs a type of its own")
