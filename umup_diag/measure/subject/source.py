"""What ``--model`` names: a module, a file, an object that builds, a class, or a factory."""

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from umup_diag.errors import InputError
from umup_diag.measure.subject.huggingface import HuggingFace, is_huggingface
from umup_diag.measure.subject.width_argument import Build, of_width
from umup_diag.measure.users_code import calling, import_module


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A model's maker, and what comes with it.

    Attributes:
        build: by width.
        holder: module or object that may offer a loss, batches and so on beside it.
        filled_in: what the user did not say and was filled in, in words; empty if nothing was.
    """

    build: Build
    holder: Any
    filled_in: str = ""

    @classmethod
    def find(cls, path: str, given: Mapping[str, Any]) -> "Source":
        """Import what a path names; the working directory counts as on the path.

        Args:
            path: ``pkg.mod``, ``pkg.mod:attribute``, ``file.py`` or ``file.py:attribute``.
            given: keyword arguments of the build, besides the width.

        Raises:
            InputError: if there is no such module, file or attribute, if importing it fails, or if
                what it names builds nothing.
        """
        module_name, _, attribute = path.partition(":")
        module = _module(module_name)
        if not attribute:
            if callable(getattr(module, "build", None)):
                return cls(build=partial(module.build, **given), holder=module)
            raise InputError(
                f"--model {path}: {path} offers no build(width) -> nn.Module."
                + _offers(module, module_name)
            )
        source: Any = module
        for name in attribute.split("."):
            if not hasattr(source, name):
                raise InputError(
                    f"--model {path}: {module_name} has no attribute {attribute!r}."
                    + _offers(module, module_name)
                )
            source = getattr(source, name)
        if callable(getattr(source, "build", None)):
            return cls(build=partial(source.build, **given), holder=source)
        if is_huggingface(source):
            theirs = HuggingFace(source, given, path=path)
            return cls(build=theirs, holder=module, filled_in=theirs.filled_in())
        if isinstance(source, nn.Module) or not callable(source):
            built = "a model that is built already" if isinstance(source, nn.Module) else "no maker"
            raise InputError(
                f"--model {path}: it is {built}, and offers no build(width) -> nn.Module.\n"
                "Name its class, or a function of the width, so that it can be built at any width."
            )
        return cls(build=of_width(source, given, path=path), holder=module)


def _module(name: str) -> ModuleType:
    if not name.endswith(".py"):
        return import_module(name, f"--model {name}")
    with calling(f"--model {name}: importing it"):
        return _file(name)


def _file(name: str) -> ModuleType:
    """Import a file as ``python file.py`` would: what lies beside it can be imported too.

    It goes by its whole path, so that a file called ``random.py`` hides no module of that name.
    """
    path = Path(name).resolve()
    if not path.is_file():
        raise InputError(f"--model {name}: there is no such file.")
    if str(path) in sys.modules:
        return sys.modules[str(path)]
    spec = importlib.util.spec_from_file_location(str(path), path)
    assert spec is not None
    assert spec.loader is not None
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def _offers(module: ModuleType, name: str) -> str:
    """What of a module could be named instead."""
    if _is_installed(module):
        return ""
    found = [
        attribute
        for attribute, value in vars(module).items()
        if callable(getattr(value, "build", None)) or _is_own_class(value, module)
    ]
    return f"\nIt has {', '.join(f'{name}:{each}' for each in sorted(found))}." if found else ""


def _is_own_class(value: Any, module: ModuleType) -> bool:
    is_model = isinstance(value, type) and issubclass(value, nn.Module)
    return is_model and value.__module__ == module.__name__


def _is_installed(module: ModuleType) -> bool:
    return "site-packages" in str(getattr(module, "__file__", ""))
