"""Dotted paths into results: `items.0.id` is the `id` of the first of `items`."""

from __future__ import annotations

import json
from collections.abc import Iterator

from astra.types import Json

DEEPEST = 6
"""Levels of a value that are looked at."""


class NoSuchField(LookupError):
    """A result has nothing under that path."""


def follow(value: Json, path: str | None) -> Json:
    """What stands under a path; None as the path: the whole. Raises NoSuchField.

    Text that holds JSON is read as such. Where the path leads nowhere, the first field of its last
    name is taken, since what a document calls `id` may lie a level deeper in a result.
    """
    value = _read(value)
    if path is None:
        return value
    found = value
    for part in path.split("."):
        if isinstance(found, dict) and part in found:
            found = found[part]
        elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            return _named(value, path)
    return found


def _named(value: Json, path: str) -> Json:
    name = path.rpartition(".")[2]
    if not name.isdecimal():
        for found, leaf in leaves(value):
            if found.rpartition(".")[2] == name:
                return leaf
    raise NoSuchField(f"the result has no field {path!r}")


def _read(value: Json) -> Json:
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def leaves(value: Json, path: str = "", depth: int = DEEPEST) -> Iterator[tuple[str, Json]]:
    """(path, scalar) of all that stands in a value, nearest first; of lists the first item."""
    level = [(path, value)]
    for _ in range(depth + 1):
        below: list[tuple[str, Json]] = []
        for name, node in level:
            if isinstance(node, dict):
                below += [(f"{name}.{key}" if name else str(key), v) for key, v in node.items()]
            elif isinstance(node, list):
                below += [(f"{name}.0" if name else "0", item) for item in node[:1]]
            elif name:
                yield name, node
        level = below
