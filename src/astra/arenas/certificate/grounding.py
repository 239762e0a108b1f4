"""Check `grounding`: every gold argument can be known at the moment of the call.

It stands in the question, in the answer or the output of a goal that is declared as a dependency
(also through others), or the document offers it (enum, default, boolean). Lists elementwise. Not
covered: values that an agent would have to compute; the arena must not need them.
"""

from __future__ import annotations

from astra.arenas.certificate.containment import offered, scalars, stands_in
from astra.arenas.certificate.context import ArenaUnderTest, CheckFinding, GoalStep, gold, short
from astra.arenas.certificate.documents import parameters_of
from astra.rewards import same_scalar
from astra.types import Json


def check_grounding(case: ArenaUnderTest) -> dict[str, Json]:
    """Every gold argument comes from the question, a declared dependency or the document."""
    if not case.arena.question.strip():
        raise CheckFinding("the question is empty")
    counts = {"question": 0, "dependency": 0, "document": 0}
    for step in case.steps:
        schemas = parameters_of(case.tools[step.call.tool])
        before = _before(case, step)
        for name, argument in step.call.arguments.items():
            if offered(schemas[name], argument):
                counts["document"] += 1
                continue
            for value in scalars(argument):
                source = _source(case, schemas[name], value, before)
                if source is None:
                    raise CheckFinding(
                        f"argument {name!r} = {short(value)} of {gold(step).what} comes neither "
                        "from the question nor from a declared dependency",
                        goal=step.goal.id,
                    )
                counts[source] += 1
    return {"sources": counts}


def _source(
    case: ArenaUnderTest, schema: dict[str, Json], value: Json, before: list[Json]
) -> str | None:
    if stands_in(value, case.arena.question):
        return "question"
    if any(_among(value, output) for output in before):
        return "dependency"
    inner = schema.get("items", schema)
    return "document" if offered(schema, value) or offered(inner, value) else None


def _before(case: ArenaUnderTest, step: GoalStep) -> list[Json]:
    """Answers and outputs of the goals that `step` depends on, also through others."""
    goals = {goal.id: goal for goal in case.arena.goals}
    found: list[Json] = []
    seen: set[str] = set()
    waiting = list(step.goal.depends_on)
    while waiting:
        name = waiting.pop()
        if name in seen or name not in goals:
            continue
        seen.add(name)
        found.append(goals[name].answer)
        found.append(case.outputs.get(name))
        waiting.extend(goals[name].depends_on)
    return found


def _among(value: Json, output: Json) -> bool:
    """Whether a value is a leaf of an output, or stands in one that is text."""
    return any(
        same_scalar(value, leaf) or (isinstance(leaf, str) and stands_in(value, leaf))
        for leaf in scalars(output)
    )
