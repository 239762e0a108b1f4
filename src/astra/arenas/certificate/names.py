"""Check `names`: the arena's id, its distractors, and the name of every tool.

A call names its tool and nothing else, so two tools of one name are one tool. Not covered: names
that differ but mean the same to a reader.
"""

from __future__ import annotations

import builtins
import keyword
import re

from astra.arenas.certificate.arena_under_test import ArenaUnderTest, CheckFinding
from astra.types import Json

IDENTIFIER = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}", re.ASCII)

RESERVED = frozenset(
    """reset step state close verify submit final_answer finish done seed score reward rewards
    evaluate terminate stop call call_tool list_tools tools observation action render env answer
    data main""".split()
)
"""Names that environments, agents and the tool sandbox itself use (compared case-folded)."""

_PYTHON = frozenset(
    name.casefold() for name in [*keyword.kwlist, *keyword.softkwlist, *dir(builtins)]
)


def check_names(under_test: ArenaUnderTest) -> dict[str, Json]:
    """Tool names are unique over tools and distractors, identifiers, and not reserved."""
    arena = under_test.arena
    try:
        expected = arena.content_id
    except (ValueError, RecursionError) as error:
        raise CheckFinding(f"the arena can't be written as JSON: {error}") from error
    # The certificate names the arena by this id: a changed arena must not inherit it.
    if arena.id != expected:
        raise CheckFinding(f"the arena's id is {arena.id!r}, its content hash is {expected!r}")
    # Case-folded: a model that writes Get_Rate for get_rate must not reach another tool.
    names: set[str] = set()
    for tool in [*arena.tools, *arena.distractors]:
        if problem := name_problem(tool.name):
            raise CheckFinding(problem)
        folded = tool.name.casefold()
        if folded in names:
            raise CheckFinding(f"two tools are called {tool.name!r}")
        names.add(folded)
    return {"names": len(names)}


def name_problem(name: str) -> str:
    """Why a tool can't have this name, whatever the others are called. Empty if it can."""
    if not IDENTIFIER.fullmatch(name):
        return f"tool name {name!r} is not an identifier of at most 64 ASCII characters"
    folded = name.casefold()
    if folded in RESERVED or folded.startswith("__"):
        return f"tool name {name!r} is reserved: choose another"
    if folded in _PYTHON:
        return f"tool name {name!r} is a keyword or a builtin of Python"
    return ""
