"""Check `ablation`: declared dependencies are real, and the graph of goals is one.

Structure first: ids are unique and known, the graph has no cycle, answer nodes are leaves that
depend on something, the scenario is the graph's. Then each declared dependency must give an
argument that can't be had otherwise: its answer, not in the question, not offered by the document.
Not covered: what a model knows by heart.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from astra.arenas.certificate.containment import offered, scalars, stands_in
from astra.arenas.certificate.context import ArenaUnderTest, CheckFinding, GoalStep
from astra.arenas.certificate.documents import parameters_of
from astra.rewards import same_scalar
from astra.types import Goal, Json, Scenario


def check_ablation(case: ArenaUnderTest) -> dict[str, Json]:
    """The dependency graph is sound, and no goal with a dependency can be called without it."""
    goals = _check_graph(case)
    edges = 0
    for step in case.steps:
        for name in step.goal.depends_on:
            edges += 1
            if not _needed(case, step, goals[name]):
                raise CheckFinding(
                    f"goal {step.goal.id!r} declares that it depends on {name!r}, but none of its "
                    "arguments needs that goal's answer: drop the dependency or the argument from "
                    "the question",
                    goal=step.goal.id,
                )
    if (shape := scenario_of(case.arena.goals)) is not case.arena.scenario:
        raise CheckFinding(
            f"scenario is {case.arena.scenario.value!r}, the graph is {shape.value!r}"
        )
    return {"dependencies": edges}


def _check_graph(case: ArenaUnderTest) -> dict[str, Goal]:
    goals = {goal.id: goal for goal in case.arena.goals}
    if len(goals) != len(case.arena.goals):
        raise CheckFinding("two goals have the same id")
    for goal in case.arena.goals:
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
        TopologicalSorter({goal.id: goal.depends_on for goal in goals.values()}).prepare()
    except CycleError as error:
        raise CheckFinding(f"the dependencies form a cycle: {error.args[1]!r}") from error
    return goals


def _needed(case: ArenaUnderTest, step: GoalStep, dependency: Goal) -> bool:
    schemas = parameters_of(case.tools[step.call.tool]) if step.call.tool in case.tools else {}
    answers = list(scalars(dependency.answer))
    for name, argument in step.call.arguments.items():
        schema = schemas.get(name, {})
        inner = schema.get("items", schema)
        for value in scalars(argument):
            if (
                any(same_scalar(value, answer) for answer in answers)
                and not stands_in(value, case.arena.question)
                and not offered(schema, value)
                and not offered(inner, value)
            ):
                return True
    return False


def scenario_of(goals: tuple[Goal, ...]) -> Scenario:
    """The shape of a graph of goals, as `Scenario` defines it. The graph has no cycle."""
    calls = {goal.id: goal for goal in goals if goal.call is not None}
    edges = {name: [d for d in goal.depends_on if d in calls] for name, goal in calls.items()}
    if len(calls) <= 1:
        return Scenario.single_hop
    if not any(edges.values()):
        return Scenario.parallel_single_hop
    chain = list(TopologicalSorter(edges).static_order())
    if all(before in edges[after] for before, after in pairwise(chain)):
        return Scenario.multi_hop
    return Scenario.parallel_multi_hop
