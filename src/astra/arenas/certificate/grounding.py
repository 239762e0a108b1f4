"""Check `grounding`: every gold argument can be known at the moment of the call.

It stands in the question, in the answer or the output of a goal that is declared as a dependency
(also through others), or the document offers it (enum, default, boolean). Lists are checked
element by element, and in the spellings that people use (`spellings`). An argument that an agent
can only guess makes an arena unsolvable, and its reward noise. Not covered: values that an agent
would have to compute; the arena must not need them.
"""

from __future__ import annotations

from astra.arenas.certificate.arena_under_test import ArenaUnderTest, CheckFinding, shortened
from astra.arenas.certificate.containment import offered, offered_for, stands_in
from astra.arenas.certificate.parameters import parameters_of
from astra.core.spellings import says
from astra.core.text import scalars
from astra.rewards import same_scalar
from astra.types import Json


def check_grounding(under_test: ArenaUnderTest, outputs: dict[str, Json]) -> dict[str, Json]:
    """Every gold argument comes from the question, a declared dependency or the document.

    `outputs`: what the gold calls returned, by goal id.
    """
    question = under_test.arena.question
    if not question.strip():
        raise CheckFinding("the question is empty")
    goals = {goal.id: goal for goal in under_test.arena.goals}
    counts = {"question": 0, "dependency": 0, "document": 0}
    for step in under_test.steps:
        schemas = parameters_of(under_test.tools[step.call.tool])
        # Answers and outputs of the goals that the step depends on, directly or through others.
        known_leaves: list[Json] = []
        visited: set[str] = set()
        pending = list(step.goal.depends_on)
        while pending:
            name = pending.pop()
            if name in visited or name not in goals:
                continue
            visited.add(name)
            known_leaves += [*scalars(goals[name].answer), *scalars(outputs.get(name))]
            pending.extend(goals[name].depends_on)
        for name, argument in step.call.arguments.items():
            schema = schemas[name]
            if offered(schema, argument):
                counts["document"] += 1
                continue
            for value in scalars(argument):
                described = str(schema.get("description", ""))
                if stands_in(value, question) or says(value, question, described):
                    counts["question"] += 1
                # A dependency's answer may stand inside a longer text, as in a description.
                elif any(
                    same_scalar(value, leaf)
                    or (
                        isinstance(leaf, str)
                        and (stands_in(value, leaf) or says(value, leaf, described))
                    )
                    for leaf in known_leaves
                ):
                    counts["dependency"] += 1
                elif offered_for(schema, value):
                    counts["document"] += 1
                else:
                    raise CheckFinding(
                        f"argument {name!r} = {shortened(value)} of {step.gold_call.description} "
                        "comes neither from the question nor from a declared dependency",
                        goal=step.goal.id,
                    )
    return {"sources": counts}
