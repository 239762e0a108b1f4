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

from astra.core.text import normalise, scalars
from astra.errors import ConfigError, Rejected
from astra.runs.stage import Stage
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.tasks import INTENT, VARY_TASK, IntentIn, VaryIn
from astra.trajectories.records import TaskOrigin, TrajectoryTask
from astra.trajectories.tasks.personas import Persona, personas_for
from astra.trajectories.tasks.plans import is_stated, request_problem
from astra.trajectories.tasks.records import DraftTask, TaskVariation
from astra.trajectories.tasks.server_groups import ServerGroup
from astra.types import Json

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


def stated_values(task: TrajectoryTask) -> list[Json]:
    """Values that calls take from the request, each once.

    Sorted by argument, since plans that differ only in the order of arguments are the same task.
    """
    values: dict[str, Json] = {}
    for call in task.plan:
        for _, source in sorted(call.arguments.items()):
            for value in scalars(source.value) if source.call is None else ():
                if value is not None and not isinstance(value, bool):
                    values[str(value)] = value
    return [value for value in values.values() if is_stated(value, task.request)]


def variation_problem(task: TrajectoryTask, request: str) -> str:
    """Why a wording can't replace a task's request. Empty if it can."""
    if problem := request_problem(request, task.language):
        return problem
    if normalise(request) == normalise(task.request):
        return "the new request is the old one"
    for value in stated_values(task):
        if not is_stated(value, request):
            return f"the new request lacks {value!r:.200}, which a call needs"
    return ""


def varied_stage(teacher: Teacher, seed: int) -> Stage[VariationRequest, TaskVariation]:
    """Requested variations to those whose intent is judged to be the same."""

    async def work(item: VariationRequest) -> TaskVariation:
        parent = item.parent
        axis = cast(Literal["diversity", "complexity", "persona"], item.axis.value)
        rng = random.Random(f"{seed}:{item.key}")
        tools = item.group.sample_tools(rng, required=[call.tool for call in parent.plan])
        problem = ""  # told to the teacher in the next attempt
        for index in range(MAX_ATTEMPTS):
            question = VaryIn(
                language=parent.language,
                service=item.group.service,
                tools=tools,
                axis=axis,
                request=parent.request,
                keep=tuple(str(value) for value in stated_values(parent)),
                profile=item.persona.profile if item.persona else None,
                number=item.number,
                finding=problem,
            )
            answer = await teacher.ask(VARY_TASK, question, index=index)
            request = answer.request.strip()
            if not (problem := variation_problem(parent, request)):
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
