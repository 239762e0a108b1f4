"""Builds the arena of a plan: its words, tools, and goals with targets and decoys."""

from __future__ import annotations

import random
from collections.abc import Sequence

from astra.arenas.certificate.containment import document_text
from astra.arenas.certificate.leak import leaks
from astra.arenas.difficulty import UNSET, DialSettings
from astra.arenas.distractors import with_distractors
from astra.arenas.rounding import FINAL_ROUNDING, TOOL_ROUNDING
from astra.arenas.tables.near_tools import near_tools
from astra.arenas.tables.planner import QuestionPlan
from astra.arenas.tables.questions.grammar import Grammar
from astra.arenas.tables.slices import TableSlice, as_number
from astra.arenas.tables.steps import AnswerKind, PlanStep
from astra.arenas.tables.tools import ToolJob, ToolWriter, jobs_of
from astra.arenas.tables.world import World
from astra.errors import Rejected
from astra.types import Arena, Distractor, Goal, GoldCall, Json, Matcher, Scalar, Target, Tool

_MATCHERS: dict[AnswerKind, Matcher] = {
    "entity": Matcher.exact,
    "text": Matcher.exact,
    "number": Matcher.number,
    "date": Matcher.date,
    "list": Matcher.set,
}


class TableArenaBuilder:
    """Builds arenas over one world."""

    def __init__(self, grammar: Grammar, writer: ToolWriter) -> None:
        self._grammar = grammar
        self._writer = writer

    def build(
        self,
        plan: QuestionPlan,
        rng: random.Random,
        provenance: dict[str, Json],
        dials: DialSettings = UNSET,
    ) -> Arena:
        """The arena of a plan, with the near tools of its dials as distractors.

        Raises `Rejected` if the plan can't be served.
        """
        steps = plan.steps()
        if len({step.call_key() for step in steps}) != len(steps):
            raise Rejected("plan", "two steps ask the same")
        phrasing = self._grammar.phrase(plan, rng)
        for step in steps:
            if leaks(step.answer, phrasing.question):
                raise Rejected("leak", f"the answer {step.answer!r} stands in the question")
        numbers = IdentifyingNumbers(self._writer.world)
        tools: list[Tool] = []
        served: list[tuple[ToolJob, TableSlice]] = []
        goals: dict[int, Goal] = {}
        for job in jobs_of(steps):
            written = self._writer.write(job, plan, rng, dials=dials)
            if written is None:
                operation = job.operation.name
                raise Rejected("tool", f"too few other rows for {operation} on {job.table!r}")
            tool, slice_ = written
            if any(other.name == tool.name for other in tools):
                raise Rejected("names", f"two tools would be called {tool.name!r}")
            tools.append(tool)
            served.append((job, slice_))
            for step in job.steps:
                number = steps.index(step)
                question = phrasing.steps[number]
                goals[number] = self._goal(step, steps, tool, slice_, job, question, rng)
        ordered = [goals[number] for number in range(len(steps))]
        # A document or another goal's question may give an answer away by chance.
        documents = "\n".join(document_text(tool) for tool in tools)
        for goal in ordered:
            others = (other.question for other in ordered if other is not goal)
            if leaks(goal.answer, "\n".join((documents, *others)), goal.target):
                raise Rejected(
                    "leak", f"the answer {goal.answer!r} stands in a document or question"
                )
        if phrasing.node is not None:
            ordered.append(
                Goal(
                    id=f"g{len(steps) + 1}",
                    question=phrasing.node,
                    answer=plan.answer,
                    call=None,
                    target=None,
                    depends_on=tuple(f"g{steps.index(end) + 1}" for end in plan.ends),
                    operation=plan.joined or "",
                )
            )
        tables = [step.table for step in steps if step.table]
        # The domain is that of the table that the main answer comes from.
        schema = self._writer.world.schema
        answer = plan.answer
        if not plan.has_answer_node:
            ends = [numbers.answer(end) for end in plan.ends]
            flat = [end for end in ends if not isinstance(end, tuple)]
            answer = tuple(flat) if plan.joined == "list" else ends[0]
        # The id is a hash of the content, so it comes last.
        draft = Arena(
            id="",
            question=phrasing.question,
            answer=answer,
            answer_target=_final_target(answer, plan),
            goals=tuple(ordered),
            tools=tuple(tools),
            scenario=plan.scenario,
            language=tools[0].language,
            domain=schema.table(tables[-1]).domain if tables else tools[0].domain,
            split=plan.split,
            provenance=provenance
            | {"tables": {f"g{n}": step.table for n, step in enumerate(steps, 1) if step.table}},
        )
        near: list[Distractor] = []
        # Of their own: the same plan has the same question and tools with and without them.
        near_rng = random.Random(f"{provenance.get('key')} near tools")
        for job, slice_ in served if dials.near_tools else ():
            near += near_tools(
                self._writer,
                job,
                slice_,
                plan,
                near_rng,
                taken={tool.name for tool in (*tools, *near)},
                dials=dials,
            )
        return with_distractors(draft, near)

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
        decoys = self._writer.decoys(step, slice_, rng)
        if decoys is None:
            raise Rejected("tool", f"no other call of {tool.name!r} has another answer")
        numbers = IdentifyingNumbers(self._writer.world)
        arguments = numbers.arguments(step, step.call_arguments())
        answer = numbers.answer(step)
        return Goal(
            id=f"g{steps.index(step) + 1}",
            question=question,
            answer=answer,
            call=GoldCall(tool=tool.name, arguments=arguments),
            target=Target(
                matcher=_MATCHERS[step.kind],
                value=answer,
                field=job.operation.result_field.format(entity=self._writer.entity_of(job)),
                key={**arguments, **job.operation.echoed, **job.operation.target_key(step)},
                relative=TOOL_ROUNDING,
            ),
            depends_on=tuple(f"g{steps.index(parent) + 1}" for parent in step.parents),
            decoys=tuple(numbers.arguments(step, decoy) for decoy in decoys),
            operation=step.operation,
        )


class IdentifyingNumbers:
    """Puts numbers that identify into calls and answers as numbers. Plans keep them as texts."""

    def __init__(self, world: World) -> None:
        self._world = world

    def arguments(self, step: PlanStep, arguments: dict[str, Json]) -> dict[str, Json]:
        """The arguments of a call of the step's tool."""
        names: set[str] = set()
        if step.table and self._world.schema.table(step.table).numbered:
            names |= {self._world.views[step.table].parameter, "first", "second"}
        about = step.by or step.attribute
        if step.table and about is not None and about.numbered:
            names.add("value")
        return {name: as_number(value, name in names) for name, value in arguments.items()}

    def answer(self, step: PlanStep) -> Scalar | tuple[Scalar, ...]:
        """The step's answer."""
        schema, answer = self._world.schema, step.answer
        if isinstance(answer, tuple):
            numbered = schema.table(step.table).numbered
            return tuple(int(v) if numbered else v for v in answer)
        if step.entity is not None:
            numbered = schema.table(step.entity.table).numbered
        else:
            numbered = step.operation == "lookup" and bool(
                step.attribute and step.attribute.numbered
            )
        return int(answer) if numbered else answer


def _final_target(answer: Scalar | tuple[Scalar, ...], plan: QuestionPlan) -> Target:
    values = answer if isinstance(answer, tuple) else (answer,)
    # People round measurements, but not counts and years.
    measured = any(isinstance(value, float) for value in values)
    relative = FINAL_ROUNDING if measured else TOOL_ROUNDING
    if isinstance(answer, tuple):
        return Target(matcher=Matcher.set, value=answer, relative=relative)
    if isinstance(answer, int | float) and plan.ends[0].kind not in ("entity", "text"):
        return Target(matcher=Matcher.number, value=answer, relative=relative)
    return Target(matcher=Matcher.text, value=answer)
