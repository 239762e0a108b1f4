"""Options of credit assignment and of TRL from NAME=VALUE texts."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from astra.configs.training import CreditConfig


def credit_config(texts: Sequence[str], **defaults: Any) -> CreditConfig:
    """The options, over `defaults`. Names that `CreditConfig` does not have go into its `options`.

    Raises ConfigError.
    """
    names = {field.name for field in fields(CreditConfig)}
    values: dict[str, Any] = dict(defaults)
    options: dict[str, Any] = {}
    for name, value in read_pairs(texts).items():
        if name in names:
            values[name] = None if value == "none" else value
        else:
            options[name] = value
    values["options"] = options
    return CreditConfig(**values)


def read_pairs(texts: Sequence[str]) -> dict[str, Any]:
    """NAME=VALUE texts by name; values that are not TOML are texts."""
    pairs: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            pairs[name.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            pairs[name.strip()] = value
    return pairs
