"""Independent verdicts of judges, and questions to a teacher that run together."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from astra.errors import TeacherError
from astra.teacher.prompt import Prompt, Teacher
from astra.teacher.prompts.arenas import (
    JudgeVerdict,
    StepsIn,
    StepVerdicts,
    verdicts_problem,
)
from astra.types import Record

T = TypeVar("T")
In = TypeVar("In", bound=Record)


async def together(questions: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results in order; the first error cancels the rest and is raised as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(question) for question in questions]
    except ExceptionGroup as errors:
        # Stages distinguish `Rejected`, an outage and a spent budget by type.
        raise errors.exceptions[0] from errors
    return [task.result() for task in tasks]


async def votes(
    teacher: Teacher, prompt: Prompt[In, JudgeVerdict], task: In, count: int
) -> tuple[bool, ...]:
    """`count` independent verdicts on one point. Raises if a verdict is missing."""
    verdicts = await together(teacher.ask(prompt, task, index=index) for index in range(count))
    return tuple(verdict.holds for verdict in verdicts)


async def step_votes(
    teacher: Teacher, prompt: Prompt[StepsIn, StepVerdicts], task: StepsIn, count: int
) -> dict[str, tuple[bool, ...]]:
    """Step id -> `count` independent verdicts on one point. Raises if a verdict is missing."""
    if not task.judge:
        return {}
    answers = await together(teacher.ask(prompt, task, index=index) for index in range(count))
    for answer in answers:
        # Not every teacher checks its answers as a model teacher does.
        if problem := verdicts_problem(task, answer):
            raise TeacherError(f"prompt {prompt.name!r}: {problem}")
    found = [{verdict.step: verdict.holds for verdict in answer.verdicts} for answer in answers]
    return {step: tuple(holds[step] for holds in found) for step in task.judge}


def majority(verdicts: tuple[bool, ...]) -> bool:
    """Whether more than half hold; a tie does not."""
    return sum(verdicts) * 2 > len(verdicts)
