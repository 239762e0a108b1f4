"""Stage `varied`: tasks in other words, with more constraints, or as a persona would ask.

A variation keeps the plan of its parent. After some attempts it is rejected by `variation`, if it
is not in the parent's language, lacks a value that a call takes from the request, or repeats the
old wording; or by `intent`, if the teacher says that it asks for something else.

What this does not guarantee: that anybody but the teacher notices a change of intent.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from astra.core.text import normalise
from astra.errors import ConfigError, Rejected
from astra.runs.stage import Stage
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.tasks import INTENT, VARY_TASK, IntentIn, VaryIn
from astra.trajectories.records import TaskOrigin, TrajectoryTask
from astra.trajectories.tasks.personas import Persona, personas_for
from astra.trajectories.tasks.plans import request_problem, stated_arguments
from astra.trajectories.tasks.records import DraftTask, TaskVariation
from astra.trajectories.tasks.server_groups import ServerGroup
from astra.trajectories.tasks.stated import statement
from astra.trajectories.toolset import ToolSet

VARIED = "varied"
MAX_ATTEMPTS = 3
MAX_VARIATIONS = 20
"""Variations of one task on one axis."""


@dataclass(frozen=True, slots=True)
class VariationRequest:
    """A variation to make."""

    parent: TrajectoryTask
    group: ServerGroup
    axis: TaskOrigin
    number: int
    persona: Persona | None = None

    @property
    def key(self) -> str:
        return f"{self.axis}:{self.parent.id}:{self.number}"


def variation_requests(
    parents: Sequence[tuple[TrajectoryTask, ServerGroup]],
    axis: TaskOrigin,
    personas: Sequence[Persona],
    seed: int,
) -> Iterator[VariationRequest]:
    """The first variation of each parent, then the second of each, and so on."""
    for number in range(1, MAX_VARIATIONS + 1):
        for parent, group in parents:
            persona = None
            if axis is TaskOrigin.persona:
                usable = personas_for(personas, parent.language)
                if not usable:
                    raise ConfigError(
                        f"no persona can ask in {parent.language!r}: add some, or use other ones"
                    )
                order = random.Random(f"{seed}:{parent.id}").sample(range(len(usable)), len(usable))
                persona = usable[order[(number - 1) % len(usable)]]
            yield VariationRequest(parent, group, axis, number, persona)


def kept_words(task: TrajectoryTask, tools: ToolSet) -> list[str]:
    """The request's own words for the values that calls take from it, each once."""
    words: dict[str, None] = {}
    for argument, schema in stated_arguments(task.plan, tools):
        known = statement(argument.value, task.request, schema)
        words.update(dict.fromkeys(known.pieces))
    return list(words)


def variation_problem(task: TrajectoryTask, request: str, tools: ToolSet) -> str:
    """Why a wording can't replace a task's request. Empty if it can."""
    if problem := request_problem(request, task.language):
        return problem
    if normalise(request) == normalise(task.request):
        return "the new request is the old one"
    for argument, schema in stated_arguments(task.plan, tools):
        before, after = (
            statement(argument.value, text, schema) for text in (task.request, request)
        )
        # What only the meaning states is left to the teacher, who scores the new request.
        if after.known == "missing" or (before.known == "stated" != after.known):
            said = " and ".join(before.pieces) or str(argument.value)
            return f"the new request lacks {said!r:.200}, which a call needs"
    return ""


def varied_stage(teacher: Teacher) -> Stage[VariationRequest, TaskVariation]:
    """Requested variations to those whose intent is judged to be the same."""

    async def work(item: VariationRequest) -> TaskVariation:
        parent = item.parent
        axis = cast(Literal["diversity", "complexity", "persona"], item.axis.value)
        tools = item.group.shown_tools(call.tool for call in parent.plan)
        problem = ""  # told to the teacher in the next attempt
        for index in range(MAX_ATTEMPTS):
            question = VaryIn(
                language=parent.language,
                service=item.group.service,
                tools=tools,
                axis=axis,
                request=parent.request,
                keep=tuple(kept_words(parent, item.group.tools)),
                profile=item.persona.profile if item.persona else None,
                number=item.number,
                finding=problem,
            )
            answer = await teacher.ask(VARY_TASK, question, index=index)
            request = answer.request.strip()
            if not (problem := variation_problem(parent, request, item.group.tools)):
                break
        else:
            raise Rejected("variation", problem)
        intent = IntentIn(
            language=parent.language, axis=axis, original=parent.request, varied=request
        )
        verdict = await teacher.ask(INTENT, intent)
        if not verdict.holds:
            raise Rejected("intent", verdict.reason)
        return TaskVariation(
            key=item.key,
            parent=parent.id,
            axis=item.axis,
            request=request,
            persona=item.persona.text if item.persona else None,
        )

    return Stage(VARIED, work)


def varied_draft(row: TaskVariation, parent: TrajectoryTask) -> DraftTask:
    """The variation as a draft, with its parent's plan."""
    return DraftTask(
        key=row.key,
        servers=parent.servers,
        kind=parent.kind,
        language=parent.language,
        request=row.request,
        plan=parent.plan,
        axis=row.axis,
        parent=parent.id,
        persona=row.persona,
    )
