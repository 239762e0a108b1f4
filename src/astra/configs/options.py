"""The options of a class: which fields it has, in which order, and what is written about them.

An option class is a frozen dataclass that derives from `Config`; `options(cls)` reads it once. What
a value may be stands in `configs/values.py`; `configs/base.py` says how a command is added.
"""

import ast
import difflib
import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from astra.configs.spelling import option_name
from astra.configs.values import Kind, Limit, ValueType
from astra.errors import ConfigError


class OptionMarker:
    """Type of the marks below, which stand in a field's `Annotated`."""


RUNTIME: Final = OptionMarker()
"""Marks a field that changes how fast or where a run works, not what it makes: not identity."""
CLI_REQUIRED: Final = OptionMarker()
"""Marks a field that a command line must give, though it has a default in Python."""
ADDRESS: Final = OptionMarker()
"""Marks a field that holds the address of a service."""
VARIABLE: Final = OptionMarker()
"""Marks a field that names an environment variable with a key."""


@dataclass(frozen=True)
class CommandLineName(OptionMarker):
    """Gives a field another name on the command line, e.g. one that is a keyword in Python."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Option(ValueType):
    """One option: a field of an option class, or of a class that is nested in it."""

    field: str
    """Name in Python and TOML."""
    owner: type
    """The class that declares it."""
    section: str
    """Field that the owner is nested under, e.g. `credit`. Empty at the top level."""
    required: bool
    cli_required: bool
    """The command line requires it."""
    positional: bool
    runtime: bool
    default: Any
    command_line_name: str = ""
    """Empty: as the path."""

    @property
    def path(self) -> str:
        """Name in errors, with the section: `credit.alpha`."""
        return f"{self.section}.{self.field}" if self.section else self.field

    @property
    def name(self) -> str:
        """Name on the command line, without dashes in front: `credit-alpha`."""
        return self.command_line_name or self.path.replace(".", "-").replace("_", "-")

    @property
    def group(self) -> str:
        """Title of the group in help: the owner's docstring."""
        return (self.owner.__doc__ or self.owner.__name__).split("\n")[0].rstrip(".")

    @property
    def documentation(self) -> str:
        """The attribute docstring in one line. Empty if there is none."""
        return " ".join(_attribute_docstrings(self.owner).get(self.field, "").split())


@dataclass(frozen=True, kw_only=True)
class Config:
    """Base of all option classes. `__post_init__` checks and normalizes every field.

    A class whose fields depend on each other overrides `check`, and raises ConfigError.
    """

    def __post_init__(self) -> None:
        for name, section in sections(type(self)).items():
            if isinstance(value := getattr(self, name), Mapping):
                object.__setattr__(self, name, build(section, value))
        for option in options(type(self)):
            if option.section:
                continue
            value = getattr(self, option.field)
            try:
                # Frozen for everyone else: a dataclass has no other way to normalize.
                object.__setattr__(self, option.field, option.accept(value))
            except ValueError as error:
                shown = f"{option_name(option.field)}={option.shown(value)}"
                raise ConfigError(f"{shown}: {error}") from None
        self.check()

    def check(self) -> None:
        """Raise ConfigError if fields contradict each other. Name them by `option_name`."""


def build(cls: Callable[..., Any], values: Mapping[str, Any], *positional: Any) -> Any:
    """An option class from keyword arguments. ConfigError for unknown and missing ones."""
    assert isinstance(cls, type)
    own = [option for option in options(cls) if not option.section]
    names = [option.field for option in own] + list(sections(cls))
    if unknown := next((name for name in values if name not in names), None):
        raise ConfigError(f"{unknown!r} is not an option{did_you_mean(unknown, names)}")
    given = {*values, *(option.field for option in own[: len(positional)])}
    for option in own:
        if option.required and option.field not in given:
            raise ConfigError(f"{option.field!r} is needed")
    return cls(*positional, **values)


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """The end of a message on an unknown name: the nearest known one."""
    near = difflib.get_close_matches(name, names, n=1)
    return f": did you mean {near[0]!r}?" if near else ""


@functools.cache
def options(cls: type) -> tuple[Option, ...]:
    """The options of a class in the order of help: own, nested, then bases left to right."""
    seen: dict[str, Option] = {}
    for option in _options(cls, ""):
        seen.setdefault(option.path, option)  # a class's own declaration wins over its bases'
    return tuple(seen.values())


@functools.cache
def sections(cls: type) -> dict[str, type]:
    """Fields that hold another option class, e.g. `credit`: a section in TOML."""
    hints = get_type_hints(cls)
    return {
        field.name: hints[field.name]
        for field in fields(cls)
        if isinstance(hints[field.name], type) and issubclass(hints[field.name], Config)
    }


def _options(cls: type, section: str) -> Iterator[Option]:
    declared = {field.name: field for field in fields(cls)}
    hints = get_type_hints(cls, include_extras=True)
    nested = sections(cls)
    own = [name for name in inspect.get_annotations(cls) if name in declared]
    for name in own:
        if name not in nested:
            yield _option(cls, section, declared[name], hints[name])
    for name in own:
        if name in nested:
            yield from _options(nested[name], name)
    for base in cls.__bases__:
        if issubclass(base, Config) and base is not Config:
            yield from _options(base, section)


def _option(cls: type, section: str, field: Field[Any], hint: Any) -> Option:
    metadata: list[Any] = []
    if get_origin(hint) is Annotated:
        hint, *metadata = get_args(hint)
    members = list(_members(hint))
    choices = tuple(str(c) for m in members if get_origin(m) is Literal for c in get_args(m))
    containers = [m for m in members if get_origin(m) in (Sequence, tuple, list, Mapping, dict)]
    simple = (bool, int, float, str, Path)
    plain = {m for m in members if m in simple}
    mapping = next((get_args(m) for m in containers if len(get_args(m)) == 2), ())
    for container in containers:
        items = [m for m in _members(get_args(container)[0]) if get_origin(m) is Literal]
        choices = choices or tuple(str(c) for m in items for c in get_args(m))
    kind: Kind
    if ADDRESS in metadata:
        kind = "address"
    elif VARIABLE in metadata:
        kind = "variable"
    elif mapping and any(get_origin(m) is Sequence for m in containers):
        kind = "weights"
    elif mapping:
        kind = "mapping"
    elif containers:
        kind = "paths" if Path in plain else "list"
    elif choices:
        kind = "choice"
    elif bool in plain:
        kind = "flag"
    elif float in plain:
        kind = "number"
    elif int in plain:
        kind = "integer"
    else:
        # `Path | str` is a path, `str | Path` a name that may be one, as of a model.
        kind = "path" if next((m for m in members if m in plain), str) is Path else "text"
    default = field.default
    if field.default_factory is not MISSING:
        default = field.default_factory()
    known = (*simple, NoneType, Any)
    shaped = (Literal, Sequence, Mapping, tuple, list, dict)
    return Option(
        field=field.name,
        owner=cls,
        section=section,
        kind=kind,
        choices=choices,
        open_choices=kind == "choice" and bool(plain & {str, Path}),
        limits=tuple(m for m in metadata if isinstance(m, Limit)),
        item_is_number=bool(mapping) and mapping[1] is float,
        optional=NoneType in members,
        required=default is MISSING,
        cli_required=default is MISSING or CLI_REQUIRED in metadata,
        positional=field.kw_only is False,
        runtime=RUNTIME in metadata,
        accepts_objects=any(m not in known and get_origin(m) not in shaped for m in members),
        default=None if default is MISSING else default,
        command_line_name=next((m.name for m in metadata if isinstance(m, CommandLineName)), ""),
    )


def _members(hint: Any) -> Iterator[Any]:
    """The members of a union, however nested; names of type aliases are looked through."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, UnionType):
        for member in get_args(hint):
            yield from _members(member)
    else:
        yield hint


@functools.cache
def _attribute_docstrings(cls: type) -> dict[str, str]:
    """The texts under the fields of a class, from its source."""
    # Dataclasses keep no attribute docstrings; help is the only reader, so the source will do.
    for node in _module_tree(cls.__module__).body:
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
            return {
                field.target.id: str(text.value.value)
                for field, text in zip(node.body, node.body[1:], strict=False)
                if isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            }
    return {}


@functools.cache
def _module_tree(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(sys.modules[module]))
