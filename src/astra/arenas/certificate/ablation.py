"""Check `ablation`: declared dependencies are real, and the goals form a sound graph.

Structure first: ids are unique and known, the graph has no cycle, answer nodes are leaves that
depend on something, the scenario is the graph's. Then each declared dependency must supply an
argument that can't be had otherwise: its answer, not in the question, not offered by the document.
Without this check a "multi-hop" question may be solved in one call, and credit for the earlier
calls is credit for nothing. Not covered: what a model knows by heart.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from astra.arenas.certificate.arena_under_test import ArenaUnderTest, CheckFinding
from astra.arenas.certificate.containment import offered_for
from astra.arenas.certificate.parameters import parameters_of
from astra.arenas.certificate.readings import can_be_read
from astra.arenas.scenarios import scenario_of
from astra.core.text import scalars
from astra.rewards import same_scalar
from astra.types import Json


def check_ablation(under_test: ArenaUnderTest) -> dict[str, Json]:
    """The dependency graph is sound, and no goal with a dependency can be called without it."""
    arena = under_test.arena
    goals = {goal.id: goal for goal in arena.goals}
    if len(goals) != len(arena.goals):
        raise CheckFinding("two goals have the same id")
    for goal in arena.goals:
        if len(set(goal.depends_on)) != len(goal.depends_on):
            raise CheckFinding(f"goal {goal.id!r} declares a dependency twice")
        for name in goal.depends_on:
            if name not in goals:
                raise CheckFinding(f"goal {goal.id!r} depends on {name!r}, which does not exist")
            if goals[name].call is None:
                raise CheckFinding(
                    f"goal {goal.id!r} depends on {name!r}, an answer node: not a leaf"
                )
        if goal.call is None and not goal.depends_on:
            raise CheckFinding(f"answer node {goal.id!r} depends on nothing")
    try:
        TopologicalSorter({goal.id: goal.depends_on for goal in arena.goals}).prepare()
    except CycleError as error:
        raise CheckFinding(f"the dependencies form a cycle: {error.args[1]!r}") from error
    edges = 0
    for step in under_test.steps:
        tool = under_test.tools.get(step.call.tool)
        schemas = parameters_of(tool) if tool else {}
        for name in step.goal.depends_on:
            edges += 1
            answers = list(scalars(goals[name].answer))
            # A dependency is real if one argument can only come from its answer. A question that
            # names the country beside its university, say, needs no call about the university.
            is_needed = any(
                any(same_scalar(value, answer) for answer in answers)
                and not can_be_read(value, arena.question)
                and not offered_for(schemas.get(parameter, {}), value)
                for parameter, argument in step.call.arguments.items()
                for value in scalars(argument)
            )
            if not is_needed:
                raise CheckFinding(
                    f"goal {step.goal.id!r} declares that it depends on {name!r}, but none of its "
                    "arguments needs that goal's answer: drop the dependency, or drop the argument "
                    "from the question",
                    goal=step.goal.id,
                )
    # Results are reported per scenario, so a wrong label would shift every table.
    if (shape := scenario_of(arena.goals)) is not arena.scenario:
        raise CheckFinding(f"scenario is {arena.scenario.value!r}, the graph is {shape.value!r}")
    return {"dependencies": edges}
