"""Unpickling data alone, and nothing whose handling could take for ever.

A few hundred bytes can describe tuples of tuples that share their parts, 2⁵⁰ leaves in all; hashing
one, as a key of a dictionary for instance, visits every leaf. So a key must be plain here. In
Python on purpose: the unpickler in C reserves whatever memory a damaged file asks for.
"""

import pickle
from collections.abc import Callable
from typing import IO, Any, ClassVar

MAX_KEY_PARTS = 64  #: of a tuple that is a key; no dimension or path has more


class NotPlainError(pickle.UnpicklingError):
    """A pickle holds what no checkpoint needs and what could take for ever."""


class PlainUnpickler(pickle._Unpickler):
    """Refuses keys that are not plain, and sets; what classes there are is up to a subclass.

    Raises:
        NotPlainError: from `load`.
    """

    def is_plain(self, key: Any) -> bool:
        """Whether something may be a key."""
        if isinstance(key, tuple):
            return len(key) <= MAX_KEY_PARTS and all(_is_scalar(part) for part in key)
        return _is_scalar(key)

    def _require_plain(self, keys: list[Any]) -> None:
        if not all(map(self.is_plain, keys)):
            raise NotPlainError("a dictionary in it has a key that is not plain")

    def _set_item(self) -> None:
        self._require_plain(self.stack[-2:-1])  # type: ignore[attr-defined]
        pickle._Unpickler.load_setitem(self)  # type: ignore[attr-defined]

    def _set_items(self) -> None:
        self._require_plain(self.stack[::2])  # type: ignore[attr-defined]
        pickle._Unpickler.load_setitems(self)  # type: ignore[attr-defined]

    def _make_dict(self) -> None:
        self._require_plain(self.stack[::2])  # type: ignore[attr-defined]
        pickle._Unpickler.load_dict(self)  # type: ignore[attr-defined]

    def _refuse(self) -> None:
        raise NotPlainError("it holds a set, which no checkpoint needs")

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **pickle._Unpickler.dispatch,
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: _set_items,
        pickle.DICT[0]: _make_dict,
        pickle.EMPTY_SET[0]: _refuse,
        pickle.FROZENSET[0]: _refuse,
    }


def _is_scalar(value: Any) -> bool:
    return value is None or type(value) in (str, bytes, int, float, bool)


class _Inert:
    """Stands for whatever a class or a persistent id would give: does nothing, holds nothing."""

    def __call__(self, *_: Any, **__: Any) -> "_Inert":
        return _Inert()

    def __setstate__(self, _: Any) -> None: ...

    def append(self, _: Any) -> None: ...

    def extend(self, _: Any) -> None: ...

    def __setitem__(self, _: Any, __: Any) -> None: ...


class _Rehearsal(PlainUnpickler):
    """Goes through a pickle without making anything of its classes."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ARG002
        return _Inert()

    def persistent_load(self, pid: Any) -> Any:  # noqa: ARG002
        return _Inert()

    def get_extension(self, code: int) -> None:  # noqa: ARG002
        raise NotPlainError("it holds an extension code, which torch never writes")


def rehearse(file: IO[bytes]) -> None:
    """Go through a pickle, and refuse it if loading it might take for ever.

    Raises:
        NotPlainError: if it has such a key.
        Exception: whatever a damaged pickle raises.
    """
    _Rehearsal(file).load()
