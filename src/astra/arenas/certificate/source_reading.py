"""What a tool's source says about its own special cases, read without running it.

Not covered: literals that are put together at run time, and comparisons inside helpers.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache

from astra.arenas.certificate.function_signature import syntax_tree
from astra.types import Json


def _function(source: str, name: str) -> ast.FunctionDef:
    # `schema` has found exactly one.
    return next(
        node
        for node in syntax_tree(source).body
        if isinstance(node, ast.FunctionDef) and node.name == name
    )


@lru_cache(maxsize=512)
def compared_literals(source: str, name: str) -> tuple[Json, ...]:
    """Texts and numbers that the function compares something with: its special cases."""
    literals: list[Json] = []
    for node in ast.walk(_function(source, name)):
        sides: list[ast.AST] = []
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            sides = [node.value]
        for side in sides:
            elements = side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side]
            for element in elements:
                if isinstance(element, ast.Constant):
                    value = element.value
                    if isinstance(value, str | int | float) and value not in literals:
                        literals.append(value)
    return tuple(literals)


@lru_cache(maxsize=512)
def equated_literals(source: str, name: str) -> tuple[Json, ...]:
    """Those that the function asks equality with."""
    function = _function(source, name)
    equals = ast.Eq | ast.In
    found: list[Json] = []
    for node in ast.walk(function):
        if isinstance(node, ast.Compare) and any(isinstance(op, equals) for op in node.ops):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            sides = [node.value]
        else:
            continue
        for side in sides:
            elements = side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side]
            found += [e.value for e in elements if isinstance(e, ast.Constant)]
    return tuple(found)


@lru_cache(maxsize=512)
def constants(source: str) -> tuple[Json, ...]:
    """Every literal text and number of the source."""
    return tuple(
        node.value
        for node in ast.walk(syntax_tree(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float)
    )


def is_used(source: str, name: str, parameter: str) -> bool:
    """Whether the function reads a parameter other than to refuse a wrong value of it."""

    def reads(node: ast.AST) -> Iterator[ast.Name]:
        # An `if` that only refuses decides nothing about an answer.
        if isinstance(node, ast.If) and not node.orelse and all(map(_refuses, node.body)):
            return
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node
        for child in ast.iter_child_nodes(node):
            yield from reads(child)

    return any(node.id == parameter for node in reads(_function(source, name)))


def _refuses(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Raise):
        return True
    if not isinstance(statement, ast.Return) or statement.value is None:
        return False
    value = statement.value
    if isinstance(value, ast.Dict):
        return any(isinstance(k, ast.Constant) and k.value == "error" for k in value.keys)
    called = value.func if isinstance(value, ast.Call) else None
    return isinstance(called, ast.Name) and "err" in called.id.lower()
