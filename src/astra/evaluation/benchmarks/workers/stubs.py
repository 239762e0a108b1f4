"""Stand-ins for packages that official modules import and nothing here calls."""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


class _Stub(ModuleType):
    """A module that has every attribute."""

    def __init__(self, name: str, attribute: Callable[[str], Any]) -> None:
        super().__init__(name)
        self._attribute = attribute

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._attribute(name)


class Stubs(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules that have every attribute. A name that ends in `.` stands for all below it."""

    def __init__(self, names: tuple[str, ...], attribute: Callable[[str], Any]) -> None:
        self._names, self._attribute = names, attribute
        self._above = tuple(name for name in names if name.endswith("."))

    def install(self) -> None:
        """Import these modules before those that are installed, from now on."""
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        if name in self._names or name.startswith(self._above):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Stub(spec.name, self._attribute)

    def exec_module(self, module: ModuleType) -> None:
        pass


def unchanged(*arguments: Any, **_: Any) -> Any:
    """A decorator that changes nothing, with and without options."""
    return arguments[0] if len(arguments) == 1 and callable(arguments[0]) else unchanged


def empty_class(name: str) -> Any:
    """A class without behaviour."""
    return type(name, (), {"__init__": _ignore, "__class_getitem__": _ignore})


def _ignore(*_: Any, **__: Any) -> None:
    pass
