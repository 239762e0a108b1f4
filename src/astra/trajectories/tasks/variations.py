"""Stage `varied`: tasks in other words, with more constraints, or from somebody's mouth.

A variation keeps the plan of its parent. It is dropped, after some tries, by `variation`: when it
is not in the parent's language, lacks a value that a call takes from the request, or is the old
wording; and by `intent`, when the teacher says that it asks for something else.

What this does not guarantee: that nobody but the teacher sees a change of intent.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from astra.core.text import normalise
from astra.errors import ConfigError, Rejected
from astra.runs.cost import StageMeter
from astra.runs.stage import Stage
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.tasks import INTENT, VARY_TASK, IntentIn, VaryIn
from astra.trajectories.records import TaskOrigin, TrajectoryTask
from astra.trajectories.tasks.chains import ServerGroup
from astra.trajectories.tasks.personas import Persona, personas_for
from astra.trajectories.tasks.plans import request_problem, scalars, stands_in
from astra.trajectories.tasks.records import DraftTask, TaskVariation
from astra.types import Json

VARIED = "varied"
TRIES = 3
ROUNDS = 20
"""Most variations of one task on one axis."""


@dataclass(frozen=True, slots=True)
class VariationRequest:
    """A variation that is asked for."""

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
    """Variations of each parent in turn, then of each once more, and so on."""
    for number in range(1, ROUNDS + 1):
        for parent, group in parents:
            persona = None
            if axis is TaskOrigin.persona:
                able = personas_for(personas, parent.language)
                if not able:
                    raise ConfigError(
                        f"no persona can ask in {parent.language!r}: add some, or take others"
                    )
                order = random.Random(f"{seed}:{parent.id}").sample(range(len(able)), len(able))
                persona = able[order[(number - 1) % len(able)]]
            yield VariationRequest(parent, group, axis, number, persona)


def stated_values(task: TrajectoryTask) -> list[Json]:
    """Values that calls take from the request, each once.

    In an order that does not depend on how the teacher ordered the arguments: plans that differ
    in nothing else are one task.
    """
    found: dict[str, Json] = {}
    for call in task.plan:
        for _, source in sorted(call.arguments.items()):
            for value in scalars(source.value) if source.call is None else ():
                if value is not None and not isinstance(value, bool):
                    found[str(value)] = value
    return [value for value in found.values() if stands_in(value, task.request)]


def variation_problem(task: TrajectoryTask, request: str) -> str:
    """Why a wording can't stand for a task; "" if it can."""
    if problem := request_problem(request, task.language):
        return problem
    if normalise(request) == normalise(task.request):
        return "the new request is the old one"
    for value in stated_values(task):
        if not stands_in(value, request):
            return f"the new request lacks {value!r:.200}, which a call needs"
    return ""


def varied_stage(
    teacher: Teacher, shown: int, seed: int, meter: StageMeter
) -> Stage[VariationRequest, TaskVariation]:
    """Wanted variations to those whose intent is judged to be the same."""

    async def work(asked: VariationRequest) -> TaskVariation:
        request = await _worded(asked, teacher, shown, seed)
        axis = cast(Literal["diversity", "complexity", "persona"], asked.axis.value)
        given = IntentIn(
            language=asked.parent.language,
            axis=axis,
            original=asked.parent.request,
            varied=request,
        )
        verdict = await teacher.ask(INTENT, given)
        if not verdict.holds:
            raise Rejected("intent", verdict.reason)
        return TaskVariation(
            key=asked.key,
            parent=asked.parent.id,
            axis=asked.axis,
            request=request,
            persona=asked.persona.text if asked.persona else None,
        )

    return Stage(
        name=VARIED,
        work=work,
        key=lambda asked: asked.key,
        stored_key=lambda row: row["key"],
        meter=meter,
    )


async def _worded(asked: VariationRequest, teacher: Teacher, shown: int, seed: int) -> str:
    task, problem = asked.parent, ""
    rng = random.Random(f"{seed}:{asked.key}")
    tools = asked.group.some(shown, rng, must=[call.tool for call in task.plan])
    for index in range(TRIES):
        given = VaryIn(
            language=task.language,
            service=asked.group.service,
            tools=tools,
            axis=cast(Literal["diversity", "complexity", "persona"], asked.axis.value),
            request=task.request,
            keep=tuple(str(value) for value in stated_values(task)),
            profile=asked.persona.profile if asked.persona else None,
            number=asked.number,
            finding=problem,
        )
        request = (await teacher.ask(VARY_TASK, given, index=index)).request.strip()
        if not (problem := variation_problem(task, request)):
            return request
    raise Rejected("variation", problem)


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
