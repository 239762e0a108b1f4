"""Turns a plan into an arena: words, tools, goals with targets and decoys."""

from __future__ import annotations

import random
from collections.abc import Sequence

from astra.arenas.certificate.containment import document_text
from astra.arenas.certificate.leak import leaks
from astra.arenas.tables.planner import QuestionPlan
from astra.arenas.tables.questions.grammar import Grammar, Phrasing
from astra.arenas.tables.slices import TableSlice
from astra.arenas.tables.steps import PlanStep
from astra.arenas.tables.tools import ToolJob, ToolWriter, jobs_of
from astra.errors import Rejected
from astra.types import (
    Arena,
    Goal,
    GoldCall,
    Json,
    Matcher,
    Scalar,
    Target,
    Tool,
)

# The fields of a result that say what was asked, per operation; the rest is the answer.
_FIELDS = {
    "find": "{entity}",
    "rank": "{entity}",
    "lookup": "value",
    "list": "items",
    "filter": "items",
    "count": "count",
    "count_where": "count",
    "aggregate": "result",
    "compare": "difference",
    "difference": "difference",
    "days_between": "days",
    "convert": "result",
}

ROUNDING = 1e-6
"""Relative tolerance of a goal's number: tools round to six decimals."""
FINAL_ROUNDING = 5e-3
"""Relative tolerance of a number in a final answer, where people round."""


class TableArenaBuilder:
    """Builds arenas over one world."""

    def __init__(self, grammar: Grammar, writer: ToolWriter) -> None:
        self._grammar = grammar
        self._writer = writer

    def build(self, plan: QuestionPlan, rng: random.Random, provenance: dict[str, Json]) -> Arena:
        """The arena of a plan; raises `Rejected` when the plan can't be served."""
        steps = plan.steps()
        calls = [step.call_key() for step in steps]
        if len(set(calls)) != len(calls):
            raise Rejected("plan", "two steps ask the same")
        phrasing = self._grammar.phrase(plan, rng)
        _check_leak(phrasing.question, steps)
        tools: list[Tool] = []
        goals: dict[int, Goal] = {}
        for job in jobs_of(steps):
            tool, slice_ = self._tool(job, plan, rng, tools)
            tools.append(tool)
            for step in job.steps:
                number = steps.index(step)
                sub_question = phrasing.steps[number]
                goals[number] = self._goal(step, steps, tool, slice_, job, sub_question, rng)
        ordered = [goals[number] for number in range(len(steps))]
        _check_places(ordered, tools)
        if plan.has_answer_node:
            ordered.append(_answer_node(plan, steps, phrasing))
        tables: Json = {f"g{n}": step.table for n, step in enumerate(steps, 1) if step.table}
        return _arena(
            plan,
            phrasing,
            ordered,
            tools,
            self._domain(plan, tools),
            provenance | {"tables": tables},
        )

    def _tool(
        self, job: ToolJob, plan: QuestionPlan, rng: random.Random, taken: Sequence[Tool]
    ) -> tuple[Tool, TableSlice]:
        written = self._writer.write(job, plan, rng)
        if written is None:
            raise Rejected("tool", f"too few other rows for {job.operation} on {job.table!r}")
        if any(tool.name == written[0].name for tool in taken):
            raise Rejected("names", f"two tools would be called {written[0].name!r}")
        return written

    def _goal(
        self,
        step: PlanStep,
        steps: Sequence[PlanStep],
        tool: Tool,
        slice_: TableSlice,
        job: ToolJob,
        question: str,
        rng: random.Random,
    ) -> Goal:
        decoys = self._writer.slicer.decoys(step, slice_, rng)
        if decoys is None:
            raise Rejected("tool", f"no other call of {tool.name!r} has another answer")
        arguments = step.call_arguments()
        return Goal(
            id=f"g{steps.index(step) + 1}",
            question=question,
            answer=step.answer,
            call=GoldCall(tool=tool.name, arguments=arguments),
            target=self._target(step, job, arguments),
            depends_on=tuple(f"g{steps.index(parent) + 1}" for parent in step.parents),
            decoys=decoys,
            operation=step.operation,
        )

    def _target(self, step: PlanStep, job: ToolJob, arguments: dict[str, Json]) -> Target:
        entity = self._writer.entity_of(job)
        key = dict(arguments)
        if step.operation == "rank":
            key["position"] = 1
        return Target(
            matcher=_matcher(step),
            value=step.answer,
            field=_FIELDS[step.operation].format(entity=entity),
            key=key,
            relative=ROUNDING,
        )

    def _domain(self, plan: QuestionPlan, tools: Sequence[Tool]) -> str:
        """The domain of the table that the main answer comes from."""
        tables = [step.table for step in plan.steps() if step.table]
        return self._writer.world.schema.table(tables[-1]).domain if tables else tools[0].domain


def _check_leak(question: str, steps: Sequence[PlanStep]) -> None:
    for step in steps:
        if leaks(step.answer, question):
            raise Rejected("leak", f"the answer {step.answer!r} stands in the question")


def _check_places(goals: Sequence[Goal], tools: Sequence[Tool]) -> None:
    """No answer stands in a document or in another goal's question, be it by chance."""
    documents = "\n".join(document_text(tool) for tool in tools)
    for goal in goals:
        others = (other.question for other in goals if other is not goal)
        if leaks(goal.answer, "\n".join((documents, *others)), goal.target):
            raise Rejected("leak", f"the answer {goal.answer!r} stands in a document or question")


def _matcher(step: PlanStep) -> Matcher:
    return {
        "entity": Matcher.exact,
        "text": Matcher.exact,
        "number": Matcher.number,
        "date": Matcher.date,
        "list": Matcher.set,
    }[step.kind]


def _answer_node(plan: QuestionPlan, steps: Sequence[PlanStep], phrasing: Phrasing) -> Goal:
    assert phrasing.node is not None and plan.joined is not None
    return Goal(
        id=f"g{len(steps) + 1}",
        question=phrasing.node,
        answer=plan.answer,
        call=None,
        target=None,
        depends_on=tuple(f"g{steps.index(end) + 1}" for end in plan.ends),
        operation=plan.joined,
    )


def _final_target(plan: QuestionPlan) -> Target:
    answer: Scalar | tuple[Scalar, ...] = plan.answer
    values = answer if isinstance(answer, tuple) else (answer,)
    # Measurements are rounded by people; counts and years are not.
    relative = FINAL_ROUNDING if any(isinstance(value, float) for value in values) else ROUNDING
    if isinstance(answer, tuple):
        return Target(matcher=Matcher.set, value=answer, relative=relative)
    if isinstance(answer, int | float):
        return Target(matcher=Matcher.number, value=answer, relative=relative)
    return Target(matcher=Matcher.text, value=answer)


def _arena(
    plan: QuestionPlan,
    phrasing: Phrasing,
    goals: Sequence[Goal],
    tools: Sequence[Tool],
    domain: str,
    provenance: dict[str, Json],
) -> Arena:
    draft = Arena(
        id="",
        question=phrasing.question,
        answer=plan.answer,
        answer_target=_final_target(plan),
        goals=tuple(goals),
        tools=tuple(tools),
        scenario=plan.scenario,
        language=tools[0].language,
        domain=domain,
        split=plan.split,
        provenance=provenance,
    )
    return draft.with_content_id()
