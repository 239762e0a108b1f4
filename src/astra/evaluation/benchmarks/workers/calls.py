"""Runs a call that a model wrote as text, where the official code passes it to `eval`.

The call is parsed, its arguments must be literals, and the method is looked up by name.
"""

import ast
import inspect
from collections.abc import Sequence
from typing import Any, cast


def evaluate_call(text: str, instances: dict[str, Any]) -> Any:
    """What `eval` of one call of a method of an instance returns, or raises.

    `instances`: by name, among other values that can't be called. Raises PermissionError for
    anything but a call with literals.
    """
    tree = ast.parse(text.lstrip(" \t"), filename="<string>", mode="eval")
    compile(tree, "<string>", "eval")  # errors that only the compiler sees; nothing is run
    call = tree.body
    if not isinstance(call, ast.Call):
        if isinstance(call, ast.Name):
            raise NameError(f"name '{call.id}' is not defined")
        raise PermissionError("only a call of a tool can be run")
    function = call.func
    path: list[str] = []
    while isinstance(function, ast.Attribute):
        path.append(function.attr)
        function = function.value
    if not isinstance(function, ast.Name):
        raise PermissionError("only a tool can be called")
    instance = instances.get(function.id)
    if not function.id.endswith("_instance") or instance is None or not path:
        raise NameError(f"name '{function.id}' is not defined")
    if len(path) != 1 or path[0].startswith("_"):
        raise PermissionError("only a tool can be called")
    method = getattr(instance, path[0])
    if not inspect.ismethod(method):
        raise TypeError(f"'{type(method).__name__}' object is not callable")
    if any(keyword.arg is None for keyword in call.keywords):
        raise PermissionError("arguments must be written out")
    positional = [literal(value) for value in call.args]
    return method(*positional, **{str(k.arg): literal(k.value) for k in call.keywords})


def literal(node: ast.expr) -> Any:
    """The value of a literal. Raises PermissionError for anything else."""
    match node:
        case ast.Constant():
            return node.value
        case ast.List():
            return [literal(item) for item in node.elts]
        case ast.Tuple():
            return tuple(literal(item) for item in node.elts)
        case ast.Dict() if None not in node.keys:
            keys = cast(Sequence[ast.expr], node.keys)
            return {literal(k): literal(v) for k, v in zip(keys, node.values, strict=True)}
        case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
            value = literal(node.operand)
            if isinstance(value, int | float | complex):
                return -value if isinstance(node.op, ast.USub) else +value
        case ast.Name():
            raise NameError(f"name '{node.id}' is not defined")
        case _:
            pass
    raise PermissionError("arguments must be literals")
