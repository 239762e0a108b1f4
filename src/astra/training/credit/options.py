"""ACPO's settings from `name=value` texts, e.g. `alpha=0.3` or `switch.after=50`."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter, ValidationError

from astra.errors import ConfigError
from astra.training.credit.acpo import ACPOSettings
from astra.types import Json


def acpo_settings(texts: Iterable[str], **more: Json) -> ACPOSettings:
    """The settings; those of a part have its name and a dot before theirs.

    `none` stands for no value. `more`: settings by name, which the texts win over. Raises
    ConfigError for unknown names and impossible values.
    """
    values: dict[str, Any] = dict(more)
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"{text!r}: write a setting as name=value, e.g. alpha=0.3")
        _put(values, name.strip(), _value(value.strip()))
    try:
        return TypeAdapter(ACPOSettings).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"setting {place!r} can't be {first['input']!r}: {first['msg']}"
        ) from None


def _put(values: dict[str, Any], name: str, value: Json) -> None:
    part, dot, inner = name.partition(".")
    defaults = ACPOSettings()
    known = {field.name: getattr(defaults, field.name) for field in dataclasses.fields(defaults)}
    holder = known.get(part)
    nested = dataclasses.is_dataclass(holder)
    inside = {field.name for field in dataclasses.fields(holder)} if nested else set[str]()
    if part not in known or bool(dot) != nested or (dot and inner not in inside):
        raise ConfigError(f"there is no setting {name!r}: {', '.join(_names(known))} are known")
    if nested:
        values[part] = {**values.get(part, {}), inner: value}
    else:
        values[part] = value


def _names(known: dict[str, Any]) -> list[str]:
    names: list[str] = []
    for name, value in known.items():
        if dataclasses.is_dataclass(value):
            names += [f"{name}.{field.name}" for field in dataclasses.fields(value)]
        else:
            names.append(name)
    return names


def _value(text: str) -> Json:
    if text == "none":
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a word, such as the name of an attribution
