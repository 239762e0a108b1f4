"""The dial of terse documents: descriptions as short as those of many real tools.

A terse document leaves out what its names already say, and nothing else: an attribute whose name
does not say its label or its unit keeps them, and so does a parameter that wants one form of dates.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from astra.arenas.tables.units import UNITS, unit_name
from astra.arenas.tables.views import Attribute
from astra.types import Language

TERSE_DESCRIPTIONS: dict[str, dict[Language, str]] = tomllib.loads(
    Path(__file__).with_name("terse.toml").read_text("utf-8")
)
"""Operation -> description of its tools. Operations of one's own keep their description."""
_DATE_FORM = "YYYY-MM-DD"


def terse_parameter(name: str, description: str, attributes: str) -> str:
    """The description of a parameter: its name, with a form of dates and the attributes that need
    words. `description`: the full one."""
    words = name.replace("_", " ")
    parts = [words[:1].upper() + words[1:]]
    if _DATE_FORM in description:
        parts.append(_DATE_FORM)
    return f"{', '.join(parts)}: {attributes}" if attributes else ", ".join(parts)


def terse_attribute(attribute: Attribute, language: Language) -> str:
    """What has to be said of an attribute beside its name. Empty if the name says it all."""
    tokens = re.findall(r"[^\W_]+", attribute.name.casefold())
    label = re.findall(r"[^\W_]+", attribute.label.casefold())
    words = [] if set(label) <= set(tokens) else [attribute.label]
    if attribute.unit in UNITS and attribute.unit.casefold() not in tokens:
        unit = unit_name(attribute.unit, language)
        words.append(unit if language == "zh" else f"in {unit}")
    return f"{attribute.name} ({', '.join(words)})" if words else ""
