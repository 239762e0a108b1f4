"""Stage `merged`: steps that ask the same kind of thing share one tool; the arena is assembled.

A group's first tool is extended step by step; after each extension the certificate examines all
calls of the group again. If anything goes wrong with a group, *all* its steps keep their own
tools: there are no half-merged groups. The row says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from astra.arenas.synthesis.build import whole_arena
from astra.arenas.synthesis.implement import ImplementationFault, implementation_fault
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
from astra.teacher.prompts.arenas import (
    EXTEND,
    GROUP,
    ExtendIn,
    ExtendOut,
    GroupIn,
    ServedCall,
)

MERGED = "merged"
EXTEND_ATTEMPTS = 3


def merged_stage(
    teacher: Teacher, sandbox: Sandbox, *, test_fraction: float, seed: int
) -> Stage[ImplementedItem, MergedItem]:
    """Instances with tools to arenas."""

    async def work(row: ImplementedItem) -> MergedItem:
        instance, scores = row.judged.instance, row.judged.scores
        tools = {tool.step: tool for tool in row.tools}
        groups: list[MergedGroup] = []
        for names in await _groups(teacher, instance, tools, groups):
            merged = await _merged(teacher, sandbox, instance, tools, names, seed)
            if isinstance(merged, str):
                groups.append(MergedGroup(steps=names, merged=False, reason=merged[:1000]))
            else:
                tools |= merged
                groups.append(MergedGroup(steps=names, merged=True))
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
                "attempts": {tool.step: tool.attempts for tool in row.tools},
                "merged": [list(group.steps) for group in groups if group.merged],
            },
        )
        return MergedItem(key=row.key, arena=arena, groups=tuple(groups))

    return Stage(MERGED, work)


async def _groups(
    teacher: Teacher,
    instance: DecomposedItem,
    tools: Mapping[str, StepTool],
    unusable: list[MergedGroup],
) -> list[tuple[str, ...]]:
    """The groups that the teacher proposes; those that make no sense go into `unusable`."""
    steps = tuple(step for step in instance.steps if step.needs_tool)
    if len(steps) < 2:
        return []
    task = GroupIn(
        language=instance.language,
        steps=steps,
        documents={name: tool.document for name, tool in tools.items()},
    )
    groups: list[tuple[str, ...]] = []
    used: set[str] = set()
    for names in (await teacher.ask(GROUP, task)).groups:
        problem = ""
        if len(names) < 2 or len(set(names)) != len(names):
            problem = "a group has at least two different steps"
        elif unknown := [name for name in names if name not in tools]:
            problem = f"{unknown[0]!r:.80} is not a step with a tool"
        elif repeated := [name for name in names if name in used]:
            problem = f"step {repeated[0]!r} is in two groups"
        if problem:
            # The row must stay readable, whatever a teacher wrote for names.
            cut = tuple(name[:40] for name in names[:20])
            unusable.append(MergedGroup(steps=cut, merged=False, reason=problem))
            continue
        used |= set(names)
        # In the steps' order: the first step's tool is the one that is extended.
        groups.append(tuple(step.id for step in steps if step.id in names))
    return groups


async def _merged(
    teacher: Teacher,
    sandbox: Sandbox,
    instance: DecomposedItem,
    tools: Mapping[str, StepTool],
    names: Sequence[str],
    seed: int,
) -> dict[str, StepTool] | str:
    """The group's steps with one tool for all; or why they keep their own."""

    def served_call(tool: StepTool) -> ServedCall:
        step = instance.step(tool.step)
        return ServedCall(question=step.question, answer=step.answer, arguments=tool.arguments)

    served = [tools[names[0]]]
    for name in names[1:]:
        addition = tools[name]
        fault: ImplementationFault | None = ImplementationFault("extend", "")
        for attempt in range(EXTEND_ATTEMPTS):
            task = ExtendIn(
                language=instance.language,
                document=served[0].document,
                implementation=served[0].implementation,
                serves=tuple(map(served_call, served)),
                other_document=addition.document,
                adds=served_call(addition),
                finding=fault.finding,
            )
            extension = await teacher.ask(EXTEND, task, index=attempt)
            candidates = [
                tool.model_copy(
                    update={
                        "document": extension.document,
                        "implementation": extension.implementation,
                    }
                )
                for tool in [
                    *served,
                    addition.model_copy(update={"arguments": extension.arguments}),
                ]
            ]
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
