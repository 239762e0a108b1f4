"""Check `names`: who is who. The arena's id, its distractors, and every tool's name.

Not covered: names that differ but mean the same to a reader.
"""

from __future__ import annotations

import builtins
import keyword
import re

from astra.arenas.certificate.context import ArenaUnderTest, CheckFinding
from astra.types import Json, arena_id

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


def check_names(case: ArenaUnderTest) -> dict[str, Json]:
    """Tool names are unique over tools and distractors, identifiers, and not reserved."""
    _identity(case)
    seen: set[str] = set()
    for tool in [*case.arena.tools, *case.distractors]:
        if problem := name_problem(tool.name):
            raise CheckFinding(problem)
        folded = tool.name.casefold()
        if folded in seen:
            raise CheckFinding(f"two tools are called {tool.name!r}")
        seen.add(folded)
    return {"names": len(seen)}


def name_problem(name: str) -> str:
    """Why a tool can't be called so, whatever the others are called; "" if it can."""
    if not IDENTIFIER.fullmatch(name):
        return f"tool name {name!r} is no identifier of at most 64 ASCII characters"
    folded = name.casefold()
    if folded in RESERVED or folded.startswith("__"):
        return f"tool name {name!r} is reserved: choose another"
    if folded in _PYTHON:
        return f"tool name {name!r} is a keyword or a builtin of Python"
    return ""


def _identity(case: ArenaUnderTest) -> None:
    arena = case.arena
    try:
        expected = arena_id(arena.model_dump(mode="json"))
        given = sorted((tool.name, tool.id) for tool in case.distractors)
    except (ValueError, RecursionError) as error:
        raise CheckFinding(f"the arena can't be written as JSON: {error}") from error
    if arena.id != expected:
        raise CheckFinding(f"the arena calls itself {arena.id!r}, its content hash is {expected!r}")
    declared = sorted((entry.name, entry.tool) for entry in arena.distractors)
    if declared != given:
        odd = sorted(set(declared) ^ set(given))[:3]
        raise CheckFinding(
            f"{len(declared)} distractors are declared and {len(given)} given; they differ in "
            f"{odd!r}: pass the tools that the arena's distractors name"
        )
