"""Stage `merged`: steps that ask the same kind of thing share one tool; the arena is put together.

A group's first tool is extended step by step; after each insertion the certificate examines all
calls of the group again. Whatever goes wrong with a group leaves *all* its steps with their own
tools: there are no half-merged groups. Why is in the row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from astra.arenas.synthesis.build import whole_arena
from astra.arenas.synthesis.documents import call_problem, document_problem
from astra.arenas.synthesis.implement import ImplementationFault, tool_problem
from astra.arenas.synthesis.records import (
    DecomposedItem,
    ImplementedItem,
    MergedGroup,
    MergedItem,
    StepTool,
)
from astra.protocols import Sandbox
from astra.runs.cost import StageMeter
from astra.runs.stage import Stage
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.arenas import (
    EXTEND,
    GROUP,
    DecompositionStep,
    ExtendIn,
    ExtendOut,
    GroupIn,
    ServedCall,
)
from astra.types import Json

MERGED = "merged"
EXTEND_TRIES = 3


def merged_stage(
    teacher: Teacher, sandbox: Sandbox, meter: StageMeter, *, test_share: float, seed: int
) -> Stage[ImplementedItem, MergedItem]:
    """Instances with tools to arenas."""

    async def work(row: ImplementedItem) -> MergedItem:
        instance = row.judged.instance
        tools = {tool.step: tool for tool in row.tools}
        groups: list[MergedGroup] = []
        for names in await _groups(teacher, instance, tools, groups):
            merged = await _Merging(teacher, sandbox, instance, tools, seed).group(names)
            if isinstance(merged, str):
                groups.append(MergedGroup(steps=names, merged=False, reason=merged[:1000]))
            else:
                tools |= merged
                groups.append(MergedGroup(steps=names, merged=True))
        arena = whole_arena(
            instance, tools, test_share=test_share, provenance=_provenance(row, groups, teacher)
        )
        return MergedItem(key=row.key, arena=arena, groups=tuple(groups))

    return Stage(
        name=MERGED,
        work=work,
        key=lambda row: row.key,
        stored_key=lambda row: row["key"],
        stored_id=lambda row: row["key"],
        meter=meter,
    )


def _provenance(
    row: ImplementedItem, groups: Sequence[MergedGroup], teacher: Teacher
) -> dict[str, Json]:
    instance, scores = row.judged.instance, row.judged.scores
    return {
        "source": "teacher",
        "teacher": teacher.name,
        "key": row.key,
        "mode": instance.mode,
        "origin": instance.origin,
        "scores": {**scores.model_dump(), "quality": scores.quality},
        "tries": {tool.step: tool.tries for tool in row.tools},
        "merged": [list(group.steps) for group in groups if group.merged],
    }


async def _groups(
    teacher: Teacher,
    instance: DecomposedItem,
    tools: Mapping[str, StepTool],
    refused: list[MergedGroup],
) -> list[tuple[str, ...]]:
    """The groups that the teacher sees, those that can't be put into `refused`."""
    steps = tuple(step for step in instance.steps if step.needs_tool)
    if len(steps) < 2:
        return []
    given = GroupIn(
        language=instance.language,
        steps=steps,
        documents={name: tool.document for name, tool in tools.items()},
    )
    found: list[tuple[str, ...]] = []
    used: set[str] = set()
    for names in (await teacher.ask(GROUP, given)).groups:
        if problem := _group_problem(names, tools, used):
            shown = tuple(name[:40] for name in names[:20])
            refused.append(MergedGroup(steps=shown, merged=False, reason=problem))
            continue
        used |= set(names)
        found.append(tuple(step.id for step in steps if step.id in names))
    return found


def _group_problem(names: Sequence[str], tools: Mapping[str, StepTool], used: set[str]) -> str:
    if len(names) < 2 or len(set(names)) != len(names):
        return "a group has at least two different steps"
    for name in names:
        if name not in tools:
            return f"{name!r:.80} is no step with a tool"
        if name in used:
            return f"step {name!r} is in two groups"
    return ""


class _Merging:
    """Extends the first tool of a group until it serves all its steps."""

    def __init__(
        self,
        teacher: Teacher,
        sandbox: Sandbox,
        instance: DecomposedItem,
        tools: Mapping[str, StepTool],
        seed: int,
    ) -> None:
        self._teacher = teacher
        self._sandbox = sandbox
        self._instance = instance
        self._tools = tools
        self._seed = seed

    async def group(self, names: Sequence[str]) -> dict[str, StepTool] | str:
        """The group's tools by step, all of them one; or why they stay separate."""
        served = [self._tools[names[0]]]
        for name in names[1:]:
            extended = await self._extended(served, self._tools[name])
            if isinstance(extended, ImplementationFault):
                return f"step {name!r}: {extended.finding}"
            served = extended
        return {tool.step: tool for tool in served}

    async def _extended(
        self, served: Sequence[StepTool], adds: StepTool
    ) -> list[StepTool] | ImplementationFault:
        problem = ImplementationFault("extend", "")
        for attempt in range(EXTEND_TRIES):
            given = ExtendIn(
                language=self._instance.language,
                document=served[0].document,
                implementation=served[0].implementation,
                serves=tuple(self._served(tool) for tool in served),
                other_document=adds.document,
                adds=self._served(adds),
                finding=problem.finding,
            )
            extended = await self._teacher.ask(EXTEND, given, index=attempt)
            made = [
                tool.model_copy(
                    update={
                        "document": extended.document,
                        "implementation": extended.implementation,
                    }
                )
                for tool in [*served, adds.model_copy(update={"arguments": extended.arguments})]
            ]
            found = self._static(extended, made) or await tool_problem(
                self._instance, [self._step(tool) for tool in made], made, self._sandbox, self._seed
            )
            if found is None:
                return made
            problem = found
        return problem

    def _step(self, tool: StepTool) -> DecompositionStep:
        return self._instance.step(tool.step)

    def _served(self, tool: StepTool) -> ServedCall:
        step = self._step(tool)
        return ServedCall(question=step.question, answer=step.answer, arguments=tool.arguments)

    def _static(self, extended: ExtendOut, made: Sequence[StepTool]) -> ImplementationFault | None:
        instance = self._instance
        group = {tool.step for tool in made}
        taken = [tool.document.name for name, tool in self._tools.items() if name not in group]
        answers = [instance.answer, *(step.answer for step in instance.steps)]
        refused = document_problem(extended.document, instance.language, answers, taken)
        if refused:
            return ImplementationFault("document", refused)
        for tool in made:
            needed = [instance.step(name) for name in self._step(tool).depends_on]
            refused = call_problem(extended.document, tool.arguments, instance.question, needed)
            if refused:
                return ImplementationFault(
                    "call", f"{refused}; the call was {tool.arguments!r:.500}"
                )
        return None
