"""Inspect AI 0.3: a task whose tools are made for each sample, and whose scorer plays it again."""

from __future__ import annotations

from collections.abc import Mapping

from astra.core.json_schema import KEYWORDS
from astra.exports.publish import ExportContents, ExportFormat, template

KEPT = frozenset(
    (
        *("type", "format", "description", "default", "enum", "items", "properties"),
        *("additionalProperties", "anyOf", "required", "pattern", "minLength", "maxLength"),
        *("minimum", "maximum", "examples"),
    )
)
"""The keywords that `JSONSchema` of inspect_ai.util has fields for; it drops all others."""


def files(contents: ExportContents) -> Mapping[str, bytes]:
    """The task, and how to evaluate with it."""
    return {
        "astra_inspect.py": template("inspect/astra_inspect.py.txt"),
        "README.md": template(
            "inspect/README.md.txt",
            arenas=contents.arenas,
            stateful=contents.stateful,
            conversations=contents.conversations,
        ),
    }


INSPECT = ExportFormat(title="Inspect AI 0.3", files=files, loses=KEYWORDS - KEPT)
