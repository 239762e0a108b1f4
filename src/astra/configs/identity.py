"""What decides the outcome of a run: the fields of its options that are not RUNTIME."""

import hashlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from astra.configs.options import Config, options, sections
from astra.errors import ConfigError


@runtime_checkable
class Identified(Protocol):
    """A Python object that may stand as an option's value, e.g. a set of arenas."""

    def identity(self) -> Any:
        """What a run folder stores in its place: plain TOML values."""
        ...


def identity(config: Config) -> dict[str, Any]:
    """The options that decide what a run makes, as `config.toml` stores them; None is left out."""
    return _values(config, runtime=False)


def runtime(config: Config) -> dict[str, Any]:
    """The options that only say where and how fast a run works."""
    return _values(config, runtime=True)


def _values(config: Config, *, runtime: bool) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for option in options(type(config)):
        if not option.section and option.runtime is runtime:
            value = getattr(config, option.field)
            if value is not None:
                values[option.field] = _plain(option.field, value)
    for name in sections(type(config)):
        if nested := _values(getattr(config, name), runtime=runtime):
            values[name] = nested
    return values


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(name, item) for key, item in value.items() if item is not None}
    if isinstance(value, tuple | list):
        return [_plain(name, item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Identified) and not isinstance(value, type):
        return value.identity()
    # A function, class or instance of a class: where its code stands, and a hash of it.
    code = value if inspect.isroutine(value) or inspect.isclass(value) else type(value)
    qualified = getattr(code, "__qualname__", "<lambda>")
    if "<lambda>" in qualified:
        raise ConfigError(f"{name}: a lambda cannot be stored for resuming: use a named function")
    try:
        source = inspect.getsource(code)
    except (OSError, TypeError):
        return f"{code.__module__}:{qualified}"
    # The hash is part of the value, so that a resumed run never mixes two versions of a reward.
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    return f"{code.__module__}:{qualified}@{digest}"
