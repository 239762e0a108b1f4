"""Check `schema`: tool documents are sound, agree with the code, and the arena's calls fit them.

Distractors' documents are held to the same. Not covered: whether a description is true.
"""

from __future__ import annotations

import re

from astra.arenas.certificate.context import ArenaUnderTest, CheckFinding, short
from astra.arenas.certificate.documents import document_problem, validator
from astra.types import Json, canonical_json

MAX_DECOYS = 32
"""Decoys of one goal; all are called."""
MAX_DATA = 2_000_000
"""Characters of one tool's data as canonical JSON."""
MAX_QUESTION = 20_000
"""Characters of the main question, or of a goal's."""
MAX_GOALS = 64
MAX_DISTRACTORS = 256
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def check_schema(case: ArenaUnderTest) -> dict[str, Json]:
    """Documents are valid and described, agree with the signatures, and fit the arena's calls."""
    for tool in [*case.arena.tools, *case.distractors]:
        if problem := document_problem(tool):
            raise CheckFinding(f"tool {tool.name!r}: {problem}")
    for tool in case.arena.tools:
        size = len(canonical_json(tool.data))
        if size > MAX_DATA:
            raise CheckFinding(f"data of tool {tool.name!r}: {size} characters, at most {MAX_DATA}")
    _check_sizes(case)
    used: set[str] = set()
    for goal in case.arena.goals:
        if (goal.call is None) != (goal.target is None):
            raise CheckFinding(f"goal {goal.id!r} has a call without a target, or the reverse")
        if goal.call is None:
            continue
        tool = case.tools.get(goal.call.tool)
        if tool is None:
            raise CheckFinding(f"goal {goal.id!r} calls {goal.call.tool!r}, no tool of the arena")
        used.add(tool.name)
        if len(goal.decoys) > MAX_DECOYS:
            raise CheckFinding(
                f"goal {goal.id!r} has {len(goal.decoys)} decoys, at most {MAX_DECOYS}"
            )
        calls = [("gold call", goal.call.arguments), *(("decoy", d) for d in goal.decoys)]
        for what, arguments in calls:
            for error in validator(tool).iter_errors(arguments):
                raise CheckFinding(
                    f"a {what} of goal {goal.id!r} does not fit the document of {tool.name!r}: "
                    f"{error.message[:300]}",
                    arguments=short(arguments),
                )
    if not used:
        raise CheckFinding("no goal has a call: there is nothing to reward")
    if unused := sorted(set(case.tools) - used):
        raise CheckFinding(f"no goal uses the tools {unused!r}: an unused tool is a distractor")
    return {"documents": len(case.arena.tools) + len(case.distractors)}


def _check_sizes(case: ArenaUnderTest) -> None:
    """Every later check takes time that grows with these."""
    arena = case.arena
    if len(arena.goals) > MAX_GOALS or len(case.distractors) > MAX_DISTRACTORS:
        raise CheckFinding(
            f"{len(arena.goals)} goals and {len(case.distractors)} distractors: at most "
            f"{MAX_GOALS} and {MAX_DISTRACTORS}"
        )
    questions = {"the main question": arena.question}
    questions |= {f"the question of goal {goal.id!r}": goal.question for goal in arena.goals}
    for what, question in questions.items():
        if len(question) > MAX_QUESTION:
            raise CheckFinding(f"{what} has {len(question)} characters, at most {MAX_QUESTION}")
        if found := _CONTROL.search(question):
            raise CheckFinding(f"{what} holds the control character {found[0]!r}")
        if not question.strip():
            raise CheckFinding(f"{what} is empty")
