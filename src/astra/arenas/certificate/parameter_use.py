"""Whether a parameter of a tool's function can change what the function returns.

Read from the source, without running it: followed through assignments to local names and into
functions of the same module. Not a use are checks that only refuse, the parameter's own
normalisation (`unit = unit.lower()`), branches that do the same or nothing, logging, and
a function that leaves the value aside. In doubt, it is used. Not covered: a value that is used and
makes no difference, as in `height * (1 if unit == "m" else 1)`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache

from astra.arenas.certificate.function_signature import syntax_tree

_LOGGERS = frozenset({"print", "log", "logger", "logging", "warnings", "_logger", "LOGGER", "LOG"})
_MOST_CALLS = 4
"""Functions that are followed into, one from another."""


@lru_cache(maxsize=512)
def is_used(source: str, name: str, parameter: str, depth: int = 0) -> bool:
    """Whether the value of a parameter of the module's function `name` goes anywhere."""
    function = _functions(source).get(name)
    if function is None or depth > _MOST_CALLS:
        return True
    # Local names that hold nothing but the parameter's value, in some form.
    carriers = {parameter}
    while True:
        reader = _Reader(source, carriers, depth)
        if any(reader.uses(statement) for statement in function.body):
            return True
        if carriers == carriers | reader.assigned:
            return False
        carriers |= reader.assigned


def _functions(source: str) -> dict[str, ast.FunctionDef]:
    return {n.name: n for n in syntax_tree(source).body if isinstance(n, ast.FunctionDef)}


class _Reader:
    """Looks through statements for a use of certain local names."""

    def __init__(self, source: str, carriers: set[str], depth: int) -> None:
        self._source = source
        self._carriers = frozenset(carriers)
        self._depth = depth
        self.assigned: set[str] = set()
        """Names that were given such a value."""

    def uses(self, statement: ast.stmt) -> bool:
        """Whether a statement does something with one of the names, but to give it a name."""
        if _refuses(statement):
            return False
        match statement:
            case ast.If():
                return self._branches(statement)
            case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=finalbody):
                inner = [child for handler in handlers for child in handler.body]
                return any(map(self.uses, (*body, *inner, *orelse, *finalbody)))
            case ast.With(items=items, body=body):
                return any(map(self._reads, items)) or any(map(self.uses, body))
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                if self._reads(value):
                    self.assigned.add(name)
                return False
            case ast.Expr(value=ast.Call(func=function)) if _root(function) in _LOGGERS:
                return False
            case ast.Expr(value=ast.Name() | ast.Constant()) | ast.Delete():
                return False
            case _:
                return self._reads(statement)

    def _branches(self, statement: ast.If) -> bool:
        body, otherwise = statement.body, statement.orelse
        if any(self.uses(child) for child in (*body, *otherwise)):
            return True
        if not self._reads(statement.test):
            return False
        # `if not unit: unit = "m"` only makes the value one of those that are meant.
        harmless = all(
            isinstance(child, ast.Pass)
            or _refuses(child)
            or (isinstance(child, ast.Expr) and not self._reads(child))
            or (
                isinstance(child, ast.Assign)
                and all(isinstance(t, ast.Name) and t.id in self._carriers for t in child.targets)
            )
            for child in (*body, *otherwise)
        )
        return not harmless and [ast.dump(c) for c in body] != [ast.dump(c) for c in otherwise]

    def _reads(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Name):
            return isinstance(node.ctx, ast.Load) and node.id in self._carriers
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called = _functions(self._source).get(node.func.id)
            if called is not None and not any(isinstance(a, ast.Starred) for a in node.args):
                return any(
                    self._reads(value)
                    and (name is None or is_used(self._source, called.name, name, self._depth + 1))
                    for name, value in _arguments(called, node)
                )
        return any(self._reads(child) for child in ast.iter_child_nodes(node))


def _arguments(function: ast.FunctionDef, call: ast.Call) -> Iterator[tuple[str | None, ast.expr]]:
    """The values of a call with the names of their parameters. None if a name can't be told."""
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    for index, value in enumerate(call.args):
        yield names[index] if index < len(names) else None, value
    known = {*names, *(argument.arg for argument in function.args.kwonlyargs)}
    for keyword in call.keywords:
        yield keyword.arg if keyword.arg in known else None, keyword.value


def _root(function: ast.expr) -> str | None:
    while isinstance(function, ast.Attribute):
        function = function.value
    return function.id if isinstance(function, ast.Name) else None


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
