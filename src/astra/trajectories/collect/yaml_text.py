"""YAML as JSON values, however hostile: bounded before anything is built.

Anchors let a short text stand for a giant one. What the text would become is counted on the graph
of its nodes, where shared parts are counted as often as they are used.
"""

from __future__ import annotations

import datetime
import math
from typing import Any

import yaml

from astra.errors import Rejected
from astra.types import Json

NODES = 2_000_000
"""Values that a document may stand for, aliases written out."""
DEEPEST = 200

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_yaml(text: str) -> Json:
    """The one document of a text. Rejected for what is too large, too deep or no YAML."""
    try:
        _check_events(text)
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            _check_nodes(root)
            return _plain(loader.construct_document(root)) if root is not None else None
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise Rejected("layout", f"no YAML: {' '.join(str(error).split())[:300]}") from error
    except (ValueError, RecursionError, TypeError) as error:
        raise Rejected("layout", f"no plain YAML: {error!s:.300}") from error


def _check_events(text: str) -> None:
    """Depth and length, before the recursive parts of the parser see the text."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise Rejected("size", f"YAML nested more than {DEEPEST} deep")
        if number > NODES:
            raise Rejected("size", f"YAML of over {NODES} values")


def _check_nodes(root: Any) -> None:
    sizes: dict[int, int] = {}

    def size(node: Any) -> int:
        if id(node) in sizes:
            if not sizes[id(node)]:
                raise Rejected("cycle", "YAML with an anchor that stands inside itself")
            return sizes[id(node)]
        sizes[id(node)] = 0
        total = 1
        if isinstance(node, yaml.SequenceNode):
            total += sum(map(size, node.value))
        elif isinstance(node, yaml.MappingNode):
            total += sum(size(key) + size(value) for key, value in node.value)
        if total > NODES:
            raise Rejected("size", f"YAML whose aliases stand for over {NODES} values")
        sizes[id(node)] = total
        return total

    if root is not None:
        size(root)


def _plain(value: Any) -> Json:
    """Names as texts, dates as texts; no other types than those of JSON."""
    if isinstance(value, dict):
        return {_name(name): _plain(child) for name, child in value.items()}
    if isinstance(value, list):
        return [_plain(child) for child in value]
    if isinstance(value, datetime.date | datetime.datetime):
        return value.isoformat()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise Rejected("layout", f"YAML holds {value!r:.60}, which JSON can't")


def _name(name: Any) -> str:
    if isinstance(name, bool):
        return "true" if name else "false"
    return str(name)
