"""What `config.toml` of a run folder holds: options without secrets, and how two runs differ."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SECRET = re.compile(r"api_?key|secret|passw|credential|authorization|(^|[_-])token$", re.I)
"""Names of options whose values are neither stored nor printed."""
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")
_ABSENT = "not given"


def storable(value: Any) -> Any:
    """A configuration as TOML can hold it: no None, no secrets, no passwords in addresses."""
    if isinstance(value, Mapping):
        return {
            str(name): storable(item)
            for name, item in value.items()
            if item is not None and not SECRET.search(str(name))
        }
    if isinstance(value, list | tuple):
        return [storable(item) for item in value if item is not None]
    if isinstance(value, Path):
        return str(value)
    return _USER_INFO.sub("", value) if isinstance(value, str) else value


def first_difference(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """The first option that differs, with both values. Empty if none does.

    `runtime` is left out: how fast a run was made does not decide what it holds.
    """
    old, new = _flat(stored), _flat(wanted)
    for name in dict.fromkeys((*new, *old)):
        before, after = old.get(name, _ABSENT), new.get(name, _ABSENT)
        if before != after and not name.startswith("runtime."):
            return f"{name} was {before!r} and is now {after!r}"
    return ""


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat
