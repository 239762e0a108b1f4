"""Whether a tool's code can see anything of the process that it runs in, read without running it.

A distractor that can runs in a process of its own in certificates, as all do in rollouts: beside
others it could hide what they answer, or notice that it is not alone. It is also asked again after
a pause, which plain code can't notice. Strict, because a wrong "no" costs a few milliseconds. It is
a rule about speed: no confinement depends on it.
"""

from __future__ import annotations

import ast
import re
import sys
from functools import lru_cache

from astra.arenas.certificate.function_signature import syntax_nodes

_MODULES = {"__future__", "datetime", "itertools", "math", "re", "unicodedata"}
"""Modules without a clock that moves, state that can be changed, or a way to other code."""
_BUILTINS = {
    *("__import__", "breakpoint", "compile", "delattr", "dir", "eval", "exec", "getattr"),
    *("globals", "hasattr", "help", "id", "input", "locals", "open", "setattr", "type", "vars"),
}
_HIDDEN = re.compile(r"_|(f|gi|cr|ag|tb|co)_")
"""How names of frames, code and other inner parts begin."""
_TELLING = {"format", "format_map", "now", "today", "utcnow"}
"""Methods that read a clock, or attributes by the names in a text."""
# `datetime.datetime` is a class; other modules that an attribute names are other modules.
_OTHER_MODULES = sys.stdlib_module_names - {"datetime"}


@lru_cache(maxsize=4096)
def is_plain(source: str) -> bool:
    """Whether the code reads and changes nothing but its arguments and its own data."""
    try:
        return all(map(_is_plain, syntax_nodes(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _is_plain(node: ast.AST) -> bool:
    match node:
        case ast.Import(names=names):
            return all(name.name in _MODULES for name in names)
        case ast.ImportFrom(module=module, names=names):
            return module in _MODULES and all(_is_open(name.name) for name in names)
        case ast.Attribute(attr=attr, ctx=context):
            return isinstance(context, ast.Load) and _is_open(attr)
        case ast.Name(id=name):
            return name not in _BUILTINS and not name.startswith("__")
        case ast.MatchClass():
            return False
        case _:
            return True


def _is_open(name: str) -> bool:
    return not (_HIDDEN.match(name) or name in _TELLING or name in _OTHER_MODULES or name == "*")
