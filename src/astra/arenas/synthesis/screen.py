"""Static screening of a teacher's source before it runs: early, clear rejections.

The source is parsed, never executed here. This protects nothing: the sandbox is what protects, and
whoever wants to get past an allow-list of imports can. It says at once what a tool may not need.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator

from astra.arenas.certificate.function_signature import MAX_SOURCE, BadSource, signature
from astra.core.untrusted import odd_character

ALLOWED = frozenset(
    """__future__ abc array bisect calendar cmath collections copy dataclasses datetime decimal
    difflib enum fractions functools heapq itertools json math numbers operator re statistics
    string textwrap typing unicodedata""".split()
)
"""Modules that a pure function of its arguments may need."""
_FORBIDDEN = frozenset(
    """eval exec compile open input __import__ breakpoint globals locals vars exit quit
    __builtins__ __loader__ __spec__""".split()
)
_INNARDS = frozenset(
    """__subclasses__ __globals__ __builtins__ __bases__ __base__ __mro__ __code__ __closure__
    __getattribute__ __loader__ __import__ f_globals f_locals f_back tb_frame gi_frame""".split()
)


def source_problem(source: str, name: str) -> str:
    """Why a source is not even tried as the tool of that name; "" if it may be."""
    if len(source) > MAX_SOURCE:
        return f"the source has {len(source)} characters; at most {MAX_SOURCE} are allowed"
    if odd := odd_character(source):
        return f"the source holds the character {odd}: write plain text"
    try:
        signature(source, name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except BadSource as error:
        return f"the source {error}"
    return next(_problems(tree), "")


def _problems(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (_import(alias.name) for alias in names if not _allowed(alias.name))
            case ast.ImportFrom(module=module) if not _allowed(module or "."):
                yield _import(module or ".")
            case ast.Name(id=name) if name in _FORBIDDEN:
                yield f"the source uses {name!r}, which a pure function has no need of"
            case ast.Attribute(attr=name) if name in _INNARDS:
                yield f"the source reaches for {name!r}, which a pure function has no need of"
            case _:
                pass


def _allowed(module: str) -> bool:
    return module.partition(".")[0] in ALLOWED


def _import(module: str) -> str:
    return f"the source imports {module!r}; allowed are {', '.join(sorted(ALLOWED))}"
