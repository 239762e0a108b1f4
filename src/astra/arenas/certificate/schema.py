"""Check `schema`: tool documents are sound, agree with the code, and the arena's calls fit them.

Distractors' documents are held to the same. Not covered: whether a description is true.
"""

from __future__ import annotations

from astra.arenas.certificate.case import Case, Finding, short
from astra.arenas.certificate.documents import document_problem, validator
from astra.types import Json, canonical_json

MAX_DECOYS = 32
"""Decoys of one goal; all are called."""
MAX_DATA = 2_000_000
"""Characters of one tool's data as canonical JSON."""


def check_schema(case: Case) -> dict[str, Json]:
    """Documents are valid and described, agree with the signatures, and fit the arena's calls."""
    for tool in [*case.arena.tools, *case.distractors]:
        if problem := document_problem(tool):
            raise Finding(f"tool {tool.name!r}: {problem}")
    for tool in case.arena.tools:
        size = len(canonical_json(tool.data))
        if size > MAX_DATA:
            raise Finding(f"data of tool {tool.name!r}: {size} characters, at most {MAX_DATA}")
    used: set[str] = set()
    for goal in case.arena.goals:
        if (goal.call is None) != (goal.target is None):
            raise Finding(f"goal {goal.id!r} has a call without a target, or the reverse")
        if goal.call is None:
            continue
        tool = case.tools.get(goal.call.tool)
        if tool is None:
            raise Finding(f"goal {goal.id!r} calls {goal.call.tool!r}, no tool of the arena")
        used.add(tool.name)
        if len(goal.decoys) > MAX_DECOYS:
            raise Finding(f"goal {goal.id!r} has {len(goal.decoys)} decoys, at most {MAX_DECOYS}")
        calls = [("gold call", goal.call.arguments), *(("decoy", d) for d in goal.decoys)]
        for what, arguments in calls:
            for error in validator(tool).iter_errors(arguments):
                raise Finding(
                    f"a {what} of goal {goal.id!r} does not fit the document of {tool.name!r}: "
                    f"{error.message[:300]}",
                    arguments=short(arguments),
                )
    if not used:
        raise Finding("no goal has a call: there is nothing to reward")
    if unused := sorted(set(case.tools) - used):
        raise Finding(f"no goal uses the tools {unused!r}: an unused tool is a distractor")
    return {"documents": len(case.arena.tools) + len(case.distractors)}
