"""The signature of a tool's function, read from source text without running it.

Not covered: code that rebinds its own name through `globals()` or `exec`. Such a function is
caught, if at all, by what it does under the checks that call it.
"""

from __future__ import annotations

import ast
import re
import sys
import unicodedata
import warnings
from functools import lru_cache
from typing import NamedTuple

from astra.types import Json

MAX_SOURCE = 64_000
"""Characters of one tool's source."""


class BadSource(ValueError):
    """The source does not define one plain function of that name."""


class FunctionParameter(NamedTuple):
    """One parameter of a tool's function."""

    name: str
    required: bool
    default: Json
    """Value of the default. None if there is none or it is not a literal."""
    literal: bool
    """Whether there is a default and it is a literal."""


# As many as the arenas have tools that are examined at the same time.
@lru_cache(maxsize=128)
def syntax_tree(source: str) -> ast.Module:
    """The parsed source; raises as `ast.parse` does."""
    with warnings.catch_warnings():
        # An invalid escape in a teacher's source would warn on our terminal.
        warnings.simplefilter("ignore")
        return ast.parse(source)


@lru_cache(maxsize=128)
def syntax_nodes(source: str) -> tuple[ast.AST, ...]:
    """All nodes of the parsed source but contexts (load, store), in the order of `ast.walk`.

    Several checks read them.
    """
    nodes: list[ast.AST] = [syntax_tree(source)]
    for node in nodes:  # which grows meanwhile
        for name in node._fields:
            child = getattr(node, name, None)
            if isinstance(child, list):
                nodes += [each for each in child if isinstance(each, ast.AST)]
            elif isinstance(child, ast.AST) and not isinstance(child, ast.expr_context):
                nodes.append(child)
    return tuple(nodes)


@lru_cache(maxsize=2048)
def signature(source: str, name: str) -> tuple[FunctionParameter, ...]:
    """Parameters of the top-level function `name`; raises `BadSource`."""
    if len(source) > MAX_SOURCE:
        raise BadSource(f"has {len(source)} characters; at most {MAX_SOURCE} are allowed")
    try:
        tree = syntax_tree(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadSource(f"is not valid Python: {type(error).__name__}: {error}") from error
    # Not `ast.walk`: expressions hold no import, and they are the bulk of the tree.
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            children = getattr(node, field, None)
            if isinstance(children, list):
                pending.extend(children)
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = ["." if node.level else node.module or "."]
            if any(alias.name == "*" for alias in node.names):
                raise BadSource(f"imports everything from {modules[0]!r}: name what it needs")
        for module in modules:
            if module.partition(".")[0] not in sys.stdlib_module_names:
                raise BadSource(f"imports {module!r}: only the standard library is allowed")
    _check_bindings(source, tree, name)
    functions = [
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name
    ]
    if len(functions) != 1:
        raise BadSource(f"defines {len(functions)} plain top-level functions {name!r}, not one")
    # A decorator may replace the function by one with other parameters.
    if functions[0].decorator_list:
        raise BadSource(f"{name!r} is decorated, so its signature can't be read: write it plain")
    arguments = functions[0].args
    if arguments.posonlyargs:
        raise BadSource("has positional-only parameters: calls pass every argument by name")
    if arguments.vararg or arguments.kwarg:
        raise BadSource("has *args or **kwargs: name every parameter")
    missing = len(arguments.args) - len(arguments.defaults)
    defaults: list[ast.expr | None] = [*([None] * missing), *arguments.defaults]
    pairs = [
        *zip(arguments.args, defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    parameters: list[FunctionParameter] = []
    for argument, default in pairs:
        value, literal = None, default is not None
        if default is not None:
            try:
                value = ast.literal_eval(default)
            except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                literal = False
        parameters.append(FunctionParameter(argument.arg, default is None, value, literal))
    return tuple(parameters)


def _check_bindings(source: str, tree: ast.Module, name: str) -> None:
    """The one `def` is the only thing that binds `name`, in any scope."""
    # Python normalises identifiers: a full-width letter spells the same name. A name that stands
    # once in the text is bound once, which saves the walk for nearly every source.
    if len(re.findall(rf"\b{re.escape(name)}\b", unicodedata.normalize("NFKC", source))) == 1:
        return
    bound = 0
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                bound += node.name == name
            case ast.Name(ctx=ast.Store() | ast.Del()):
                bound += node.id == name
            case ast.alias():
                bound += (node.asname or node.name.partition(".")[0]) == name
            case ast.ExceptHandler() | ast.MatchAs() | ast.MatchStar():
                bound += node.name == name
            case ast.MatchMapping():
                bound += node.rest == name
            case ast.Global():
                bound += name in node.names
            case _:
                pass
    if bound > 1:
        raise BadSource(f"binds {name!r} more than once: define it exactly once")
