"""Stages `server-tasks` and `scored`: tasks of a server's tools alone, and scores of all tasks.

A draft is rejected by `request` (empty, too long, another language), `plan` (see `plans`),
`near_duplicate`, `values` (the teacher finds a value in no words of the request) or `scores`
(below a threshold). Only the last two ask a teacher, with one question.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType

from astra.errors import Rejected
from astra.runs.stage import Stage
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.tasks import (
    PROPOSE_TASKS,
    SCORE_TASK,
    MeantValue,
    ProposeTasksIn,
    ScoreIn,
)
from astra.trajectories.near_duplicates import NearDuplicates, character_shingles
from astra.trajectories.records import PlannedCall, TaskScores, TrajectoryTask
from astra.trajectories.tasks.chain_proposals import ProposalRound
from astra.trajectories.tasks.plans import open_arguments, planned_calls, request_problem
from astra.trajectories.tasks.records import DraftTask, ScoredTask, ServerTasks, VerifiedChain
from astra.trajectories.tasks.server_groups import ServerGroup
from astra.types import content_hash

SERVER_TASKS = "server-tasks"
SCORED = "scored"
TASKS_PER_ROUND = 5
MIN_CALLS, MAX_CALLS = 1, 3
"""Calls of a task that was proposed for a server's tools alone."""
SIMILARITY = 0.85
"""Fraction of common shingles from which two requests are near-duplicates."""
THRESHOLDS: Mapping[str, float] = MappingProxyType(
    {"question_quality": 0.7, "scenario_realism": 0.6, "tool_necessity": 0.7}
)
"""Smallest scores of a task, each in [0, 1]."""


def server_tasks_stage(teacher: Teacher, seed: int) -> Stage[ProposalRound, ServerTasks]:
    """Rounds to tasks that a teacher proposes for a server's tools."""

    async def work(round: ProposalRound) -> ServerTasks:
        group = round.group
        question = ProposeTasksIn(
            language=group.language,
            service=group.service,
            tools=group.sample_tools(random.Random(f"{seed}:tasks:{round.key}")),
            wanted=round.wanted,
            fewest=MIN_CALLS,
            most=MAX_CALLS,
            number=round.number,
            state=group.state,
        )
        answer = await teacher.ask(PROPOSE_TASKS, question)
        return ServerTasks(key=round.key, server=group.servers[0].id, tasks=answer.tasks)

    return Stage(SERVER_TASKS, work)


def chain_draft(chain: VerifiedChain) -> DraftTask:
    """The task of a chain."""
    return DraftTask(
        key=f"chain:{chain.id}",
        servers=chain.servers,
        kind="chain",
        language=chain.language,
        request=chain.request,
        plan=chain.plan,
    )


def server_drafts(row: ServerTasks, group: ServerGroup) -> Iterator[DraftTask]:
    """The tasks of a round, as they were proposed."""
    for number, task in enumerate(row.tasks, start=1):
        yield DraftTask(
            key=f"server:{row.key}:{number}",
            servers=(row.server,),
            kind="server",
            language=group.language,
            request=task.request,
            steps=task.plan,
        )


@dataclass(frozen=True, slots=True)
class CheckedTask:
    """A draft with its plan, or with the reason why it is rejected."""

    draft: DraftTask
    group: ServerGroup
    plan: tuple[PlannedCall, ...] = ()
    problem: Rejected | None = None
    failure: str = ""
    """Why the plan fails on live servers, if the task is to be kept all the same."""

    @property
    def key(self) -> str:
        return self.draft.key


class TaskChecker:
    """Checks drafts by rule, one after the other. The outcome depends on their order alone."""

    def __init__(self, group: Callable[[Sequence[str]], ServerGroup]) -> None:
        self._group = group
        self._requests = NearDuplicates(SIMILARITY, character_shingles)

    def check(self, drafts: Iterable[DraftTask]) -> list[CheckedTask]:
        """The drafts with their plans, or the reasons why they are rejected."""
        checked: list[CheckedTask] = []
        for draft in drafts:
            group = self._group(draft.servers)
            try:
                checked.append(CheckedTask(draft, group, self._plan(draft, group)))
            except Rejected as problem:
                checked.append(CheckedTask(draft, group, problem=problem))
        return checked

    def _plan(self, draft: DraftTask, group: ServerGroup) -> tuple[PlannedCall, ...]:
        if problem := request_problem(draft.request, draft.language):
            raise Rejected("request", problem)
        plan = draft.plan
        if not plan:
            if not MIN_CALLS <= len(draft.steps) <= MAX_CALLS:
                raise Rejected("plan", f"it takes {len(draft.steps)} calls")
            try:
                plan = planned_calls(draft.steps, draft.request, group.tools, group.fields)
            except ValueError as problem:
                raise Rejected("plan", str(problem)) from problem
        # Last: a rejected draft must not reject later ones that resemble it.
        if similar := self._requests.add(draft.key, draft.request):
            other, similarity = similar
            reason = f"{similarity:.2f} of its shingles are those of {other!r}"
            raise Rejected("near_duplicate", reason)
        return plan


def scored_stage(teacher: Teacher) -> Stage[CheckedTask, ScoredTask]:
    """Drafts to tasks with scores."""

    async def work(checked: CheckedTask) -> ScoredTask:
        # Rejected here, and not when it was checked, so that it becomes a row of this stage.
        if checked.problem is not None:
            raise checked.problem
        draft, group = checked.draft, checked.group
        question = ScoreIn(
            language=draft.language,
            service=group.service,
            tools=group.shown_tools(call.tool for call in checked.plan),
            other_tools=group.other_names(call.tool for call in checked.plan),
            request=draft.request,
            values=tuple(
                MeantValue(tool=each.tool, parameter=each.parameter, value=each.value)
                for each in open_arguments(checked.plan, draft.request, group.tools)
            ),
        )
        marks = await teacher.ask(SCORE_TASK, question)
        # Only of what was asked: rules have found the other values in the request.
        asked = {f"{each.tool}.{each.parameter}": each.value for each in question.values}
        if unfounded := [name for name in marks.unfounded if name in asked]:
            reason = f"the request does not say {asked[unfounded[0]]!r:.200} ({unfounded[0]})"
            raise Rejected("values", reason)
        scores = {name: attrgetter(name)(marks) for name in THRESHOLDS}
        for name, threshold in THRESHOLDS.items():
            if scores[name] < threshold:
                reason = f"{name} {scores[name]:g} is below {threshold:g}: {marks.reason}"
                raise Rejected("scores", reason)
        plan = [call.model_dump(mode="json") for call in checked.plan]
        task = TrajectoryTask(
            id=content_hash([draft.servers, draft.request, plan, draft.axis]),
            servers=draft.servers,
            kind=draft.kind,
            request=draft.request,
            language=draft.language,
            plan=checked.plan,
            axis=draft.axis,
            parent=draft.parent,
            persona=draft.persona,
            scores=TaskScores(**scores),
            failure=checked.failure,
        )
        return ScoredTask(key=draft.key, task=task)

    return Stage(SCORED, work)
