"""Which steps one tool is to serve: asked before any tool is written, so that none is thrown away.

Not guaranteed: that the grouping is the best one, or that a tool for the group can be written. The
stage `merged` finds that out.
"""

from __future__ import annotations

from astra.arenas.synthesis.records import DecomposedItem, StepGroup
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.arenas import GROUP, GroupIn

_MOST_NAMES, _NAME_CHARACTERS = 20, 40
"""What is recorded of a group that can't be used, whatever a teacher wrote for names."""


async def step_groups(teacher: Teacher, instance: DecomposedItem) -> tuple[StepGroup, ...]:
    """The groups that a teacher proposes, with what is wrong with those that make no sense."""
    steps = tuple(step for step in instance.steps if step.needs_tool)
    if len(steps) < 2:
        return ()
    task = GroupIn(language=instance.language, question=instance.question, steps=steps)
    known, used = {step.id for step in steps}, set[str]()
    groups: list[StepGroup] = []
    for names in (await teacher.ask(GROUP, task)).groups:
        problem = ""
        if len(names) < 2 or len(set(names)) != len(names):
            problem = "a group has at least two different steps"
        elif unknown := [name for name in names if name not in known]:
            problem = f"{unknown[0]!r:.80} is not a step with a tool"
        elif repeated := [name for name in names if name in used]:
            problem = f"step {repeated[0]!r} is in two groups"
        if problem:
            cut = tuple(name[:_NAME_CHARACTERS] for name in names[:_MOST_NAMES])
            groups.append(StepGroup(steps=cut, problem=problem))
            continue
        used |= set(names)
        # In the steps' order: the first step's tool is the one that is extended.
        groups.append(StepGroup(steps=tuple(step.id for step in steps if step.id in names)))
    return tuple(groups)
