"""Static screening of a teacher's source before it runs: early, clear rejections.

The source is parsed, never executed. This is not a protection: an allow-list of imports can be
circumvented, and only the sandbox confines code. It tells the teacher early what a tool may not
use.
"""

from __future__ import annotations

import ast
import warnings

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
    """Why a source is not tried as the tool of that name. Empty if it may be."""
    if len(source) > MAX_SOURCE:
        return f"the source has {len(source)} characters; at most {MAX_SOURCE} are allowed"
    if odd := odd_character(source):
        return f"the source contains the character {odd}: write plain text"
    try:
        signature(source, name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except BadSource as error:
        return f"the source {error}"
    for node in ast.walk(tree):
        modules: list[str] = []
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=module):
                modules = [module or "."]
            case ast.Name(id=name) if name in _FORBIDDEN:
                return f"the source uses {name!r}, which a pure function does not need"
            # The way from any object to every class and module of the process.
            case ast.Attribute(attr=name) if name in _INNARDS:
                return f"the source accesses {name!r}, which a pure function does not need"
            case _:
                pass
        for module in modules:
            if module.partition(".")[0] not in ALLOWED:
                return f"the source imports {module!r}; allowed are {', '.join(sorted(ALLOWED))}"
    return ""
