"""Dotted paths into results: `items.0.id` is the `id` of the first of `items`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress

from astra.types import Json

MAX_DEPTH = 6
"""Levels of a value that are searched."""


class NoSuchField(LookupError):
    """A result has no such field."""


def follow(value: Json, path: str | None) -> Json:
    """The value under a path; None as the path: the whole. Raises NoSuchField.

    Text that holds JSON is parsed. Where the path leads nowhere, the first field of its last name
    counts: what a document calls `id` may be a level deeper in a result.
    """
    if isinstance(value, str) and value[:1] in ("{", "["):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if path is None:
        return value
    node = value
    for part in path.split("."):
        if isinstance(node, dict) and part in node:
            node = node[part]
        elif isinstance(node, list) and part.isdecimal() and int(part) < len(node):
            node = node[int(part)]
        else:
            break
    else:
        return node
    name = path.rpartition(".")[2]
    if not name.isdecimal():
        for leaf_path, leaf in leaves(value):
            if leaf_path.rpartition(".")[2] == name:
                return leaf
    raise NoSuchField(f"the result has no field {path!r}")


def leaves(value: Json, path: str = "", depth: int = MAX_DEPTH) -> Iterator[tuple[str, Json]]:
    """(path, scalar) of everything in a value, the shallowest first; of lists the first item."""
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
