"""Stage `merged`: steps that ask the same kind of thing share one tool; the arena is assembled.

A group's tool serves its first step, and is extended step by step; after each extension the
certificate examines all calls of the group again. If anything goes wrong with a group, its first
step keeps its tool and *all* others get tools of their own: there are no half-merged groups. The
row says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from astra.arenas.synthesis.build import whole_arena
from astra.arenas.synthesis.implement import (
    ImplementationFault,
    StepToolWriter,
    earlier_answers,
    implementation_fault,
)
from astra.arenas.synthesis.records import (
    DecomposedItem,
    ImplementedItem,
    MergedGroup,
    MergedItem,
    StepTool,
)
from astra.arenas.synthesis.tool_documents import call_problem, document_problem
from astra.protocols import Sandbox
from astra.runs.stage import Stage
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.arenas import EXTEND, AddedStep, ExtendIn, ExtendOut, ServedCall

MERGED = "merged"
EXTEND_ATTEMPTS = 3


def merged_stage(
    teacher: Teacher,
    sandbox: Sandbox,
    *,
    test_fraction: float,
    max_attempts: int = 4,
    seed: int = 0,
) -> Stage[ImplementedItem, MergedItem]:
    """Instances with tools to arenas. `max_attempts`: as of the stage `implemented`."""

    async def work(row: ImplementedItem) -> MergedItem:
        instance, scores = row.judged.instance, row.judged.scores
        tools = {tool.step: tool for tool in row.tools}
        writer = StepToolWriter(teacher, sandbox, instance, max_attempts, seed)
        groups: list[MergedGroup] = []
        for group in row.groups:
            names, reason = group.steps, group.problem
            if not reason:
                merged = await _merged(teacher, sandbox, instance, tools, names, seed)
                if isinstance(merged, str):
                    reason = merged[:1000]
                    taken = [tool.document.name for tool in tools.values()]
                    own = await writer.tools(names[1:], taken)
                    merged = {tool.step: tool for tool in own}
                tools |= merged
            groups.append(MergedGroup(steps=names, merged=not reason, reason=reason))
        arena = whole_arena(
            instance,
            tools,
            test_fraction=test_fraction,
            provenance={
                "source": "teacher",
                "teacher": teacher.name,
                "key": row.key,
                "mode": instance.mode,
                "origin": instance.origin,
                "scores": {**scores.model_dump(), "quality": scores.quality},
                "attempts": {
                    step.id: tools[step.id].attempts for step in instance.steps if step.needs_tool
                },
                "merged": [list(group.steps) for group in groups if group.merged],
            },
        )
        return MergedItem(key=row.key, arena=arena, groups=tuple(groups))

    return Stage(MERGED, work)


async def _merged(
    teacher: Teacher,
    sandbox: Sandbox,
    instance: DecomposedItem,
    tools: Mapping[str, StepTool],
    names: Sequence[str],
    seed: int,
) -> dict[str, StepTool] | str:
    """The group's steps with one tool for all; or why the tool of the first can't serve them."""
    served = [tools[names[0]]]
    for name in names[1:]:
        step = instance.step(name)
        needed = [instance.step(earlier) for earlier in step.depends_on]
        fault: ImplementationFault | None = ImplementationFault("extend", "")
        for attempt in range(EXTEND_ATTEMPTS):
            task = ExtendIn(
                language=instance.language,
                main_question=instance.question,
                document=served[0].document,
                implementation=served[0].implementation,
                serves=tuple(
                    ServedCall(
                        question=instance.step(tool.step).question,
                        answer=instance.step(tool.step).answer,
                        arguments=tool.arguments,
                    )
                    for tool in served
                ),
                adds=AddedStep(
                    question=step.question, answer=step.answer, known=earlier_answers(needed)
                ),
                finding=fault.finding,
            )
            extension = await teacher.ask(EXTEND, task, index=attempt)
            document, implementation = extension.document, extension.implementation
            addition = StepTool(
                step=name,
                document=document,
                arguments=extension.arguments,
                implementation=implementation,
                attempts=attempt + 1,
            )
            changes = {"document": document, "implementation": implementation}
            candidates = [*(tool.model_copy(update=changes) for tool in served), addition]
            steps = [instance.step(tool.step) for tool in candidates]
            fault = _document_fault(instance, tools, extension, candidates)
            fault = fault or await implementation_fault(instance, steps, candidates, sandbox, seed)
            if fault is None:
                served = candidates
                break
        if fault is not None:
            return f"step {name!r}: {fault.finding}"
    return {tool.step: tool for tool in served}


def _document_fault(
    instance: DecomposedItem,
    tools: Mapping[str, StepTool],
    extension: ExtendOut,
    candidates: Sequence[StepTool],
) -> ImplementationFault | None:
    """What is wrong with the extended document or its calls, before the code is run."""
    group = {tool.step for tool in candidates}
    other_names = [tool.document.name for step, tool in tools.items() if step not in group]
    answers = [instance.answer, *(step.answer for step in instance.steps)]
    document = extension.document
    if problem := document_problem(document, instance.language, answers, other_names):
        return ImplementationFault("document", problem)
    for tool in candidates:
        needed = [instance.step(name) for name in instance.step(tool.step).depends_on]
        if problem := call_problem(document, tool.arguments, instance.question, needed):
            return ImplementationFault("call", f"{problem}; the call was {tool.arguments!r:.500}")
    return None
