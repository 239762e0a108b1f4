"""What a tool's source says about its own special cases, read without running it.

Not covered: literals that are put together at run time.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache

from astra.arenas.certificate.function_signature import syntax_nodes
from astra.types import Json

_MOST_WORDS = 12
"""Literals of a list that is asked for special cases; longer lists are data."""


def _compared(source: str, operators: tuple[type[ast.cmpop], ...]) -> Iterator[Json]:
    """Texts and numbers that something is compared with by one of these operators."""
    lists: dict[str, ast.expr] = {}
    sides: list[ast.expr] = []
    for node in syntax_nodes(source):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                lists[name] = value
            case ast.Compare(left=left, ops=operations, comparators=others):
                if any(isinstance(operation, operators) for operation in operations):
                    sides += [left, *others]
            case ast.MatchValue(value=value):
                sides.append(value)
            case _:
                pass
    for side in sides:
        elements = _elements(lists.get(side.id, side) if isinstance(side, ast.Name) else side)
        if len(elements) > _MOST_WORDS:
            continue
        for element in elements:
            if isinstance(element, ast.Constant) and isinstance(element.value, str | int | float):
                yield element.value


def _elements(node: ast.expr) -> list[ast.expr]:
    match node:
        case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
            return elements
        case ast.Dict(keys=keys):
            return [key for key in keys if key is not None]
        case ast.Call(func=ast.Name(id="set" | "frozenset" | "tuple" | "list"), args=[inner]):
            return _elements(inner)
        case _:
            return [node]


@lru_cache(maxsize=512)
def compared_literals(source: str) -> tuple[Json, ...]:
    """Texts and numbers that the source compares something with: its special cases."""
    return tuple(_compared(source, (ast.cmpop,)))


@lru_cache(maxsize=512)
def equated_literals(source: str) -> tuple[Json, ...]:
    """Those that the source asks equality with."""
    return tuple(_compared(source, (ast.Eq, ast.In)))


@lru_cache(maxsize=512)
def default_literals(source: str) -> tuple[Json, ...]:
    """What the source falls back to: `d.get(x, "this")`, `y or "this"`, `y if z else "this"`."""
    found: list[ast.expr] = []
    for node in syntax_nodes(source):
        match node:
            case ast.Call(func=ast.Attribute(attr="get"), args=[_, default]):
                found.append(default)
            case ast.BoolOp(op=ast.Or(), values=[*_, default]):
                found.append(default)
            case ast.IfExp(body=body, orelse=default):
                found += [body, default]
            case _:
                pass
    return tuple(node.value for node in found if isinstance(node, ast.Constant))


@lru_cache(maxsize=512)
def constants(source: str) -> tuple[Json, ...]:
    """Every literal text and number of the source."""
    return tuple(
        node.value
        for node in syntax_nodes(source)
        if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float)
    )


@lru_cache(maxsize=512)
def pauses(source: str) -> bool:
    """Whether the source calls a function that waits: `sleep` of `time` or `asyncio`."""
    if "sleep" not in source:
        return False
    modules, functions = set[str](), set[str]()
    for node in syntax_nodes(source):
        if isinstance(node, ast.Import):
            modules |= {a.asname or a.name for a in node.names if a.name in ("time", "asyncio")}
        elif isinstance(node, ast.ImportFrom) and node.module in ("time", "asyncio"):
            functions |= {a.asname or a.name for a in node.names if a.name == "sleep"}
    if not modules | functions:
        return False
    calls = (n.func for n in syntax_nodes(source) if isinstance(n, ast.Call))
    return any(
        (isinstance(f, ast.Name) and f.id in functions)
        or (
            isinstance(f, ast.Attribute)
            and f.attr == "sleep"
            and isinstance(f.value, ast.Name)
            and f.value.id in modules
        )
        for f in calls
    )
