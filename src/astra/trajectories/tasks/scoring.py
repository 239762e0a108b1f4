"""Stages `server-tasks` and `scored`: tasks of a server's tools alone, and what tasks are worth.

A draft falls out, with its check as a row, by `request` (empty, too long, another language),
`plan` (see `plans`), `near_duplicate`, and `scores` (below a threshold). All but the last ask no
teacher.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from astra.errors import Rejected
from astra.runs.cost import StageMeter
from astra.runs.stage import Stage
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.tasks import (
    PROPOSE_TASKS,
    SCORE_TASK,
    ProposeTasksIn,
    ScoreIn,
    TaskMarks,
)
from astra.trajectories.near_duplicates import NearDuplicates, character_shingles
from astra.trajectories.records import PlannedCall, TaskScores, TrajectoryTask
from astra.trajectories.tasks.chains import ProposalRound, ServerGroup
from astra.trajectories.tasks.plans import planned_calls, request_problem
from astra.trajectories.tasks.records import DraftTask, ScoredTask, ServerTasks, VerifiedChain
from astra.types import content_hash

SERVER_TASKS = "server-tasks"
SCORED = "scored"


@dataclass(frozen=True, slots=True)
class TaskThresholds:
    """The least that a task must reach, each in [0, 1]."""

    question_quality: float = 0.7
    scenario_realism: float = 0.6
    tool_necessity: float = 0.7


def server_tasks_stage(
    teacher: Teacher,
    *,
    wanted: int,
    fewest: int,
    most: int,
    shown: int,
    seed: int,
    meter: StageMeter,
) -> Stage[ProposalRound, ServerTasks]:
    """Rounds to tasks that ask for `fewest` to `most` tools, `wanted` a round."""

    async def work(asked: ProposalRound) -> ServerTasks:
        rng = random.Random(f"{seed}:tasks:{asked.key}")
        given = ProposeTasksIn(
            language=asked.group.language,
            service=asked.group.service,
            tools=asked.group.some(shown, rng),
            wanted=wanted,
            fewest=fewest,
            most=most,
            number=asked.number,
        )
        answer = await teacher.ask(PROPOSE_TASKS, given)
        server = asked.group.servers[0].id
        return ServerTasks(key=asked.key, server=server, tasks=answer.tasks)

    return Stage(
        name=SERVER_TASKS,
        work=work,
        key=lambda asked: asked.key,
        stored_key=lambda row: row["key"],
        meter=meter,
    )


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
    """A draft with what the mechanical checks found."""

    draft: DraftTask
    group: ServerGroup
    plan: tuple[PlannedCall, ...]
    problem: Rejected | None = None

    def task(self, marks: TaskMarks) -> TrajectoryTask:
        """The task with its scores."""
        draft = self.draft
        decisive: list[object] = [
            draft.servers,
            draft.request,
            [call.model_dump(mode="json") for call in self.plan],
            draft.axis,
        ]
        return TrajectoryTask(
            id=content_hash(decisive),
            servers=draft.servers,
            kind=draft.kind,
            request=draft.request,
            language=draft.language,
            plan=self.plan,
            axis=draft.axis,
            parent=draft.parent,
            persona=draft.persona,
            scores=TaskScores(
                question_quality=marks.question_quality,
                scenario_realism=marks.scenario_realism,
                tool_necessity=marks.tool_necessity,
            ),
        )


class TaskChecker:
    """The mechanical checks, draft after draft. What it finds depends on their order alone."""

    def __init__(
        self, group: Callable[[Sequence[str]], ServerGroup], *, near: float, fewest: int, most: int
    ) -> None:
        self._group = group
        self._seen = NearDuplicates(near, character_shingles)
        self._fewest, self._most = fewest, most

    def check(self, drafts: Iterable[DraftTask]) -> list[CheckedTask]:
        """The drafts with their plans, or why they fall out."""
        return [self._checked(draft) for draft in drafts]

    def _checked(self, draft: DraftTask) -> CheckedTask:
        group = self._group(draft.servers)
        try:
            plan = self._plan(draft, group)
            if found := self._seen.add(draft.key, draft.request):
                raise Rejected(
                    "near_duplicate", f"{found[1]:.2f} of its shingles are those of {found[0]!r}"
                )
        except Rejected as problem:
            return CheckedTask(draft, group, (), problem)
        return CheckedTask(draft, group, plan)

    def _plan(self, draft: DraftTask, group: ServerGroup) -> tuple[PlannedCall, ...]:
        if problem := request_problem(draft.request, draft.language):
            raise Rejected("request", problem)
        if draft.plan:
            return draft.plan
        if not self._fewest <= len(draft.steps) <= self._most:
            raise Rejected("plan", f"it takes {len(draft.steps)} calls")
        try:
            return planned_calls(draft.steps, draft.request, group.tools, group.known)
        except ValueError as problem:
            raise Rejected("plan", str(problem)) from problem


def scored_stage(
    teacher: Teacher, thresholds: TaskThresholds, shown: int, seed: int, meter: StageMeter
) -> Stage[CheckedTask, ScoredTask]:
    """Drafts to tasks with scores."""

    async def work(checked: CheckedTask) -> ScoredTask:
        if checked.problem is not None:
            raise checked.problem
        draft, group = checked.draft, checked.group
        rng = random.Random(f"{seed}:score:{draft.key}")
        must = [call.tool for call in checked.plan]
        given = ScoreIn(
            language=draft.language,
            service=group.service,
            tools=group.some(shown, rng, must=must),
            request=draft.request,
        )
        marks = await teacher.ask(SCORE_TASK, given)
        for name, least in asdict(thresholds).items():
            if getattr(marks, name) < least:
                raise Rejected(
                    "scores", f"{name} {getattr(marks, name):g} is below {least:g}: {marks.reason}"
                )
        return ScoredTask(key=draft.key, task=checked.task(marks))

    return Stage(
        name=SCORED,
        work=work,
        key=lambda checked: checked.draft.key,
        stored_key=lambda row: row["key"],
        stored_id=lambda row: row["key"],
        meter=meter,
    )
