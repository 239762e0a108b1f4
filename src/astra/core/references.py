"""Local references (`$ref`) of JSON Schemas and OpenAPI documents. Nothing is ever fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from astra.errors import Rejected
from astra.types import Json


def resolve(document: Mapping[str, Json], reference: Json) -> Json:
    """The part of a document that a local reference names, e.g. `#/$defs/city`.

    ValueError for a reference that is not local, or leads nowhere.
    """
    if not isinstance(reference, str):
        raise ValueError(f"$ref is {reference!r:.60}, not a text")
    if reference != "#" and not reference.startswith("#/"):
        raise ValueError(f"$ref {reference[:200]!r} leads elsewhere, and nothing is fetched")
    node: Any = document
    for part in reference[2:].split("/") if len(reference) > 1 else []:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list) and name.isdecimal() and int(name) < len(node):
            node = node[int(name)]
        elif isinstance(node, dict) and name in node:
            node = node[name]
        else:
            raise ValueError(f"$ref {reference[:200]!r} leads nowhere")
    return node


def target(document: Mapping[str, Json], reference: Json) -> Json:
    """The part that a local reference names. Raises Rejected for every other reference."""
    try:
        return resolve(document, reference)
    except ValueError as error:
        raise Rejected("ref", str(error)) from error
