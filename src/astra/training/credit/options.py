"""ACPO's settings from the options of a run."""

from __future__ import annotations

import dataclasses
from typing import Any

from pydantic import TypeAdapter, ValidationError

from astra.configs.training import CreditConfig
from astra.errors import ConfigError
from astra.training.credit.acpo import ACPOSettings

_OWN = {"agreement", "attribution", "alpha", "baseline", "confidence_gamma", "kl", "success"}
"""Settings that have an option of their own."""


def acpo_settings(credit: CreditConfig) -> ACPOSettings:
    """The settings. Raises ConfigError for unknown names in `options` and for invalid values."""
    values: dict[str, Any] = {name: getattr(credit, name) for name in _OWN}
    values["switch"] = {"after": credit.explore_steps, "stalled": credit.stall_steps}
    defaults = ACPOSettings()
    known: dict[str, Any] = {}
    for field in dataclasses.fields(defaults):
        part = getattr(defaults, field.name)
        if dataclasses.is_dataclass(part):
            known |= {f"{field.name}.{f.name}": None for f in dataclasses.fields(part)}
        elif field.name not in _OWN:
            known[field.name] = None
    for name, value in credit.options.items():
        if name not in known or name in ("switch.after", "switch.stalled"):
            names = ", ".join(n for n in known if n not in ("switch.after", "switch.stalled"))
            raise ConfigError(f"credit.options: there is no setting {name!r}: {names} are known")
        part, dot, inner = name.partition(".")
        value = None if value == "none" else value
        if dot:
            values[part] = {**values.get(part, {}), inner: value}
        else:
            values[part] = value
    try:
        return TypeAdapter(ACPOSettings).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"credit setting {where!r} can't be {first['input']!r}: {first['msg']}"
        ) from None
