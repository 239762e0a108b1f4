"""YAML as JSON values, bounded before anything is built, since documents may be hostile.

Anchors let a short text stand for a giant value. Its size is counted on the graph of YAML nodes,
where shared parts count as often as they are used. Plain words mean what they mean in YAML 1.2 and
in JSON: the country `NO` is a text, and so are dates, times of day and codes such as `007`.
"""

from __future__ import annotations

import datetime
import math
import re
from typing import Any

import yaml

from astra.errors import Rejected
from astra.types import Json

NODES = 2_000_000
"""Values that a document may stand for, with aliases written out."""
MAX_DEPTH = 200

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):
    """Reads plain words as YAML 1.2 does. The library alone reads them as 1.1, in which `NO` is
    false and `12:30` a number."""

    yaml_implicit_resolvers: dict[str, Any] = {}


_NUMBER = list("-+.0123456789")
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+", _NUMBER),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        _NUMBER,
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})$"), _first
    )


def parse_yaml(text: str) -> Json:
    """The one document of a text. Raises Rejected for what is too large, too deep or not YAML."""
    try:
        # Events first: the later steps of the parser recurse, and would overflow the stack.
        depth = 0
        for number, event in enumerate(yaml.parse(text, Loader=_Loader)):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > MAX_DEPTH:
                raise Rejected("size", f"YAML nested more than {MAX_DEPTH} deep")
            if number > NODES:
                raise Rejected("size", f"YAML of over {NODES} values")
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return None
            _expanded_size(root, {})
            return _plain(loader.construct_document(root))
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise Rejected("layout", f"not YAML: {' '.join(str(error).split())[:300]}") from error
    except (ValueError, RecursionError, TypeError) as error:
        raise Rejected("layout", f"not plain YAML: {error!s:.300}") from error


def _expanded_size(node: Any, sizes: dict[int, int]) -> int:
    """Values that a node stands for, with aliases written out. Raises Rejected."""
    if id(node) in sizes:
        if not sizes[id(node)]:
            raise Rejected("cycle", "YAML with an anchor inside itself")
        return sizes[id(node)]
    sizes[id(node)] = 0  # being counted: meeting it again is a cycle
    size = 1
    if isinstance(node, yaml.SequenceNode):
        size += sum(_expanded_size(child, sizes) for child in node.value)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            size += _expanded_size(key, sizes) + _expanded_size(value, sizes)
    if size > NODES:
        raise Rejected("size", f"YAML whose aliases stand for over {NODES} values")
    sizes[id(node)] = size
    return size


def _plain(value: Any) -> Json:
    """A value with JSON's types only: dates and names become texts."""
    if isinstance(value, dict):
        return {
            str(name).lower() if isinstance(name, bool) else str(name): _plain(child)
            for name, child in value.items()
        }
    if isinstance(value, list):
        return [_plain(child) for child in value]
    if isinstance(value, datetime.date | datetime.datetime):
        return value.isoformat()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise Rejected("layout", f"YAML holds {value!r:.60}, which JSON does not have")
