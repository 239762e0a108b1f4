"""What the fields of an option class say: types, ranges, choices, documentation.

An option class is a frozen dataclass that derives from `Config`. `options(cls)` reads it once; the
values of all layers (Python keywords, TOML files, the command line) go through `Option.accept`, so
that they mean the same whichever way they came.
"""

import ast
import difflib
import functools
import inspect
import math
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from astra.errors import ConfigError

Kind = Literal[
    "flag", "integer", "number", "choice", "text", "path", "list", "paths", "weights", "mapping"
]
_WORDS = {"≥": "at least", "≤": "at most", ">": "above", "<": "below"}
_TRIVIAL = {("≥", 0), (">", 0), ("≥", 1)}
"""Limits that help leaves out: anyone expects them."""
_CHOICES_IN_METAVAR = 3


class RuntimeMarker:
    """Type of `RUNTIME`."""


RUNTIME: Final = RuntimeMarker()
"""Marks a field that changes how fast or where a run works, not what it makes: not identity."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One end of a number's range."""

    sign: Literal["≥", "≤", ">", "<"]
    number: float

    def holds(self, value: float) -> bool:
        """Whether a value keeps to the limit."""
        compared = {
            "≥": value >= self.number,
            "≤": value <= self.number,
            ">": value > self.number,
            "<": value < self.number,
        }
        return compared[self.sign]


def at_least(number: float) -> Limit:
    """Smallest allowed value."""
    return Limit("≥", number)


def at_most(number: float) -> Limit:
    """Largest allowed value."""
    return Limit("≤", number)


def above(number: float) -> Limit:
    """Exclusive lower end."""
    return Limit(">", number)


def below(number: float) -> Limit:
    """Exclusive upper end."""
    return Limit("<", number)


@dataclass(frozen=True, slots=True)
class Option:
    """One option: a field of an option class, or of a class that is nested in it."""

    field: str
    """Name in Python and TOML."""
    owner: type
    """The class that declares it."""
    section: str
    """Field that the owner is nested under, e.g. `credit`. Empty at the top level."""
    kind: Kind
    choices: tuple[str, ...]
    open_choices: bool
    """Other texts than `choices` are allowed, too."""
    limits: tuple[Limit, ...]
    item_is_number: bool
    """Values of a mapping are numbers."""
    optional: bool
    required: bool
    positional: bool
    runtime: bool
    accepts_objects: bool
    """Python objects are allowed, e.g. a function as the reward."""
    default: Any

    @property
    def name(self) -> str:
        """Name on the command line, without dashes in front: `credit-alpha`."""
        path = f"{self.section}_{self.field}" if self.section else self.field
        return path.replace("_", "-")

    @property
    def group(self) -> str:
        """Title of the group in help: the owner's docstring."""
        return (self.owner.__doc__ or self.owner.__name__).split("\n")[0].rstrip(".")

    @property
    def documentation(self) -> str:
        """The attribute docstring. Empty if there is none."""
        return attribute_docstrings(self.owner).get(self.field, "")

    # --- values ----------------------------------------------------------------------------

    def accept(self, value: Any) -> Any:
        """The value as the option class holds it. ValueError says what is wrong with it."""
        if value is None:
            if self.optional:
                return None
            raise ValueError("a value is needed")
        if self.accepts_objects and not isinstance(value, str | Path | int | float | list | dict):
            return value
        accepted = _ACCEPT[self.kind](self, value)
        if self.kind in ("integer", "number"):
            for limit in self.limits:
                if not limit.holds(accepted):
                    raise ValueError(f"must be {_WORDS[limit.sign]} {limit.number:g}")
        return accepted

    def parse(self, texts: Sequence[str]) -> Any:
        """The value of what was typed on the command line. ValueError as `accept`."""
        if self.kind in ("list", "paths"):
            return self.accept([item for text in texts for item in self._items(text)])
        if self.kind in ("weights", "mapping"):
            return self.accept(",".join(texts))
        text = texts[-1]
        if self.kind == "integer":
            return self.accept(_number(int, text, "write a whole number"))
        if self.kind == "number":
            return self.accept(_number(float, text, "write a number"))
        return self.accept(text)

    def _items(self, text: str) -> list[str]:
        return [text] if self.kind == "paths" else _split(text)

    # --- help ------------------------------------------------------------------------------

    @property
    def metavar(self) -> str:
        """What stands for the value in help. Empty for a flag."""
        short = len(self.choices) <= _CHOICES_IN_METAVAR
        names = "|".join(self.choices) if self.choices and short else "NAME"
        match self.kind:
            case "choice":
                return "|".join((*self.choices, *(["FILE"] if self.open_choices else [])))
            case "list":
                return f"{names},..." if self.choices else "TEXT,..."
            case "weights":
                return f"{names}[=WEIGHT],..."
            case "mapping":
                return "NAME=VALUE,..."
            case "paths":
                return "PATH"
            case _:
                return {"flag": "", "integer": "INT", "number": "FLOAT"}.get(
                    self.kind, self.kind.upper()
                )

    @property
    def help(self) -> str:
        """The text beside the option: its docstring, then range and default."""
        text, default = _help_text(self.documentation)
        if self.kind in ("list", "weights") and len(self.choices) > _CHOICES_IN_METAVAR:
            text += f" One or more of: {', '.join(self.choices)}."
        notes = [
            f"{limit.sign} {limit.number:g}"
            for limit in self.limits
            if (limit.sign, limit.number) not in _TRIVIAL
        ]
        if self.required:
            notes.append("required")
        elif default := default or _spelled(self.default):
            notes.append(f"default: {default}")
        return f"{text} [{'; '.join(notes)}]" if notes else text


def _spelled(value: Any) -> str:
    """A default as it would be typed. Empty for what needs no mention."""
    if value is True:
        return "on"
    if value is None or value is False or value in ((), {}, "", []):
        return ""
    if isinstance(value, Mapping):
        return ",".join(k if v == 1 else f"{k}={_spelled(v)}" for k, v in value.items())
    if isinstance(value, tuple | list):
        return ",".join(map(_spelled, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _help_text(documentation: str) -> tuple[str, str]:
    """A docstring as help shows it, and what `None: …` in it says of the default."""
    text = " ".join(documentation.split())
    default = ""
    sentences: list[str] = []
    for sentence in re.split(r"(?<=[.;]) (?=[A-Z])", text):
        if sentence.startswith("None: "):
            default = sentence.removeprefix("None: ").rstrip(".")
        elif not sentence.startswith("In Python"):
            sentences.append(sentence)
    return " ".join(sentences), default


# --- accepting values ---------------------------------------------------------------------------


def _split(text: str) -> list[str]:
    return [item for item in (piece.strip() for piece in text.split(",")) if item]


def _number(kind: Callable[[str], float], text: str, problem: str) -> float:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(problem) from None


def _flag(option: Option, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("write true or false")
    return value


def _integer(option: Option, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ValueError("write a whole number")
    return value.__index__()


def _float(option: Option, value: Any) -> float:
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise ValueError("write a number")
    if not math.isfinite(number := float(value)):
        raise ValueError("write a finite number")
    return number


def _text(option: Option, value: Any) -> str:
    if not isinstance(value, str | Path):
        raise ValueError("write a text")
    return str(value)


def _path(option: Option, value: Any) -> Path:
    if not isinstance(value, str | Path):
        raise ValueError("write a path")
    return Path(value)


def _choice(option: Option, value: Any) -> str:
    if value in option.choices or (option.open_choices and isinstance(value, str | Path)):
        return str(value)
    near = difflib.get_close_matches(str(value), option.choices, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise ValueError(f"choose among {', '.join(option.choices)}{hint}")


def _names(option: Option, names: Sequence[Any]) -> None:
    for name in names:
        if option.choices and name not in option.choices:
            raise ValueError(f"{name!r} is unknown: choose among {', '.join(option.choices)}")


def _list(option: Option, value: Any) -> tuple[Any, ...]:
    items = _split(value) if isinstance(value, str) else value
    if isinstance(items, Mapping) or not isinstance(items, Sequence | set | frozenset):
        raise ValueError("write a list, or names separated by commas")
    if not all(isinstance(item, str) for item in items):
        raise ValueError("write texts")
    _names(option, list(items))
    return tuple(sorted(items) if isinstance(items, set | frozenset) else items)


def _paths(option: Option, value: Any) -> tuple[Path, ...]:
    items = [value] if isinstance(value, str | Path) else value
    if not isinstance(items, Sequence) or not all(isinstance(p, str | Path) for p in items):
        raise ValueError("write paths")
    if not items:
        raise ValueError("write at least one path")
    return tuple(map(Path, items))


def _pairs(text: str) -> dict[str, str]:
    """`a=1,b` as a dict; a name without a value has an empty one."""
    return {
        name.strip(): value.strip()
        for name, _, value in (item.partition("=") for item in _split(text))
    }


def _weights(option: Option, value: Any) -> dict[str, float]:
    """Names with weights; a name without one has weight 1."""
    if isinstance(value, str):
        value = {name: weight or "1" for name, weight in _pairs(value).items()}
    elif not isinstance(value, Mapping):
        value = dict.fromkeys(_list(option, value), 1.0)
    _names(option, list(value))
    weights: dict[str, float] = {}
    for name, weight in value.items():
        try:
            weights[name] = float(weight)
        except (TypeError, ValueError):
            raise ValueError(f"the weight {weight!r} of {name!r} is not a number") from None
        if not 0 <= weights[name] < math.inf:
            raise ValueError(f"the weight {weight!r} of {name!r} must be 0 or above, and finite")
    if not any(weights.values()):
        raise ValueError("name at least one with a weight above 0")
    return {name: weight for name, weight in weights.items() if weight}


def _mapping(option: Option, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        pairs = _pairs(value)
        if bare := next((name for name, text in pairs.items() if not text), None):
            raise ValueError(f"{bare!r} has no value: write NAME=VALUE,...")
        value = {name: _toml_value(text) for name, text in pairs.items()}
    if not isinstance(value, Mapping):
        raise ValueError("write NAME=VALUE,...")
    if option.item_is_number:
        return {str(name): _float(option, item) for name, item in value.items()}
    return {str(name): item for name, item in value.items()}


def _toml_value(text: str) -> Any:
    """`0.95`, `true` and `"x"` as TOML reads them; anything else is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


_ACCEPT: dict[Kind, Callable[[Option, Any], Any]] = {
    "flag": _flag,
    "integer": _integer,
    "number": _float,
    "choice": _choice,
    "text": _text,
    "path": _path,
    "list": _list,
    "paths": _paths,
    "weights": _weights,
    "mapping": _mapping,
}


# --- reading classes ----------------------------------------------------------------------------


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
                object.__setattr__(self, option.field, option.accept(value))
            except ValueError as error:
                raise ConfigError(f"{option.field}={value!r}: {error}") from None
        self.check()

    def check(self) -> None:
        """Raise ConfigError if fields contradict each other."""


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
    seen: dict[tuple[str, str], Option] = {}
    for option in _options(cls, ""):
        seen.setdefault((option.section, option.field), option)
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
    plain = {m for m in members if m in (bool, int, float, str, Path)}
    mapping = next((get_args(m) for m in containers if len(get_args(m)) == 2), ())
    for container in containers:
        items = [m for m in _members(get_args(container)[0]) if get_origin(m) is Literal]
        choices = choices or tuple(str(c) for m in items for c in get_args(m))
    kind: Kind
    if mapping and any(get_origin(m) is Sequence for m in containers):
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
        positional=field.kw_only is False,
        runtime=RUNTIME in metadata,
        accepts_objects=any(_is_object(m) for m in members),
        default=None if default is MISSING else default,
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


def _is_object(member: Any) -> bool:
    known = (bool, int, float, str, Path, NoneType, Any)
    containers = (Literal, Sequence, Mapping, tuple, list, dict)
    return member not in known and get_origin(member) not in containers


@functools.cache
def attribute_docstrings(cls: type) -> dict[str, str]:
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
